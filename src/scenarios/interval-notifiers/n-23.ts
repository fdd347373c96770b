// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  MMU_NOTIFY,
  mmdrop,
  mmget_not_zero,
  mmput,
  mmu_interval_notifier_insert,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../../linux/index.js';
import { mirror, serveFault, tearDown } from './mirror.js';

/**
 * A driver inserts a subscription while the process exits. mmu_interval_notifier_insert() looks at mm_users, but that is
 * no lock: only who holds a user keeps exit_mmap() away, and can be sure that MMU_NOTIFY_RELEASE reaches the subscription.
 * The driver has kept the mm with mmgrab() since it was opened.
 *
 * Even so the release misses a subscription whose insertion waits for the end of a range that needs no mmap_lock. Its
 * driver has nothing mapped, since mmu_interval_read_begin() would have waited for that end as well.
 */
export default scenario({
  id: 'N-23',
  family: 'interval-notifiers',
  title: 'insertion beside exit',
  question: 'What must a driver hold to insert a subscription, and who tells it that the process goes?',
  machine: { cpus: 3, frames: 2, fill: 'demand', rcuCallbacks: 0 },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  knobs: {
    holds: ['mm_users', 'mm_count', 'nothing'],
    fault: ['now', 'later'],
    beside: ['nothing', 'range'],
  },
  bounds:
    'one insertion with one device fault after it and one removal, one exit; perhaps a range that another subscription hears of, begun without mmap_lock as reclaim does',
  setup(m, { holds, beside }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    p.users(1);
    const sub = p.intervalNotifier(x, tearDown(gpu0), { inserted: false, ready: true });
    if (beside === 'range') p.intervalNotifier(x, tearDown(gpu0));
    if (holds !== 'nothing') p.grabbed(1);
    return { p, x, gpu0, sub };
  },
  agents: ({ p, x, gpu0, sub }, { holds, fault, beside }) => ({
    *worker() {
      const user = holds === 'mm_users' && (yield* mmget_not_zero(p.mm));
      if (holds === 'mm_users' && !user) see('too late');
      else if ((yield* mmu_interval_notifier_insert(sub, p.mm, x.start, 1)) !== 0) see('refused');
      else if (fault === 'now' && (yield* serveFault(gpu0, sub, x.start))) see('mapped');
      if (user) yield* mmput(p.mm);
      if (holds !== 'nothing') yield* mmdrop(p.mm);
    },
    *exit() {
      yield* mmput(p.mm);
    },
    ...(beside === 'range' && {
      *reclaimer() {
        const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, x.start, x.end);
        yield* mmu_notifier_invalidate_range_start(range);
        yield* mmu_notifier_invalidate_range_end(range);
      },
    }),
  }),
  sometimes: ['mapped', 'too late'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'holds=mm_count': violates('NOTIFY-RELEASE'),
    'holds=nothing': violates('MM-LIFE'),
    'beside=range': 'safe',
    // The insertion is on deferred_list, the reclaimer's end is still to come: the walk for RELEASE does not see it.
    'fault=later,beside=range': violates('NOTIFY-RELEASE'),
  },
});
