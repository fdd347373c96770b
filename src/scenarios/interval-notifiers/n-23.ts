// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  mmdrop,
  mmget_not_zero,
  mmput,
  mmu_interval_notifier_insert,
  shrink_inactive_list,
} from '../../linux/index.js';
import { mirror, serveFault, tearDown } from './mirror.js';

/**
 * A driver inserts a subscription while the process exits. mmu_interval_notifier_insert() looks at mm_users, but that is
 * no lock: only who holds a user keeps exit_mmap() away, and can be sure that MMU_NOTIFY_RELEASE reaches the subscription.
 * The driver has kept the mm with mmgrab() since it was opened.
 */
export default scenario({
  id: 'N-23',
  family: 'interval-notifiers',
  title: 'insertion beside exit',
  question: 'What must a driver hold to insert a subscription, and who tells it that the process goes?',
  machine: { cpus: 3, frames: 3, fill: 'demand', swapSlots: 1, rcuCallbacks: 0 },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  knobs: {
    holds: ['mm_users', 'mm_count', 'nothing'],
    beside: ['nothing', 'reclaim'],
  },
  bounds: 'one insertion with one device fault after it and one removal, one exit; perhaps the reclaim of a page that another subscription covers',
  setup(m, { holds, beside }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    p.users(1);
    const sub = p.intervalNotifier(x, tearDown(gpu0), { inserted: false, ready: true });
    if (beside === 'reclaim') p.intervalNotifier(x, tearDown(gpu0));
    if (holds !== 'nothing') p.grabbed(1);
    const page = beside === 'reclaim' ? p.page(x.start) : undefined;
    return { p, x, gpu0, sub, page };
  },
  agents: ({ p, x, gpu0, sub, page }, { holds }) => ({
    *worker() {
      const user = holds === 'mm_users' && (yield* mmget_not_zero(p.mm));
      if (holds === 'mm_users' && !user) see('too late');
      else if ((yield* mmu_interval_notifier_insert(sub, p.mm, x.start, 1)) !== 0) see('refused');
      else if (yield* serveFault(gpu0, sub, x.start)) see('mapped');
      if (user) yield* mmput(p.mm);
      if (holds !== 'nothing') yield* mmdrop(p.mm);
    },
    *exit() {
      yield* mmput(p.mm);
    },
    ...(page !== undefined && {
      *reclaimer() {
        yield* shrink_inactive_list([page]);
      },
    }),
  }),
  sometimes: ['mapped', 'too late'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'holds=mm_count': violates('NOTIFY-RELEASE'),
    'holds=nothing': violates('MM-LIFE'),
    'beside=reclaim': 'safe',
  },
});
