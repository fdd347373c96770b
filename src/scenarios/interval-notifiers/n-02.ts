// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, scenario, see } from '../../litmus/index.js';
import { madvise_dontneed, mmu_interval_notifier_insert } from '../../linux/index.js';
import { mirror, serveFault, tearDown } from './mirror.js';

/**
 * The number of a subscription is odd, always: callbacks set odd ones, and an insertion that finds nobody invalidating
 * takes the one before the mm's. So it equals the mm's number only while somebody invalidates, and whoever waits for it
 * to change is woken by the end.
 */
export default scenario({
  id: 'N-02',
  family: 'interval-notifiers',
  title: 'the number that a subscription starts with',
  question: 'Why does a new subscription get an odd number?',
  machine: { cpus: 2, frames: 3, fill: 'demand' },
  knobs: { 'mmu_interval_notifier_insert.idle': ['odd', 'even'] },
  bounds: 'one insertion with one device fault after it, one MADV_DONTNEED of the page',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    const sub = p.intervalNotifier(x, tearDown(gpu0), { inserted: false, ready: true });
    return { p, x, gpu0, sub };
  },
  agents: ({ p, x, gpu0, sub }) => ({
    *worker() {
      yield* mmu_interval_notifier_insert(sub, p.mm, x.start, 1);
      if (yield* serveFault(gpu0, sub, x.start)) see('mapped');
    },
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mmu_interval_notifier_insert.idle=even': deadlocks(),
    'mmu_interval_notifier_insert.idle=even,machine=bcast': deadlocks(),
  },
});
