// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, livelocks, scenario, see, violates, write } from '../../litmus/index.js';
import { dup_mmap, migrate_pages, shrink_inactive_list, userLoad, userStore } from '../../linux/index.js';

/**
 * A page that fork shares is unmapped from both processes, and comes back to both: as a page that may be shared. If one
 * of the entries said "exclusive", its process would store into the page of the other.
 */
export default scenario({
  id: 'G-01i',
  family: 'gup-fast',
  title: 'Swap-out and migration of a page that fork shares',
  question: 'Does a page that fork shares stay copy-on-write when it is swapped out or migrated meanwhile?',
  machine: { cpus: 2, frames: 5, swapSlots: 1, data: true, rcuCallbacks: 0, fill: 'demand' },
  knobs: {
    'fork.swp_exclusive': ['clear', 'keep'],
    'fork.anon_vma_lock': ['on', 'off'],
    by: ['swap-out', 'migration'],
  },
  bounds:
    'one fork and one store of the parent, one swap-out or migration of the page, one load of the child',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const page = p.page(x.start);
    page.frame.data!.init(5);
    return { p, x, c: m.child('C', p, { cpus: [1] }), page, forked: m.kernel.system.cell('forked') };
  },
  agents: ({ p, x, c, page, forked }, { by }) => ({
    *parent() {
      yield* dup_mmap(c.mm, p.mm);
      yield* write(forked, 1);
      yield* userStore(x.start, 7);
    },
    child: {
      cpu: 1,
      process: c,
      *run() {
        if (by === 'swap-out') yield* shrink_inactive_list([page]);
        else yield* migrate_pages([page], 'sync');
        yield* awaitValue(forked, 1);
        const value = yield* userLoad(x.start);
        yield* claim(value === 5, 'COW-ISO', 'the child reads what the parent stored after fork');
        see('loaded');
      },
    },
  }),
  sometimes: ['loaded'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'by=migration': 'safe',
    'by=migration,machine=bcast': 'safe',
    'fork.swp_exclusive=keep': violates('ANON-EXCL'),
    'fork.swp_exclusive=keep,machine=bcast': violates('ANON-EXCL'),
    // A migration entry stays behind in the child, and its fault waits for ever.
    'fork.anon_vma_lock=off,by=migration': livelocks(),
    'fork.anon_vma_lock=off,by=migration,machine=bcast': livelocks(),
  },
});
