// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  madvise_dontneed,
  MMU_NOTIFY,
  mmu_interval_notifier_insert,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../../linux/index.js';
import { mirror, serveFault, tearDown } from './mirror.js';

/**
 * Since 5.18 removal looks at the number under the lock; mmu_interval_read_begin() still does not. It may: whatever is
 * invalidated later takes the lock after the last end has made up for the deferred list, so it finds the subscription.
 */
export default scenario({
  id: 'N-18',
  family: 'interval-notifiers',
  title: 'read_begin looks without the lock',
  question: 'May mmu_interval_read_begin() wait for the number without the lock?',
  machine: { cpus: 3, frames: 4, ptrsPerPte: 2, fill: 'demand' },
  knobs: {
    'mmu_interval_read_begin.test': ['lockless', 'locked'],
    'mn_itree_inv_end.deferred': ['locked', 'unlocked'],
  },
  bounds:
    'one insertion, deferred or not, with one device fault; a range that hits another subscription; MADV_DONTNEED',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, touched: true });
    const gpu0 = mirror(m, p);
    p.intervalNotifier({ start: x.start, end: x.start + 1 }, tearDown(gpu0));
    return { p, x, gpu0, sub: p.intervalNotifier(x, tearDown(gpu0), { inserted: false }) };
  },
  agents: ({ p, x, gpu0, sub }) => ({
    *worker() {
      const addr = x.start + 1;
      yield* mmu_interval_notifier_insert(sub, p.mm, addr, 1);
      if (yield* serveFault(gpu0, sub, addr)) see('mapped');
    },
    *other() {
      const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, x.start, x.start + 1);
      yield* mmu_notifier_invalidate_range_start(range);
      yield* mmu_notifier_invalidate_range_end(range);
    },
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start + 1, x.end);
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mmu_interval_read_begin.test=locked': 'safe',
    'mn_itree_inv_end.deferred=unlocked': violates('SPTE-COHERENT'),
    'mmu_interval_read_begin.test=locked,mn_itree_inv_end.deferred=unlocked': violates('SPTE-COHERENT'),
  },
});
