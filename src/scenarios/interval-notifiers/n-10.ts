// SPDX-License-Identifier: GPL-2.0-only
import { read, scenario, see, violates } from '../../litmus/index.js';
import {
  EBUSY,
  intervalBatch,
  madvise_dontneed,
  MMU_NOTIFY,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
  mutex_lock,
  mutex_unlock,
} from '../../linux/index.js';
import { deviceMap } from '../../machine/machine.js';
import { afterTheHole, covering, split, unmapHole } from './hole.js';
import { look, mirror, serveFault, tearDown } from './mirror.js';

const stale = violates('SPTE-COHERENT');

/**
 * munmap() makes a hole in an interval. Inside of the callback the driver may shrink its interval and insert another one:
 * the tree stands still, so both show in one step, at the last end. Outside of it there is a moment between the two in
 * which nobody is told of what happens to the right part.
 */
export const n10 = scenario({
  id: 'N-10',
  family: 'interval-notifiers',
  title: 'a hole in an interval',
  question: 'How does a driver get from one interval to the two beside a hole?',
  machine: { cpus: 3, frames: 3, ptrsPerPte: 4, fill: 'demand' },
  knobs: {
    how: ['callback', 'outside', 'batch', 'keep', 'refault', 'insert-first'],
    recheck: ['on', 'off'],
    'mmu_interval_notifier.updates': ['v6', 'v5'],
  },
  bounds:
    'a range over the page in the middle as munmap() sends it, MADV_DONTNEED of the right one, one device fault of the right one',
  setup: (m, { how }) => split(m, { how }),
  agents: (it, { how, recheck }) => ({
    *worker() {
      const { p, gpu0, right, covers } = it;
      for (;;) {
        const sub = yield* covering(it);
        const seq = yield* mmu_interval_read_begin(sub);
        const entry = yield* look(p.mm, sub, seq, right.start);
        if (entry === -EBUSY) continue;
        yield* mutex_lock(gpu0.user_lock);
        let retry = yield* mmu_interval_read_retry(sub, seq);
        if (!retry && recheck === 'on') retry = (yield* read(covers)) !== sub.number + 1;
        if (!retry) yield* deviceMap(gpu0.gpu, right.start, entry);
        yield* mutex_unlock(gpu0.user_lock);
        if (!retry) return see('mapped');
      }
    },
    *unmapper() {
      yield* unmapHole(it);
      yield* afterTheHole(it, how);
    },
    *other() {
      yield* madvise_dontneed(it.right.vma, it.right.start, it.right.end);
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'mmu_interval_notifier.updates=v5': 'safe',
    'how=outside': stale,
    'how=outside,mmu_interval_notifier.updates=v5': stale,
    'how=batch': 'safe',
    'how=keep': 'safe',
    'how=refault': 'safe',
    'how=insert-first': 'safe',
    'recheck=off': stale,
    'how=batch,recheck=off': stale,
    'how=insert-first,recheck=off': stale,
    'how=refault,recheck=off': stale,
    'how=keep,recheck=off': 'safe',
  },
});

/**
 * A batch that is no more than an update and an insertion under one hold of the lock asks twice what the state is. If ranges
 * are in flight that hit nobody, the first makes invalidate_seq odd, and the second is put off: up to the last end the
 * right part is in no interval.
 */
export const n10b = scenario({
  id: 'N-10b',
  family: 'interval-notifiers',
  title: 'a batch while ranges are in flight that hit nobody',
  question: 'Is it enough to make two changes of the tree under one hold of the lock?',
  machine: { cpus: 2, frames: 2, ptrsPerPte: 4, fill: 'demand' },
  knobs: { 'mmu_interval_notifier_batch.state': ['once', 'each'] },
  kernelKnobs: { 'mmu_interval_notifier.updates': 'v6' },
  bounds:
    'one batch; MADV_DONTNEED of the right page inside of a range elsewhere; the device has the page mapped',
  setup: (m) => split(m, { how: 'batch', mapped: true }),
  agents: (it) => ({
    *registrar() {
      yield* afterTheHole(it, 'batch');
      see('split');
    },
    *other() {
      const { p, right } = it;
      const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, right.end, right.end + 1);
      yield* mmu_notifier_invalidate_range_start(range);
      yield* madvise_dontneed(right.vma, right.start, right.end);
      yield* mmu_notifier_invalidate_range_end(range);
    },
  }),
  sometimes: ['split'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mmu_interval_notifier_batch.state=each': stale,
  },
});

/**
 * What a batch inserts is where ranges may be in flight that hit nobody, as with any insertion: it counts as hit. Here both
 * intervals come to where there was none, while that is invalidated, or while the old one is.
 */
export const n10c = scenario({
  id: 'N-10c',
  family: 'interval-notifiers',
  title: 'a batch beside ranges that cover what it inserts',
  question: 'Does a batch protect both intervals that it inserts from then on?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 4, fill: 'demand' },
  knobs: {
    fault: ['first', 'second'],
    'mmu_interval_notifier_batch.state': ['once', 'each'],
    'mmu_interval_read_begin.wait': ['on', 'off'],
  },
  kernelKnobs: { 'mmu_interval_notifier.updates': 'v6' },
  bounds:
    'one batch with one device fault after it; a range that hits the old interval, then MADV_DONTNEED of both new ones',
  setup(m) {
    const p = m.process('P', { cpus: [1] });
    const x = p.mmap({ pages: 2, touched: true });
    const gpu0 = mirror(m, p);
    const old = p.intervalNotifier({ start: x.end, end: x.end + 1 }, tearDown(gpu0));
    const fresh = p.intervalNotifier(x, tearDown(gpu0), { inserted: false, ready: true });
    return { p, x, gpu0, old, fresh };
  },
  agents: ({ p, x, gpu0, old, fresh }, { fault }) => ({
    *worker() {
      const [first, second] = [x.start, x.start + 1];
      yield* mutex_lock(gpu0.user_lock);
      yield* intervalBatch(
        { interval_sub: old, start: first, last: first },
        { interval_sub: fresh, start: second, last: second },
      );
      yield* mutex_unlock(gpu0.user_lock);
      const sub = fault === 'first' ? old : fresh;
      if (yield* serveFault(gpu0, sub, fault === 'first' ? first : second)) see('mapped');
    },
    *unmapper() {
      const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, x.end, x.end + 1);
      yield* mmu_notifier_invalidate_range_start(range);
      yield* mmu_notifier_invalidate_range_end(range);
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'fault=second': 'safe',
    'mmu_interval_notifier_batch.state=each': 'safe',
    'fault=second,mmu_interval_notifier_batch.state=each': 'safe',
    'mmu_interval_read_begin.wait=off': stale,
    'fault=second,mmu_interval_read_begin.wait=off': stale,
  },
});
