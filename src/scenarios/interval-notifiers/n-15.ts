// SPDX-License-Identifier: GPL-2.0-only
import {
  deadlocks,
  leaks,
  type Path,
  read,
  safe,
  scenario,
  see,
  violates,
  write,
} from '../../litmus/index.js';
import {
  madvise_dontneed,
  MMU_NOTIFY,
  mmu_interval_notifier_insert_safe,
  mmu_interval_notifier_put,
  mmu_interval_notifier_remove,
  mmu_interval_notifier_update,
  mmu_interval_read_begin,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  mutex_lock,
  mutex_unlock,
} from '../../linux/index.js';
import { mirror, tearDown } from './mirror.js';

/**
 * A driver gives a subscription up where it can't wait, and is told when nobody uses it any more: once, after its last
 * callback. That holds for one put(), and for one after an insertion or an update that is still queued. Nothing stands in
 * the way of a second one, nor of an update behind it: both queue what is queued.
 */
export const n15 = scenario({
  id: 'N-15',
  family: 'interval-notifiers',
  title: 'a subscription is released when nobody uses it',
  question: 'What may a driver call before and after it has given a subscription up?',
  machine: { cpus: 3, frames: 3, ptrsPerPte: 2, fill: 'demand' },
  knobs: {
    'mmu_interval_notifier.updates': ['v6', 'v5'],
    calls: ['put', 'put-put', 'put-update', 'update-put', 'update-later-put', 'insert-put'],
    from: ['callback', 'thread', 'locked-thread'],
    release: ['locks', 'frees'],
    'mmu_interval_notifier_update.sentinel': ['last', 'empty-removes', 'empty-inserts'],
  },
  bounds:
    'one MADV_DONTNEED of the page and one more range that hits it; the calls are made once, at any time or by the first callback',
  setup(m, { 'mmu_interval_notifier.updates': updates, calls, from, release }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, at: 1 });
    const gpu0 = mirror(m, p);
    const { user_lock } = gpu0;
    const ops = tearDown(gpu0);
    const given = m.flag('given up');
    // v5 has no put(): with ops->release remove() is one.
    const put = updates === 'v6' ? mmu_interval_notifier_put : mmu_interval_notifier_remove;
    function* giveUp(sub: MmuIntervalNotifier): Path {
      if (calls === 'insert-put') {
        yield* mmu_interval_notifier_insert_safe(other, p.mm, x.start, 1);
        return yield* put(other);
      }
      if (calls === 'update-put') yield* mmu_interval_notifier_update(sub, x.start, x.end - 1);
      yield* put(sub);
      if (calls === 'put-put') yield* put(sub);
      if (calls === 'put-update') yield* mmu_interval_notifier_update(sub, x.start, x.end - 1);
    }
    const releasing: MmuIntervalNotifierOps = {
      *invalidate(sub, range, cur_seq) {
        yield* ops.invalidate(sub, range, cur_seq);
        if (from !== 'callback') return true;
        yield* mutex_lock(user_lock);
        const before = yield* read(given);
        yield* write(given, before + 1);
        // Under the lock, or the other callback may come between: an update behind the put() again.
        if (calls === 'update-later-put' && before === 0)
          yield* mmu_interval_notifier_update(sub, x.start, x.end - 1);
        else if (calls === 'update-later-put') yield* put(sub);
        yield* mutex_unlock(user_lock);
        if (calls !== 'update-later-put' && before === 0) yield* giveUp(sub);
        return true;
      },
      *release() {
        if (release === 'locks') {
          yield* mutex_lock(user_lock);
          yield* mutex_unlock(user_lock);
        }
        see('released');
      },
    };
    const sub = p.intervalNotifier(x, releasing);
    const other = p.intervalNotifier(x, releasing, { inserted: false, ready: true });
    return { p, x, gpu0, sub, giveUp };
  },
  agents: ({ p, x, gpu0: { user_lock }, sub, giveUp }, { from }) => ({
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
    *other() {
      const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, x.start, x.end);
      yield* mmu_notifier_invalidate_range_start(range);
      yield* mmu_notifier_invalidate_range_end(range);
    },
    ...(from !== 'callback' && {
      *registrar() {
        if (from === 'locked-thread') yield* mutex_lock(user_lock);
        yield* giveUp(sub);
        if (from === 'locked-thread') yield* mutex_unlock(user_lock);
      },
    }),
  }),
  sometimes: ['released'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mmu_interval_notifier.updates=v5': 'safe',
    'calls=update-put': 'safe',
    'calls=update-later-put': 'safe',
    'calls=update-later-put,mmu_interval_notifier_update.sentinel=empty-removes': 'safe',
    'calls=update-put,mmu_interval_notifier_update.sentinel=empty-removes': 'safe',
    'calls=insert-put': 'safe',
    'mmu_interval_notifier.updates=v5,calls=update-put': 'safe',
    'mmu_interval_notifier.updates=v5,calls=insert-put': 'safe',
    'calls=put-put': violates('LIST-CORRUPT'),
    'calls=put-update': violates('LIST-CORRUPT'),
    'mmu_interval_notifier.updates=v5,calls=put-put': violates('LIST-CORRUPT'),
    'mmu_interval_notifier.updates=v5,calls=put-update': violates('LIST-CORRUPT'),
    'mmu_interval_notifier_update.sentinel=empty-removes': 'safe',
    'mmu_interval_notifier_update.sentinel=empty-inserts': leaks('SUB-LIFE'),
    'from=thread': 'safe',
    'calls=update-put,from=thread': 'safe',
    'calls=insert-put,from=thread': 'safe',
    'from=locked-thread': deadlocks({ reports: ['LOCK-ORDER'] }),
    'from=locked-thread,release=frees': 'safe',
    'mmu_interval_notifier.updates=v5,from=locked-thread': deadlocks({ reports: ['LOCK-ORDER'] }),
  },
});

/**
 * The last end wakes who waits for the number, and calls the releases. v5 wakes first; v6 has the releases before it, so a
 * release that takes a lock waits for its holder, who is not woken before the release returns. Lockdep objects to both: the
 * driver waits with a lock that a callback takes.
 */
export const n15b = scenario({
  id: 'N-15b',
  family: 'interval-notifiers',
  title: 'releases, and who is woken',
  question: 'Does the last end wake who waits before it calls the releases?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 2, fill: 'demand' },
  knobs: { 'mmu_interval_notifier.updates': ['v5', 'v6'], release: ['locks', 'frees'] },
  bounds:
    'one MADV_DONTNEED that hits two subscriptions and gives one up, one read_begin of the other under a lock',
  setup(m, { release }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, touched: true });
    const gpu0 = mirror(m, p);
    const context = m.mutex('context');
    const ops = tearDown(gpu0);
    const leaving: MmuIntervalNotifierOps = {
      *invalidate(sub, range, cur_seq) {
        yield* ops.invalidate(sub, range, cur_seq);
        yield* mmu_interval_notifier_put(sub);
        return true;
      },
      *release() {
        if (release === 'locks') {
          yield* mutex_lock(context);
          yield* mutex_unlock(context);
        }
        see('released');
      },
    };
    p.intervalNotifier({ start: x.start, end: x.start + 1 }, leaving);
    return { x, context, sub: p.intervalNotifier({ start: x.start + 1, end: x.end }, ops) };
  },
  agents: ({ x, context, sub }) => ({
    *worker() {
      yield* mutex_lock(context);
      yield* mmu_interval_read_begin(sub);
      yield* mutex_unlock(context);
    },
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['released'],
  expect: {
    base: safe({ reports: ['LOCK-ORDER'] }),
    'release=frees': 'safe',
    'mmu_interval_notifier.updates=v6': deadlocks({ reports: ['LOCK-ORDER'] }),
    'mmu_interval_notifier.updates=v6,release=frees': 'safe',
  },
});
