// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import { dup_mmap, migrate_pages, shrink_inactive_list, userLoad } from '../../linux/index.js';

/**
 * fork() holds mmap_lock of both, but reclaim and migration find the entries by the anon_vma, in the child as soon as
 * its VMA is linked: there the PTLs are all there is, of the parent's table and of the child's.
 */
export default scenario({
  id: 'G-15c',
  family: 'gup-fast',
  title: 'fork against reclaim and migration',
  question: 'What keeps reclaim and migration from entries that fork is copying?',
  machine: { cpus: 2, frames: 6, swapSlots: 1, data: true },
  knobs: {
    'fork.flush_tlb': ['on', 'off'],
    other: ['migration', 'reclaim'],
    page: ['dirty', 'cached'],
  },
  bounds: 'one fork with one load of the parent after it, one migration or reclaim of the page',
  setup(m, { page: kind }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const page = p.page(x.start);
    page.frame.data!.init(5);
    if (kind === 'cached') {
      m.swapCache(page);
      m.kernel.swap!.slots[0]!.data!.init(5);
    }
    return { p, x, page, c: m.child('C', p) };
  },
  agents: ({ p, x, page, c }, { other }) => ({
    *forker() {
      if ((yield* dup_mmap(c.mm, p.mm)) === 0) see('forked');
      const value = yield* userLoad(x.start);
      yield* claim(value === 5, 'DATA', 'the page has other contents after fork');
    },
    *other() {
      if (other === 'reclaim') yield* shrink_inactive_list([page]);
      else see((yield* migrate_pages([page], 'sync')) === 0 ? 'migrated' : 'gave up');
    },
  }),
  sometimes: ['forked'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'other=reclaim': 'safe',
    'other=reclaim,machine=bcast': 'safe',
    'page=cached': 'safe',
    'other=reclaim,page=cached': 'safe',
    'fork.flush_tlb=off': violates('TLB-PERM'),
    'fork.flush_tlb=off,machine=bcast': violates('TLB-PERM'),
  },
});
