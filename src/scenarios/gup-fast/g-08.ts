// SPDX-License-Identifier: GPL-2.0-only
import { safe, scenario, see, violates } from '../../litmus/index.js';
import {
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  madvise_dontneed,
  memunmap_pages,
  pfn_valid,
} from '../../linux/index.js';

// pfn_valid() reads section_mem_map while section_deactivate() writes it, both plainly.
const crash = violates('META-ALIVE', { reports: ['DATA-RACE'] });
const freed = violates('META-FREED', { reports: ['DATA-RACE'] });

/**
 * Device memory is removed while mem_hotplug_lock is busy, so that no grace period protects the reader.
 * section_deactivate() clears SECTION_HAS_MEM_MAP, or the bit of the subsection, before the memory map goes: does
 * VM_BUG_ON(!pfn_valid()) catch the reader in time?
 */
export default scenario({
  id: 'G-08',
  family: 'gup-fast',
  title: 'VM_BUG_ON(!pfn_valid()) in gup_fast_pte_range()',
  question: 'Does the look at pfn_valid() keep GUP-fast from a struct page that is gone?',
  // Nobody loads or stores: on demand no TLB would ever be filled.
  machine: { cpus: 3, frames: 3, fill: 'eager', hotplug: true, rcuCallbacks: 3 },
  knobs: {
    'gup.pfn_valid': ['vm-bug-on', 'none', 'bail'],
    'removed part': ['section', 'subsection', 'subsection-of-early'],
    'debug_vm.poison': ['off', 'on'],
    'sparse.usage_free': ['rcu', 'direct'],
    reader: ['gup-fast', 'pfn_valid'],
  },
  kernelKnobs: { 'mem_hotplug_begin.gp': 'never' },
  bounds:
    'one look-up of one page, its last zap, one memunmap_pages() of one page; a section of one or two pages',
  setup(m, k) {
    for (const frame of [0, 1, 2]) m.frame(frame); // nothing is allocated, so none can be another
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const part = k['removed part'];
    m.section(m.pages(x), {
      others: part === 'section' ? 0 : 1,
      early: part === 'subsection-of-early',
    });
    return { x, pfn: m.pages(x)[0]!.pfn, pgmap: m.pagemap('COHERENT', x) };
  },
  agents: ({ x, pfn, pgmap }, k) => ({
    *reader() {
      if (k.reader === 'pfn_valid') {
        // as compaction does, interrupts on
        return see((yield* pfn_valid(pfn)) ? 'got the page' : 'fell back');
      }
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(pages[0]);
    },
    *zapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
    *remover() {
      yield* memunmap_pages(pgmap);
      see('removed');
    },
  }),
  sometimes: ['got the page', 'fell back', 'removed'],
  expect: {
    base: 'safe',
    'machine=bcast': crash, // META-FREED as well, in longer runs: see bail
    'gup.pfn_valid=none': 'safe',
    'gup.pfn_valid=none,machine=bcast': violates('META-FREED'),
    'gup.pfn_valid=bail': 'safe',
    'gup.pfn_valid=bail,machine=bcast': freed,
    'removed part=subsection': 'safe',
    'removed part=subsection,machine=bcast': crash,
    'gup.pfn_valid=bail,removed part=subsection,machine=bcast': freed,
    'removed part=subsection-of-early': 'safe',
    'removed part=subsection-of-early,machine=bcast': 'safe',
    'removed part=subsection-of-early,debug_vm.poison=on,machine=bcast': violates('META-POISONED'),
    'debug_vm.poison=on': 'safe',
    'debug_vm.poison=on,machine=bcast': violates('META-POISONED', { reports: ['DATA-RACE'] }),
    'gup.pfn_valid=bail,sparse.usage_free=direct,machine=bcast': violates('GP-RULE', {
      reports: ['DATA-RACE'],
    }),
    'sparse.usage_free=direct': 'safe',
    // What kfree_rcu(ms->usage) is for: the map that pfn_valid() looks at, not the struct page.
    'reader=pfn_valid': safe({ reports: ['DATA-RACE'] }),
    'reader=pfn_valid,machine=bcast': safe({ reports: ['DATA-RACE'] }),
    'sparse.usage_free=direct,reader=pfn_valid': violates('GP-RULE', { reports: ['DATA-RACE'] }),
    'sparse.usage_free=direct,reader=pfn_valid,machine=bcast': violates('GP-RULE', {
      reports: ['DATA-RACE'],
    }),
  },
});
