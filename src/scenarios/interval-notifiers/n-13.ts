// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, type Path, read, scenario, see, violates, write } from '../../litmus/index.js';
import {
  EBUSY,
  madvise_dontneed,
  mmu_interval_notifier_update,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  mutex_lock,
  mutex_unlock,
} from '../../linux/index.js';
import { deviceFlush, deviceMap, deviceUnmap } from '../../machine/machine.js';
import { look, mirror, serveFault, tearDown } from './mirror.js';

const MACHINE = { cpus: 3, frames: 4, ptrsPerPte: 2, fill: 'demand' } as const;
const stale = violates('SPTE-COHERENT');

/**
 * update() finds invalidate_seq even and a range in flight that has hit nobody: it may be the one that is invalidating
 * what the subscription grows over. An insertion counts as hit then; update(), as posted, does not.
 */
export const n13 = scenario({
  id: 'N-13',
  family: 'interval-notifiers',
  title: 'an interval that grows over a range in flight',
  question: 'What must update() do about a range that began before it?',
  machine: MACHINE,
  knobs: {
    'mmu_interval_notifier.updates': ['v6', 'v5'],
    'mmu_interval_notifier_update.seq': ['marked', 'kept', 'renewed'],
  },
  bounds: 'one update over the second page with one device fault after it, one MADV_DONTNEED of that page',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, touched: true });
    const gpu0 = mirror(m, p);
    const sub = p.intervalNotifier({ start: x.start, end: x.start + 1 }, tearDown(gpu0));
    return { x, gpu0, sub };
  },
  agents: ({ x, gpu0, sub }) => ({
    *worker() {
      const { user_lock } = gpu0;
      yield* mutex_lock(user_lock);
      yield* mmu_interval_notifier_update(sub, x.start, x.end - 1);
      yield* mutex_unlock(user_lock);
      if (yield* serveFault(gpu0, sub, x.end - 1)) see('mapped');
    },
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.end - 1, x.end);
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mmu_interval_notifier.updates=v5': 'safe',
    'mmu_interval_notifier_update.seq=renewed': 'safe',
    'mmu_interval_notifier_update.seq=kept': stale,
    'mmu_interval_notifier.updates=v5,mmu_interval_notifier_update.seq=kept': stale,
  },
});

/**
 * update() shrinks an interval while a driver reads page tables for what is outside of it afterwards. Nothing that is
 * invalidated there is told to that driver any more. Either the numbers say so (a new one, and a look at the bounds behind
 * mmu_interval_read_begin()), or the driver looks at the bounds where it looks at the number, under its lock.
 */
export const n13b = scenario({
  id: 'N-13b',
  family: 'interval-notifiers',
  title: 'an interval that shrinks under a reader',
  question: 'How does a driver notice that its interval has shrunk?',
  machine: MACHINE,
  knobs: {
    'mmu_interval_notifier.updates': ['v6', 'v5'],
    'mmu_interval_notifier_update.seq': ['renewed', 'marked', 'kept'],
    bounds: ['behind-begin', 'at-install'],
    shrink: ['locked', 'update-first', 'unlocked'],
    release: ['defined', 'none'],
  },
  bounds: 'one device fault of the second page, one update that leaves it out, one MADV_DONTNEED of it',
  setup(m, { release }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, touched: true });
    const gpu0 = mirror(m, p);
    const ops = tearDown(gpu0);
    // v5: without it update() waits for the end, so it may not be called under a lock that a callback takes.
    if (release === 'defined') ops.release = function* () {};
    return { x, gpu0, sub: p.intervalNotifier(x, ops), shrunk: m.flag('shrunk') };
  },
  agents({ x, gpu0, sub, shrunk }, { bounds, shrink }) {
    const { mm, gpu, user_lock } = gpu0;
    const addr = x.end - 1;
    /** Whether the page is outside of the interval, as the driver knows it. */
    function* isOutside(): Path<boolean> {
      yield* mutex_lock(user_lock);
      const outside = (yield* read(shrunk)) !== 0;
      yield* mutex_unlock(user_lock);
      return outside;
    }
    return {
      *worker() {
        for (;;) {
          const seq = yield* mmu_interval_read_begin(sub);
          if (yield* isOutside()) return see('outside');
          const entry = yield* look(mm, sub, seq, addr);
          if (entry === -EBUSY) continue;
          yield* mutex_lock(user_lock);
          let retry = yield* mmu_interval_read_retry(sub, seq);
          if (!retry && bounds === 'at-install') retry = (yield* read(shrunk)) !== 0;
          if (!retry) yield* deviceMap(gpu, addr, entry);
          yield* mutex_unlock(user_lock);
          if (!retry) return see('mapped');
        }
      },
      *registrar() {
        yield* mutex_lock(user_lock);
        yield* write(shrunk, 1);
        if (shrink === 'update-first') yield* mmu_interval_notifier_update(sub, x.start, addr - 1);
        yield* deviceUnmap(gpu, addr, addr + 1);
        yield* deviceFlush(gpu, addr, addr + 1);
        if (shrink === 'locked') yield* mmu_interval_notifier_update(sub, x.start, addr - 1);
        yield* mutex_unlock(user_lock);
        if (shrink === 'unlocked') yield* mmu_interval_notifier_update(sub, x.start, addr - 1);
      },
      *unmapper() {
        yield* madvise_dontneed(x.vma, addr, x.end);
      },
    };
  },
  sometimes: ['mapped', 'outside'],
  expect: {
    base: 'safe',
    'mmu_interval_notifier.updates=v5': 'safe',
    'mmu_interval_notifier_update.seq=marked': stale,
    'mmu_interval_notifier_update.seq=kept': stale,
    'mmu_interval_notifier.updates=v5,mmu_interval_notifier_update.seq=kept': stale,
    'mmu_interval_notifier_update.seq=kept,bounds=at-install': 'safe',
    'mmu_interval_notifier.updates=v5,mmu_interval_notifier_update.seq=kept,bounds=at-install': 'safe',
    'release=none': 'safe',
    'mmu_interval_notifier.updates=v5,release=none': deadlocks({ reports: ['LOCK-ORDER'] }),
    'shrink=update-first': stale,
    'shrink=unlocked': violates('SPTE-COHERENT', { reports: ['DATA-RACE'] }),
    'mmu_interval_notifier_update.seq=kept,bounds=at-install,shrink=update-first': stale,
  },
});
