// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates, type Path } from '../../litmus/index.js';
import {
  alloc_page,
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  munmap,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  pteInTable,
  pte_offset_map,
  pte_unmap,
  ptep_get_lockless,
  userLoad,
} from '../../linux/index.js';

const dead = violates('TABLE-ALIVE');

/**
 * How long a page table lives for those who walk it without locks. Three ways to free it:
 *
 *     with-flush        with the pages, right after the TLB flush: x86 native
 *     rcu               after a grace period: arm64, powerpc, s390; x86 as a KVM, Hyper-V or Xen PV guest
 *     rcu-failed-batch  the same kernels when there is no page for the batch: an IPI to all CPUs, then at once
 *
 * and four walkers: with interrupts off (gup_fast), under rcu_read_lock() only (pte_offset_map() since 6.5), with
 * nothing (pte_offset_map() before 6.5 on 64 bit), and the hardware, which a flush drives out. `ipi` is x86 native; with
 * rcu it is x86 that was built for guests only. `bcast` with rcu is arm64, or an x86 guest; with with-flush it is nobody:
 * why such machines free by RCU.
 */
export default scenario({
  id: 'G-10',
  family: 'gup-fast',
  title: 'Lifetime of page tables against lockless walkers',
  question: 'Which way of freeing page tables protects which kind of lockless walker?',
  machine: ({ walker }) => ({ cpus: 2, frames: 3, pageWalkCache: walker === 'hardware' }),
  knobs: {
    'mmu_gather.table_free': ['rcu', 'rcu-failed-batch', 'with-flush'],
    walker: ['irq-off', 'rcu-only', 'none', 'hardware'],
  },
  bounds: 'one walk to one PTE, one munmap that frees the table, one allocation that may get its frame',
  setup(m) {
    const p = m.process('P');
    return { p, x: p.mmap({ pages: 1, touched: true }) };
  },
  agents: ({ p, x }, k) => ({
    *walker(): Path {
      if (k.walker === 'irq-off') {
        const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
        if (pages[0] === undefined) return see('found nothing');
        see('found the page');
        yield* folio_put(pages[0]);
        return;
      }
      if (k.walker === 'hardware')
        return see((yield* userLoad(x.start)) === 'SIGSEGV' ? 'found nothing' : 'found the page');
      const pmdp = pmd_offset(p.mm, x.start);
      if (k.walker === 'rcu-only') {
        const ptep = yield* pte_offset_map(pmdp, x.start);
        if (ptep === undefined) return see('found nothing');
        yield* ptep_get_lockless(ptep);
        yield* pte_unmap();
      } else {
        const pmd = yield* pmdp_get_lockless(pmdp);
        if (pmd_none(pmd)) return see('found nothing');
        yield* ptep_get_lockless(pteInTable(pmd, x.start));
      }
      see('found the page');
    },
    *unmapper(): Path {
      yield* munmap(p.mm, x.vma);
      const page = yield* alloc_page();
      if (page === undefined) return;
      see('allocated');
      yield* folio_put(page);
    },
  }),
  sometimes: ['found the page', 'found nothing', 'allocated'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mmu_gather.table_free=rcu-failed-batch': 'safe',
    'mmu_gather.table_free=rcu-failed-batch,machine=bcast': 'safe',
    'mmu_gather.table_free=with-flush': 'safe',
    'mmu_gather.table_free=with-flush,machine=bcast': dead,
    'walker=hardware': 'safe',
    'walker=hardware,machine=bcast': 'safe',
    'mmu_gather.table_free=rcu-failed-batch,walker=hardware': 'safe',
    'mmu_gather.table_free=rcu-failed-batch,walker=hardware,machine=bcast': 'safe',
    'mmu_gather.table_free=with-flush,walker=hardware,machine=bcast': 'safe',
    'walker=rcu-only': 'safe',
    'walker=rcu-only,machine=bcast': 'safe',
    'mmu_gather.table_free=rcu-failed-batch,walker=rcu-only': dead,
    'mmu_gather.table_free=rcu-failed-batch,walker=rcu-only,machine=bcast': dead,
    'mmu_gather.table_free=with-flush,walker=rcu-only': dead,
    'mmu_gather.table_free=with-flush,walker=rcu-only,machine=bcast': dead,
    'walker=none': dead,
    'walker=none,machine=bcast': dead,
    'mmu_gather.table_free=rcu-failed-batch,walker=none': dead,
    'mmu_gather.table_free=rcu-failed-batch,walker=none,machine=bcast': dead,
    'mmu_gather.table_free=with-flush,walker=none': dead,
    'mmu_gather.table_free=with-flush,walker=none,machine=bcast': dead,
  },
});
