// SPDX-License-Identifier: GPL-2.0-only
/**
 * mm/mmu_notifier.c as posted in v5 (16 Dec 2019) and v6 (13 Jan 2020): a subscription that is given up, or changes its
 * range, from its own callback. Never merged: knob mmu_interval_notifier.updates. find() and the batch, which only mails
 * spoke of, are in mmu_notifier-find.ts.
 */
import { request, type Path } from '../../core/path.js';
import {
  claim,
  clearBits,
  equals,
  lockMapAcquire,
  lockMapRelease,
  read,
  setBits,
  subAndTest,
  write,
} from '../../core/primitives.js';
import { EINVAL, EOVERFLOW } from '../include/errno.js';
import { lockdep_assert_held } from '../include/lockdep.js';
import type { Mm } from '../include/mm_types.js';
import type {
  MmuIntervalNotifier,
  MmuIntervalNotifierOps,
  MmuNotifierSubscriptions,
} from '../include/mmu_notifier.js';
import { mmdrop } from '../include/sched/mm.js';
import { current, knob } from '../kernel.js';
import { __mmdrop } from '../kernel/fork.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { mn_itree_is_invalidating, subscriptionOf, waitForSeq } from './mmu_notifier.js';
import { __mmu_interval_notifier_insert, isReady, previousSeq, sameOps } from './mmu_notifier-interval.js';
import { nextSeq } from './mmu_notifier-deferred-ops.js';
import { ADDRESSES_SHIFT } from './mmu_notifier-proposals-ops.js';

/** Addresses in a page: with more than one, no page ends at address 0, and none is a single address. */
const addresses = (): number =>
  knob('mmu_interval_notifier_update.unit') === 'page' ? 1 << ADDRESSES_SHIFT : 1;

/** What v6 keeps of a pending update: the last address; Jason Gunthorpe's sentinel keeps the one behind it. */
function packed(last: number): number {
  const end = (last + 1) * addresses();
  return knob('mmu_interval_notifier_update.sentinel') === 'last' ? end - 1 : end;
}
/** The last page of what {@link packed} made. */
function unpacked(updated_last: number): number {
  const end = knob('mmu_interval_notifier_update.sentinel') === 'last' ? updated_last + 1 : updated_last;
  return end / addresses() - 1;
}

/** Whether an update is pending, as far as the sentinel tells. @context subscriptions->lock held */
export function* isUpdated({ name, updated_start, updated_last }: MmuIntervalNotifier): Path<boolean> {
  if (updated_last === undefined)
    throw new Error(`expected knob mmu_interval_notifier.updates to be v5 or v6: ${name} is updated or put`);
  if (knob('mmu_interval_notifier_update.sentinel') === 'last') return !(yield* equals(updated_last, 0));
  const start = yield* read(updated_start!);
  return start !== (yield* read(updated_last));
}

/** The range that is pending, as pages. @context subscriptions->lock held */
export function* updatedRange(sub: MmuIntervalNotifier): Path<{ start: number; last: number }> {
  const start = yield* read(sub.updated_start!);
  const last = yield* read(sub.updated_last!);
  return { start: start / addresses(), last: unpacked(last) };
}

/** The proposed API is for who has the interval tree locked for read: lockdep is to say so. @context any */
export function assertReadLocked({ itree_map }: MmuNotifierSubscriptions): void {
  if (itree_map !== undefined) lockdep_assert_held(itree_map);
}

/** Sleeps on the wait queue until invalidate_seq is not `seq`. @context may sleep @kernel v6 include/linux/wait.h wait_event: adapted (a bit for each waiter) */
export function* waitQueued({ wq, invalidate_seq }: MmuNotifierSubscriptions, seq: number): Path {
  if (!(yield* equals(invalidate_seq, seq))) return;
  const me = 1 << current.task.agent;
  for (;;) {
    yield* setBits(wq!, me); // before the look, or the waker comes between
    if (!(yield* equals(invalidate_seq, seq))) break;
    yield* request(current.kernel.op.wqSleep, wq!.at, me);
  }
  yield* clearBits(wq!, me);
}

/** @context any @kernel v6 include/linux/wait.h wake_up_all: adapted (a bit for each waiter; no lock) */
function* wake_up_all({ wq }: MmuNotifierSubscriptions): Path {
  yield* write(wq!, 0);
}

/**
 * Nobody uses the subscription any more: its driver is told. It may be freed then, so nothing here touches it again.
 * @context may sleep if the driver's release does
 */
export function* releaseSubscription(interval_sub: MmuIntervalNotifier): Path {
  const { mm, users, ops } = interval_sub;
  const { op } = current.kernel;
  if (users !== undefined && !(yield* subAndTest(users, 1))) return;
  yield* request(op.subscriptionRelease, interval_sub.number);
  yield* ops.release!(interval_sub);
  yield* mmdrop(mm);
}

/**
 * The second half of the last end: what was put off is made up for, then the lock is given back. Who waits is woken
 * before the removed ones are released (v5), or after (v6).
 * @context subscriptions->lock held, which is given back
 * @kernel v6 mm/mmu_notifier.c mn_itree_inv_end: adapted (from invalidate_seq++ on)
 */
export function* finishDeferred(subscriptions: MmuNotifierSubscriptions): Path {
  const { op } = current.kernel;
  const sentinel = knob('mmu_interval_notifier_update.sentinel');
  const v5 = knob('mmu_interval_notifier.updates') === 'v5';
  const removed_list: MmuIntervalNotifier[] = [];
  let interval_sub = subscriptionOf(yield* request(op.invSeqEven, subscriptions.mm.number));
  while (interval_sub !== undefined) {
    const next = subscriptionOf(yield* request(op.deferredDel, interval_sub.number));
    if (yield* equals(interval_sub.in_tree, 0)) yield* request(op.itreeInsert, interval_sub.number);
    else {
      yield* request(op.itreeRemove, interval_sub.number);
      const updated = yield* isUpdated(interval_sub);
      if (updated === (sentinel !== 'empty-inserts')) {
        const { start, last } = yield* updatedRange(interval_sub);
        yield* request(op.intervalSet, interval_sub.number, start, last);
        yield* write(interval_sub.updated_start!, 0);
        yield* write(interval_sub.updated_last!, 0);
        yield* request(op.itreeInsert, interval_sub.number);
      } else if (interval_sub.ops.release !== undefined) removed_list.unshift(interval_sub);
    }
    interval_sub = next;
  }
  yield* spin_unlock(subscriptions.lock);
  if (v5) yield* wake_up_all(subscriptions);
  for (const each of removed_list) yield* releaseSubscription(each);
  if (!v5) yield* wake_up_all(subscriptions);
}

/**
 * As mmu_interval_notifier_insert() for an mm that is known to have a tree: takes no lock but the spinlock.
 * @context does not sleep
 * @kernel v6 mm/mmu_notifier.c mmu_interval_notifier_insert_safe: faithful
 */
export function* mmu_interval_notifier_insert_safe(
  interval_sub: MmuIntervalNotifier,
  mm: Mm,
  start: number,
  length: number,
  ops: MmuIntervalNotifierOps = interval_sub.ops,
): Path<number> {
  sameOps(interval_sub, mm, ops);
  const subscriptions = mm.notifier_subscriptions!;
  if (!(yield* isReady(subscriptions))) return -EINVAL;
  return yield* __mmu_interval_notifier_insert(interval_sub, subscriptions, start, length);
}

/**
 * Takes a subscription out of the tree, or queues it for that. Returns invalidate_seq if it was queued, else 0. What is
 * queued for an update stays queued; what was queued by another put() is queued again.
 * @context does not sleep
 * @kernel v6 mm/mmu_notifier.c __mmu_interval_notifier_put: faithful
 */
function* __mmu_interval_notifier_put(interval_sub: MmuIntervalNotifier): Path<number> {
  const subscriptions = interval_sub.mm.notifier_subscriptions!;
  const { op } = current.kernel;
  let seq = 0;
  yield* spin_lock(subscriptions.lock);
  if (yield* mn_itree_is_invalidating(subscriptions)) {
    if (yield* equals(interval_sub.in_tree, 0)) yield* request(op.deferredDel, interval_sub.number);
    else {
      if (yield* isUpdated(interval_sub)) {
        yield* write(interval_sub.updated_start!, 0);
        yield* write(interval_sub.updated_last!, 0);
      } else yield* request(op.deferredAdd, interval_sub.number);
      seq = yield* read(subscriptions.invalidate_seq);
    }
  } else yield* request(op.itreeRemove, interval_sub.number);
  yield* spin_unlock(subscriptions.lock);
  return seq;
}

/**
 * mmu_interval_notifier_remove() with ops->release about: v5 does not wait then, and has it called in its place; v6
 * waits, and calls nobody, nor does it drop the mm.
 * @context may sleep unless it is v5 and there is a release
 * @kernel v6 mm/mmu_notifier.c mmu_interval_notifier_remove: adapted (v5 by a knob; both looked at the number without the lock: knob mmu_interval_notifier_remove.wait)
 */
export function* removeProposed(interval_sub: MmuIntervalNotifier): Path {
  const { op, __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  const { release } = interval_sub.ops;
  if (release !== undefined && knob('mmu_interval_notifier.updates') === 'v5')
    return yield* mmu_interval_notifier_put(interval_sub);
  const subscriptions = interval_sub.mm.notifier_subscriptions!;
  const seq = yield* __mmu_interval_notifier_put(interval_sub);
  lockMapAcquire(map!);
  lockMapRelease(map!);
  if (seq !== 0)
    yield* waitForSeq(subscriptions, seq, knob('mmu_interval_notifier_remove.wait') === 'locked');
  if (release !== undefined) yield* request(op.subscriptionFreed, interval_sub.number);
  else if (yield* request(op.subscriptionDrop, interval_sub.number, 0)) yield* __mmdrop(interval_sub.mm);
}

/**
 * Gives a subscription up: ops->release is called when nobody uses it, at once or by the last end.
 * @context as the driver's release; from a callback as well
 * @kernel v6 mm/mmu_notifier.c mmu_interval_notifier_put: faithful
 */
export function* mmu_interval_notifier_put(interval_sub: MmuIntervalNotifier): Path {
  yield* request(current.kernel.op.subscriptionPut, interval_sub.number);
  const seq = yield* __mmu_interval_notifier_put(interval_sub);
  if (seq === 0) yield* releaseSubscription(interval_sub);
}

/** What update() should do to the numbers, as N-13 has it. @context subscriptions->lock held, invalidate_seq even, the driver's lock held */
function* renumber(interval_sub: MmuIntervalNotifier, subscriptions: MmuNotifierSubscriptions): Path {
  const how = knob('mmu_interval_notifier_update.seq');
  const modulus = current.kernel.options.seqModulus ?? 0;
  if (how === 'kept') return;
  const { active_invalidate_ranges, invalidate_seq } = subscriptions;
  if (!(yield* equals(active_invalidate_ranges, 0))) {
    yield* setBits(invalidate_seq, 1);
    yield* write(interval_sub.invalidate_seq, yield* read(invalidate_seq));
  } else if (how === 'renewed') {
    const seq = yield* read(invalidate_seq);
    const renewed = nextSeq(nextSeq(seq, modulus), modulus);
    yield* write(invalidate_seq, renewed);
    yield* write(interval_sub.invalidate_seq, previousSeq(renewed));
  }
}

/** A subscription with the range that it is to have. */
export interface IntervalInsertion {
  readonly interval_sub: MmuIntervalNotifier;
  readonly start: number;
  readonly last: number;
}

/** Queues another range for the last end; what is not in the tree yet gets it at once. @context subscriptions->lock held, invalidate_seq odd */
export function* queueUpdate({ interval_sub, start, last }: IntervalInsertion): Path {
  const { op } = current.kernel;
  if (yield* equals(interval_sub.in_tree, 0)) {
    yield* request(op.intervalSet, interval_sub.number, start, last);
    return;
  }
  if (!(yield* isUpdated(interval_sub))) yield* request(op.deferredAdd, interval_sub.number);
  yield* write(interval_sub.updated_start!, start * addresses());
  yield* write(interval_sub.updated_last!, packed(last));
}

/**
 * Changes the range of a subscription to [start, last]: at once, or by the last end. Returns 0 or -EOVERFLOW.
 * @context does not sleep; v5 without ops->release: may sleep, not from a callback
 * @kernel v6 mm/mmu_notifier.c mmu_interval_notifier_update: adapted (v5 by a knob: it takes a length, returns an error number, and may wait)
 */
export function* mmu_interval_notifier_update(
  interval_sub: MmuIntervalNotifier,
  start: number,
  last: number,
): Path<number> {
  const subscriptions = interval_sub.mm.notifier_subscriptions!;
  const { op, __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  const v5 = knob('mmu_interval_notifier.updates') === 'v5';
  if (last < start) return -EOVERFLOW;
  if (!v5 && knob('mmu_interval_notifier_update.sentinel') === 'last')
    yield* claim(
      start < last || addresses() > 1,
      'WARN-ON',
      'an interval of one address (mmu_interval_notifier_update)',
    );
  let seq = 0;
  yield* spin_lock(subscriptions.lock);
  assertReadLocked(subscriptions);
  if (yield* mn_itree_is_invalidating(subscriptions)) {
    yield* queueUpdate({ interval_sub, start, last });
    seq = yield* read(subscriptions.invalidate_seq);
  } else {
    yield* request(op.itreeRemove, interval_sub.number);
    yield* request(op.intervalSet, interval_sub.number, start, last);
    yield* request(op.itreeInsert, interval_sub.number);
    yield* renumber(interval_sub, subscriptions);
  }
  yield* spin_unlock(subscriptions.lock);
  if (v5 && interval_sub.ops.release === undefined && seq !== 0) {
    lockMapAcquire(map!);
    lockMapRelease(map!);
    yield* waitForSeq(subscriptions, seq, false);
  }
  return 0;
}
