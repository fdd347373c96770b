// SPDX-License-Identifier: GPL-2.0-only
/** mm/mmu_notifier.c: interval subscriptions come and go, whatever is being invalidated meanwhile. */
import { request, type Path } from '../../core/path.js';
import {
  claim,
  equals,
  lockMapAcquire,
  lockMapRelease,
  read,
  setBits,
  write,
} from '../../core/primitives.js';
import { EINVAL, EOVERFLOW } from '../include/errno.js';
import { mmap_assert_write_locked } from '../include/lockdep.js';
import type { Mm } from '../include/mm_types.js';
import type {
  MmuIntervalNotifier,
  MmuIntervalNotifierOps,
  MmuNotifierSubscriptions,
} from '../include/mmu_notifier.js';
import { current, knob } from '../kernel.js';
import { __mmdrop } from '../kernel/fork.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { hasItree, mn_itree_is_invalidating, waitForSeq } from './mmu_notifier.js';
import { __mmu_notifier_register, mmu_notifier_register } from './mmu_notifier-list.js';
import { removeProposed } from './mmu_notifier-proposals.js';

/** The number that invSeqEven made this one from. */
export function previousSeq(seq: number): number {
  const modulus = current.kernel.options.seqModulus ?? 0;
  return modulus === 0 ? seq - 1 : (seq + modulus - 1) % modulus;
}

/**
 * What an insertion does under the lock. While an invalidation is under way nobody knows what it covers, so the
 * subscription counts as hit; while the tree stands still, linking it is left to the last end. Its number is always odd,
 * as callbacks set it.
 * @context subscriptions->lock held
 */
export function* linkInterval(
  interval_sub: MmuIntervalNotifier,
  subscriptions: MmuNotifierSubscriptions,
): Path {
  const { op } = current.kernel;
  const partial = knob('mmu_interval_notifier_insert.partial');
  const full = knob('mmu_interval_notifier_insert.full');
  const active = !(yield* equals(subscriptions.active_invalidate_ranges, 0));
  const odd = active && (yield* mn_itree_is_invalidating(subscriptions));
  if (active && (odd || partial !== 'as-idle')) {
    if (odd && full === 'defer') yield* request(op.deferredAdd, interval_sub.number);
    else {
      if (!odd && partial === 'mark') yield* setBits(subscriptions.invalidate_seq, 1);
      yield* request(op.itreeInsert, interval_sub.number);
    }
    yield* write(interval_sub.invalidate_seq, yield* read(subscriptions.invalidate_seq));
  } else {
    const seq = yield* read(subscriptions.invalidate_seq);
    yield* claim(
      (seq & 1) === 0,
      'WARN-ON',
      'the number is odd and nobody invalidates (mmu_interval_notifier_insert)',
    );
    const own = knob('mmu_interval_notifier_insert.idle') === 'even' ? seq : previousSeq(seq);
    yield* write(interval_sub.invalidate_seq, own);
    yield* request(op.itreeInsert, interval_sub.number);
  }
}

/**
 * Makes a subscription known to the mm: see {@link linkInterval}.
 * @context does not sleep
 * @kernel 6.12 mm/mmu_notifier.c __mmu_interval_notifier_insert: adapted (mm_users is looked at, without the WARN_ON(), where the scenario counts them; fields and mmgrab() are one step)
 */
export function* __mmu_interval_notifier_insert(
  interval_sub: MmuIntervalNotifier,
  subscriptions: MmuNotifierSubscriptions,
  start: number,
  length: number,
): Path<number> {
  const { op } = current.kernel;
  const { mm_users } = interval_sub.mm;
  if (length === 0) return -EOVERFLOW;
  if (mm_users !== undefined && (yield* equals(mm_users, 0))) return -EINVAL;
  yield* request(op.intervalInit, interval_sub.number, start, start + length - 1);
  yield* spin_lock(subscriptions.lock);
  if (knob('mmu_interval_notifier_insert.full') === 'retry') {
    while (yield* mn_itree_is_invalidating(subscriptions)) {
      yield* spin_unlock(subscriptions.lock);
      yield* spin_lock(subscriptions.lock);
    }
  }
  yield* linkInterval(interval_sub, subscriptions);
  yield* spin_unlock(subscriptions.lock);
  return 0;
}

/** Whether the mm has had interval notifiers: it has subscriptions, with a tree. @context any */
export function* isReady(subscriptions: MmuNotifierSubscriptions): Path<boolean> {
  const { installed } = subscriptions;
  return (installed === undefined || (yield* read(installed)) !== 0) && (yield* hasItree(subscriptions));
}

export function sameOps(interval_sub: MmuIntervalNotifier, mm: Mm, ops: MmuIntervalNotifierOps): void {
  if (interval_sub.mm !== mm || interval_sub.ops !== ops)
    throw new Error(`expected ${interval_sub.name} to be inserted with the mm and ops that set-up gave it`);
}

/**
 * Subscribes to [start, start + length). The mm's first one takes mmap_lock, and lockdep is told that it may.
 * @context may sleep; the caller has mm_users
 * @kernel 6.12 mm/mmu_notifier.c mmu_interval_notifier_insert: faithful
 */
export function* mmu_interval_notifier_insert(
  interval_sub: MmuIntervalNotifier,
  mm: Mm,
  start: number,
  length: number,
  ops: MmuIntervalNotifierOps = interval_sub.ops,
): Path<number> {
  sameOps(interval_sub, mm, ops);
  lockMapAcquire(mm.mmap_lock.count); // might_lock()
  lockMapRelease(mm.mmap_lock.count);
  const subscriptions = mm.notifier_subscriptions!;
  if (!(yield* isReady(subscriptions))) {
    const ret = yield* mmu_notifier_register(undefined, mm);
    if (ret !== 0) return ret;
  }
  return yield* __mmu_interval_notifier_insert(interval_sub, subscriptions, start, length);
}

/**
 * As mmu_interval_notifier_insert() for who has mmap_lock.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/mmu_notifier.c mmu_interval_notifier_insert_locked: faithful
 */
export function* mmu_interval_notifier_insert_locked(
  interval_sub: MmuIntervalNotifier,
  mm: Mm,
  start: number,
  length: number,
  ops: MmuIntervalNotifierOps = interval_sub.ops,
): Path<number> {
  sameOps(interval_sub, mm, ops);
  mmap_assert_write_locked(mm);
  const subscriptions = mm.notifier_subscriptions!;
  if (!(yield* isReady(subscriptions))) {
    const ret = yield* __mmu_notifier_register(undefined, mm);
    if (ret !== 0) return ret;
  }
  return yield* __mmu_interval_notifier_insert(interval_sub, subscriptions, start, length);
}

/**
 * Ends an interval subscription. While the tree stands still that is left to the last end, and waited for.
 * @context may sleep; not from a callback, and no lock held that a callback takes
 * @kernel 6.12 mm/mmu_notifier.c mmu_interval_notifier_remove: adapted (no might_sleep(): what it may wait for is on lockdep's map)
 */
export function* mmu_interval_notifier_remove(interval_sub: MmuIntervalNotifier): Path {
  if (knob('mmu_interval_notifier.updates') !== 'none') return yield* removeProposed(interval_sub);
  const subscriptions = interval_sub.mm.notifier_subscriptions!;
  const { op, __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  let seq = 0;
  yield* spin_lock(subscriptions.lock);
  if (yield* mn_itree_is_invalidating(subscriptions)) {
    if (yield* equals(interval_sub.in_tree, 0)) yield* request(op.deferredDel, interval_sub.number);
    else {
      yield* request(op.deferredAdd, interval_sub.number);
      seq = yield* read(subscriptions.invalidate_seq);
    }
  } else yield* request(op.itreeRemove, interval_sub.number);
  yield* spin_unlock(subscriptions.lock);
  lockMapAcquire(map!);
  lockMapRelease(map!);
  const wait = knob('mmu_interval_notifier_remove.wait');
  if (seq !== 0 && wait !== 'none') yield* waitForSeq(subscriptions, seq, wait === 'locked');
  if (yield* request(op.subscriptionDrop, interval_sub.number, 0)) yield* __mmdrop(interval_sub.mm);
}
