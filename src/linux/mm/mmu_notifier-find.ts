// SPDX-License-Identifier: GPL-2.0-only
/**
 * mm/mmu_notifier.c: mmu_interval_notifier_find() as posted in v6 (13 Jan 2020), and what Jason Gunthorpe asked for
 * instead: a find() that keeps what it returns, and removal and insertions as one batch. Never merged.
 */
import { request, type Path } from '../../core/path.js';
import { add, equals, lockMapAcquire, lockMapRelease, read, setBits, write } from '../../core/primitives.js';
import type { Mm } from '../include/mm_types.js';
import type {
  MmuIntervalNotifier,
  MmuIntervalNotifierOps,
  MmuNotifierSubscriptions,
} from '../include/mmu_notifier.js';
import { current, knob } from '../kernel.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { mn_itree_inv_end, mn_itree_is_invalidating, subscriptionOf } from './mmu_notifier.js';
import { linkInterval, previousSeq } from './mmu_notifier-interval.js';
import { FIND } from './mmu_notifier-proposals-ops.js';
import {
  assertReadLocked,
  type IntervalInsertion,
  queueUpdate,
  releaseSubscription,
} from './mmu_notifier-proposals.js';

/** What of the tree and of deferred_list find() looks at, by knob. */
const seen = (): number =>
  ({ tree: FIND.TREE, 'no-removal': FIND.NO_REMOVAL, deferred: FIND.DEFERRED })[
    knob('mmu_interval_notifier_find.sees')
  ];

/**
 * The first subscription of a driver that intersects [start, last]. What keeps it alive is said by a knob; with one that
 * does, mmu_interval_notifier_find_unlock() ends it.
 * @context does not sleep
 * @kernel v6 mm/mmu_notifier.c mmu_interval_notifier_find: adapted (one look-up; ways to hold what it returns)
 */
export function* mmu_interval_notifier_find(
  mm: Mm,
  ops: MmuIntervalNotifierOps,
  start: number,
  last: number,
): Path<MmuIntervalNotifier | undefined> {
  const subscriptions = mm.notifier_subscriptions!;
  const { op, interval_subs, __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  const { active_invalidate_ranges, invalidate_seq, itree_map } = subscriptions;
  const hold = knob('mmu_interval_notifier_find.hold');
  const any = interval_subs.findIndex((each) => each.mm === mm && each.ops === ops);
  if (any < 0) return undefined; // that driver has none
  const how = seen();
  yield* spin_lock(subscriptions.lock);
  const found = subscriptionOf(yield* request(op.itreeFind, any, (start << 15) | last, how));
  if (found !== undefined) {
    if (hold === 'refcount') yield* add(found.users!, 1);
    else if (hold !== 'none') {
      yield* add(active_invalidate_ranges, 1);
      if (hold === 'read-locked') {
        yield* setBits(invalidate_seq, 1);
        yield* request(op.itreeHold, mm.number);
      }
    }
  }
  yield* spin_unlock(subscriptions.lock);
  if (found !== undefined && hold === 'read-locked') {
    lockMapAcquire(map!);
    if (itree_map !== undefined) lockMapAcquire(itree_map);
  }
  return found;
}

/**
 * Done with what mmu_interval_notifier_find() returned: the full end of a range, or a reference less. No patch has it:
 * Jason Gunthorpe's mail of 9 January 2020 names it.
 * @context may sleep if a driver's release does
 */
export function* mmu_interval_notifier_find_unlock(interval_sub: MmuIntervalNotifier): Path {
  const { mm } = interval_sub;
  const subscriptions = mm.notifier_subscriptions!;
  const { itree_map } = subscriptions;
  const { __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  const hold = knob('mmu_interval_notifier_find.hold');
  if (hold === 'refcount') yield* releaseSubscription(interval_sub);
  if (hold !== 'read-locked' && hold !== 'active') return;
  const locked = hold === 'read-locked';
  if (locked && itree_map !== undefined) lockMapRelease(itree_map);
  if (locked) lockMapRelease(map!);
  yield* mn_itree_inv_end(subscriptions, { start: 0, end: 0 }, locked);
}

/**
 * Removes a subscription and inserts it again with another range, and a second one with it, under one hold of the lock:
 * nobody sees the one without the other. What the state is has to be asked once: the first insertion may make
 * invalidate_seq odd, and a second one that asked again would be put off. No patch has it: the mail of 9 January 2020 speaks
 * of one operation that removes and inserts.
 * @context does not sleep; from a callback as well; the mm has a tree; the driver's lock held
 */
export function* intervalBatch(again: IntervalInsertion, other: IntervalInsertion): Path {
  const { interval_sub } = again;
  const subscriptions = interval_sub.mm.notifier_subscriptions!;
  const { op } = current.kernel;
  yield* request(op.intervalInit, other.interval_sub.number, other.start, other.last);
  yield* spin_lock(subscriptions.lock);
  assertReadLocked(subscriptions);
  if (yield* mn_itree_is_invalidating(subscriptions)) yield* queueUpdate(again);
  else {
    yield* request(op.itreeRemove, interval_sub.number);
    yield* request(op.intervalSet, interval_sub.number, again.start, again.last);
    if (knob('mmu_interval_notifier_batch.state') === 'once') {
      yield* request(op.itreeInsert, interval_sub.number);
      yield* request(op.itreeInsert, other.interval_sub.number);
      const seq = yield* numberOfInserted(subscriptions);
      yield* write(interval_sub.invalidate_seq, seq);
      yield* write(other.interval_sub.invalidate_seq, seq);
      yield* spin_unlock(subscriptions.lock);
      return;
    }
    yield* linkInterval(interval_sub, subscriptions);
  }
  yield* linkInterval(other.interval_sub, subscriptions);
  yield* spin_unlock(subscriptions.lock);
}

/** The number of what was inserted while invalidate_seq was even: ranges in flight count as having hit it. @context subscriptions->lock held */
function* numberOfInserted(subscriptions: MmuNotifierSubscriptions): Path<number> {
  const active = !(yield* equals(subscriptions.active_invalidate_ranges, 0));
  if (active) yield* setBits(subscriptions.invalidate_seq, 1);
  const seq = yield* read(subscriptions.invalidate_seq);
  return active ? seq : previousSeq(seq);
}
