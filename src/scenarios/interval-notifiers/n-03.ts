// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, deadlocks, type Path, scenario, see, violates, write } from '../../litmus/index.js';
import {
  madvise_dontneed,
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../../linux/index.js';
import { mirror, serveFault, tearDown } from './mirror.js';

/**
 * The numbers wrap. With a word of 64 bits nobody has seen it; here they wrap at 4 or 8. Of the numbers below a modulus m
 * half are odd: after m/2 hits of one subscription its number is again the one that a reader has taken.
 */
export const n03 = scenario({
  id: 'N-03',
  family: 'interval-notifiers',
  title: 'numbers that wrap, seen by a reader',
  question: 'How many invalidations may hit within one read section?',
  machine: ({ modulus }) => ({ cpus: 2, frames: 3, fill: 'demand', seqModulus: Number(modulus) }),
  knobs: { modulus: ['4', '8'], hits: ['1', '2', '3', '4'] },
  bounds: 'one device fault; up to three ranges that hit its page, then MADV_DONTNEED of it',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    return { p, x, gpu0, sub: p.intervalNotifier(x, tearDown(gpu0)) };
  },
  agents: ({ p, x, gpu0, sub }, { hits }) => ({
    *worker() {
      if (yield* serveFault(gpu0, sub, x.start)) see('mapped');
    },
    *unmapper() {
      for (let hit = 1; hit < Number(hits); hit++) {
        const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, x.start, x.end);
        yield* mmu_notifier_invalidate_range_start(range);
        yield* mmu_notifier_invalidate_range_end(range);
      }
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'hits=2': violates('SPTE-COHERENT'),
    'hits=3': violates('SPTE-COHERENT'),
    'modulus=8,hits=2': 'safe',
    'modulus=8,hits=3': 'safe',
    'modulus=8,hits=4': violates('SPTE-COHERENT'),
  },
});

/**
 * A subscription that nobody hits keeps its number, and the mm's number comes round to it: the driver waits, and
 * needlessly. It waits for the end of those ranges that are under way then, for none that comes later. That it waits is
 * seen where the last range ends only after it.
 */
export const n03b = scenario({
  id: 'N-03b',
  family: 'interval-notifiers',
  title: 'numbers that wrap, seen by who waits',
  question: 'For what does a driver wait whose number the mm comes round to?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 2, fill: 'demand', seqModulus: 4 },
  knobs: { hits: ['2', '1'], end: ['at-once', 'after-the-driver'] },
  bounds: 'one device fault; one or two ranges that hit another subscription, modulus 4',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, touched: true });
    const gpu0 = mirror(m, p);
    const sub = p.intervalNotifier({ start: x.start, end: x.start + 1 }, tearDown(gpu0));
    p.intervalNotifier({ start: x.start + 1, end: x.end }, tearDown(gpu0));
    return { p, x, gpu0, sub, mapped: m.flag('mapped') };
  },
  agents: ({ p, x, gpu0, sub, mapped }, { hits, end }) => {
    function* invalidate(last: boolean): Path {
      const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, x.start + 1, x.end);
      yield* mmu_notifier_invalidate_range_start(range);
      if (last && end === 'after-the-driver') yield* awaitValue(mapped, 1);
      yield* mmu_notifier_invalidate_range_end(range);
    }
    return {
      *worker() {
        if (yield* serveFault(gpu0, sub, x.start)) see('mapped');
        yield* write(mapped, 1);
      },
      *unmapper() {
        for (let hit = 1; hit <= Number(hits); hit++) yield* invalidate(hit === Number(hits));
      },
    };
  },
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'end=after-the-driver': deadlocks(),
    'hits=1,end=after-the-driver': 'safe',
  },
});
