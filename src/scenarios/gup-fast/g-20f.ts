// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, testBits, violates } from '../../litmus/index.js';
import {
  madvise_dontneed,
  madvise_free,
  migrate_pages,
  shrink_inactive_list,
  userLoad,
  userStore,
} from '../../linux/index.js';

/**
 * Reclaim of a page that a parent and its child map, beside somebody else who takes pages from the LRU and out of the
 * page tables: each must find the page whole, or leave it alone.
 */
export default scenario({
  id: 'G-20f',
  family: 'gup-fast',
  title: 'Reclaim against others who unmap the page',
  question: 'What keeps two who take a page out of the page tables from each other?',
  machine: { cpus: 2, frames: 6, swapSlots: 1, data: true },
  knobs: {
    'vmscan.flush_before_free': ['on', 'off'],
    other: ['reclaim', 'migration', 'free', 'dontneed', 'store', 'load'],
    sharers: ['one', 'two'],
    page: ['mapped', 'cached', 'dirty'],
  },
  bounds:
    'one reclaim of one page with one load after it; one reclaim, migration, MADV_FREE, MADV_DONTNEED, store or load beside it',
  setup(m, { sharers, page: kind }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: kind === 'dirty' });
    const c = sharers === 'two' ? m.child('C', p, { cpus: [1], forked: true }) : undefined;
    const page = p.page(x.start);
    page.frame.data!.init(5);
    const slot = m.kernel.swap!.slots[0]!;
    if (kind === 'cached') {
      m.swapCache(page);
      slot.data!.init(5);
    }
    return { p, x, c, page, slot };
  },
  agents: ({ p, x, c, page, slot }, { other }) => ({
    *reclaim() {
      yield* shrink_inactive_list([page]);
      if (yield* testBits(slot.map, 3)) see('swapped out');
      const value = yield* userLoad(x.start);
      const right =
        value === 5 ||
        (value === 0 && (other === 'free' || other === 'dontneed')) ||
        (value === 7 && other === 'store');
      yield* claim(right, 'DATA', 'the page came back with other contents');
    },
    other: {
      cpu: 1,
      process: other === 'load' ? c : undefined,
      *run() {
        if (other === 'reclaim') yield* shrink_inactive_list([page]);
        else if (other === 'migration') yield* migrate_pages([page], 'sync');
        else if (other === 'free') yield* madvise_free(p.mm, x.start, x.end);
        else if (other === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
        else if (other === 'store') yield* userStore(x.start, 7);
        else {
          const value = yield* userLoad(x.start);
          yield* claim(value === 5, 'DATA', 'the child finds other contents');
        }
      },
    },
  }),
  sometimes: ['swapped out'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'other=migration': 'safe',
    'other=migration,page=cached': 'safe',
    'other=free,page=dirty': 'safe',
    'other=store': 'safe',
    'other=dontneed,page=cached': 'safe',
    'other=free,page=cached': 'safe',
    'sharers=two': 'safe',
    'other=migration,sharers=two,page=cached': 'safe',
    'other=load,sharers=two': 'safe',
    'other=load,sharers=two,page=cached': 'safe',
    'vmscan.flush_before_free=off,other=store': violates('TLB-LIVE'),
    'vmscan.flush_before_free=off,other=load,sharers=two': violates('TLB-LIVE'),
  },
});
