// SPDX-License-Identifier: GPL-2.0-only
import { livelocks, type Path, read, scenario, see, violates, write } from '../../litmus/index.js';
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
 * A subscription is inserted while a range is being invalidated that has hit another one. The tree stands still, since
 * the walk for the callbacks goes without the lock; so the insertion is left to the last end, and until then the driver
 * waits before it reads the page tables.
 */
export const n06 = scenario({
  id: 'N-06',
  family: 'interval-notifiers',
  title: 'insertion while the tree stands still',
  question: 'What keeps a driver safe whose subscription is not in the tree yet?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 2, fill: 'demand' },
  knobs: {
    'mmu_interval_read_begin.wait': ['on', 'off'],
    'mmu_interval_notifier_insert.full': ['defer', 'at-once'],
  },
  bounds:
    'one insertion with one device fault after it, one MADV_DONTNEED of two pages that hits another subscription',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, touched: true });
    const gpu0 = mirror(m, p);
    p.intervalNotifier({ start: x.start, end: x.start + 1 }, tearDown(gpu0));
    const sub = p.intervalNotifier(x, tearDown(gpu0), { inserted: false });
    return { p, x, gpu0, sub };
  },
  agents: ({ p, x, gpu0, sub }) => ({
    *worker() {
      const addr = x.start + 1;
      yield* mmu_interval_notifier_insert(sub, p.mm, addr, 1);
      if (yield* serveFault(gpu0, sub, addr)) see('mapped');
    },
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mmu_interval_read_begin.wait=off': violates('SPTE-COHERENT'),
    'mmu_interval_notifier_insert.full=at-once': violates('TREE-FROZEN'),
  },
});

/**
 * Why the insertion is deferred and not tried again until the tree may change: ranges that overlap each other keep
 * invalidate_seq odd for as long as they like.
 */
export const n06b = scenario({
  id: 'N-06b',
  family: 'interval-notifiers',
  title: 'insertion that tries again',
  question: 'Does an insertion end that waits for a moment in which nobody invalidates?',
  machine: { cpus: 3, frames: 2, fill: 'demand', seqModulus: 8 },
  knobs: { 'mmu_interval_notifier_insert.full': ['defer', 'retry'] },
  bounds: 'one insertion; two threads that invalidate the range of another subscription until it is done',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    p.intervalNotifier(x, tearDown(gpu0));
    return { p, x, sub: p.intervalNotifier(x, tearDown(gpu0), { inserted: false }), done: m.flag('done') };
  },
  agents({ p, x, sub, done }) {
    function* invalidate(): Path {
      while ((yield* read(done)) === 0) {
        const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, x.start, x.end);
        yield* mmu_notifier_invalidate_range_start(range);
        yield* mmu_notifier_invalidate_range_end(range);
      }
    }
    return {
      *worker() {
        yield* mmu_interval_notifier_insert(sub, p.mm, x.start, 1);
        yield* write(done, 1);
        see('inserted');
      },
      left: invalidate,
      right: invalidate,
    };
  },
  sometimes: ['inserted'],
  expect: {
    base: 'safe',
    'mmu_interval_notifier_insert.full=retry': livelocks(),
  },
});
