// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, read, scenario, see, violates, write } from '../../litmus/index.js';
import {
  EBUSY,
  madvise_dontneed,
  mmu_interval_notifier_find,
  mmu_interval_notifier_find_unlock,
  mmu_interval_notifier_put,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  type MmuIntervalNotifierOps,
  mutex_lock,
  mutex_unlock,
} from '../../linux/index.js';
import { deviceFlush, deviceMap, deviceUnmap } from '../../machine/machine.js';
import { look, mirror, tearDown } from './mirror.js';

/**
 * A driver looks its subscription up to serve a fault. What keeps the memory of it does not keep it in the tree: with a
 * reference the driver has to see, under its lock, that it was not given up meanwhile. And who has the tree locked for
 * read may not begin to read: if a range hits beside it, mmu_interval_read_begin() waits for an end that is its own.
 */
export default scenario({
  id: 'N-19c',
  family: 'interval-notifiers',
  title: 'a fault is served by what find() returned',
  question: 'What does a driver need besides what keeps the subscription alive?',
  machine: { cpus: 3, frames: 3, fill: 'demand' },
  knobs: {
    'mmu_interval_notifier_find.hold': ['refcount', 'read-locked', 'none'],
    recheck: ['on', 'off'],
  },
  kernelKnobs: { 'mmu_interval_notifier.updates': 'v6' },
  bounds: 'one device fault, one put with the page taken off the device, one MADV_DONTNEED of the page',
  setup(m) {
    const p = m.process('P', { cpus: [1] });
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    const ops: MmuIntervalNotifierOps = { ...tearDown(gpu0), *release() {} };
    return { p, x, gpu0, ops, sub: p.intervalNotifier(x, ops), gone: m.flag('given up') };
  },
  agents: ({ p, x, gpu0: { gpu, user_lock }, ops, sub, gone }, { recheck }) => ({
    *worker() {
      const found = yield* mmu_interval_notifier_find(p.mm, ops, x.start, x.start);
      if (found === undefined) return see('not found');
      for (let done = false; !done;) {
        const seq = yield* mmu_interval_read_begin(found);
        const entry = yield* look(p.mm, found, seq, x.start);
        if (entry === -EBUSY) continue;
        yield* mutex_lock(user_lock);
        const left = recheck === 'on' && (yield* read(gone)) !== 0;
        done = left || !(yield* mmu_interval_read_retry(found, seq));
        if (done && !left) {
          yield* deviceMap(gpu, x.start, entry);
          see('mapped');
        }
        yield* mutex_unlock(user_lock);
      }
      yield* mmu_interval_notifier_find_unlock(found);
    },
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
    *registrar() {
      yield* mutex_lock(user_lock);
      yield* write(gone, 1);
      yield* deviceUnmap(gpu, x.start, x.end);
      yield* deviceFlush(gpu, x.start, x.end);
      yield* mmu_interval_notifier_put(sub);
      yield* mutex_unlock(user_lock);
    },
  }),
  sometimes: ['mapped', 'not found'],
  expect: {
    base: 'safe',
    'recheck=off': violates('SPTE-COHERENT'),
    'mmu_interval_notifier_find.hold=read-locked': deadlocks({ reports: ['LOCK-ORDER'] }),
    'mmu_interval_notifier_find.hold=none': violates('SUB-LIFE'),
  },
});
