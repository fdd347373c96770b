// SPDX-License-Identifier: GPL-2.0-only
/**
 * mm/mmu_notifier.c: ranges are invalidated. What interval subscriptions hear of it is here; classic ones are in
 * mmu_notifier-list.ts, insertion and removal of interval ones in mmu_notifier-interval.ts.
 */
import { request, type Path } from '../../core/path.js';
import {
  add,
  claim,
  equals,
  lockMapAcquire,
  lockMapRelease,
  read,
  setBits,
  testBits,
} from '../../core/primitives.js';
import { EAGAIN } from '../include/errno.js';
import { lockdep_assert_held } from '../include/lockdep.js';
import {
  MMU_NOTIFY,
  mmu_notifier_range_blockable,
  type MmuIntervalNotifier,
  type MmuNotifierRange,
  type MmuNotifierSubscriptions,
} from '../include/mmu_notifier.js';
import { current, knob } from '../kernel.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import {
  hlistEmpty,
  mn_hlist_invalidate_end,
  mn_hlist_invalidate_range_start,
  mn_hlist_release,
} from './mmu_notifier-list.js';
import { finishDeferred, waitQueued } from './mmu_notifier-proposals.js';

/** The subscription that an operation has observed. */
export const subscriptionOf = (number: number): MmuIntervalNotifier | undefined =>
  number === 0 ? undefined : current.kernel.interval_subs[number - 1]!;

/** What a callback returned; a driver's file is not type-checked before it runs. */
function answerOf({ name }: MmuIntervalNotifier, returned: unknown): boolean {
  if (typeof returned === 'boolean') return returned;
  throw new Error(
    `invalidate() of ${name} returned ${String(returned)}: it must return true, or false if it would have to sleep and may not`,
  );
}

/** Whether the mm has a tree. @context any @kernel 6.12 mm/mmu_notifier.c has_itree: adapted (no access where the answer can't change) */
export function* hasItree(subscriptions: MmuNotifierSubscriptions): Path<boolean> {
  if (subscriptions.interval_subs.length === 0) return false;
  return subscriptions.has_itree === undefined || (yield* read(subscriptions.has_itree)) !== 0;
}

/** Whether a range has hit a subscription, so that the tree stands still. @context subscriptions->lock held @kernel 6.12 mm/mmu_notifier.c mn_itree_is_invalidating: faithful */
export function* mn_itree_is_invalidating(subscriptions: MmuNotifierSubscriptions): Path<boolean> {
  lockdep_assert_held(subscriptions.lock);
  return yield* testBits(subscriptions.invalidate_seq, 1);
}

/**
 * Counts an invalidation in. If it hits a subscription, the sequence number becomes odd and the tree stands still from
 * then on, so that the walk needs no lock. Returns the first subscription that is hit, and the number for it.
 * @context does not sleep
 * @kernel 6.12 mm/mmu_notifier.c mn_itree_inv_start_range: adapted (the number is read only if it is needed)
 */
export function* mn_itree_inv_start_range(
  subscriptions: MmuNotifierSubscriptions,
  range: MmuNotifierRange,
): Path<{ res: MmuIntervalNotifier | undefined; seq: number }> {
  let seq = 0;
  yield* spin_lock(subscriptions.lock);
  yield* add(subscriptions.active_invalidate_ranges, 1);
  const res = subscriptionOf(
    yield* request(
      current.kernel.op.itreeFirst,
      range.mm.number,
      range.start,
      range.event === MMU_NOTIFY.RELEASE ? -1 : range.end - 1,
    ),
  );
  if (res !== undefined) {
    yield* setBits(subscriptions.invalidate_seq, 1);
    seq = yield* read(subscriptions.invalidate_seq);
  }
  yield* spin_unlock(subscriptions.lock);
  return { res, seq };
}

/** The next subscription that the range hits. @context between a hit and its end: no lock @kernel 6.12 mm/mmu_notifier.c mn_itree_inv_next: faithful */
export function* mn_itree_inv_next(
  interval_sub: MmuIntervalNotifier,
  range: MmuNotifierRange,
): Path<MmuIntervalNotifier | undefined> {
  return subscriptionOf(
    yield* request(current.kernel.op.itreeNext, interval_sub.number, range.start, range.end - 1),
  );
}

/**
 * Counts an invalidation out. The last one makes the number even, makes up for the edits of the tree that were put off,
 * and wakes those who wait for the number. `walking`: the caller has not come to the end of its walk.
 * @context does not sleep
 * @kernel 6.12 mm/mmu_notifier.c mn_itree_inv_end: adapted (is told the range, for a ghost; who waits looks at the number)
 */
export function* mn_itree_inv_end(
  subscriptions: MmuNotifierSubscriptions,
  { start, end }: Pick<MmuNotifierRange, 'start' | 'end'>,
  walking = false,
): Path {
  const { op } = current.kernel;
  yield* spin_lock(subscriptions.lock);
  const active = yield* request(
    op.invActiveDec,
    subscriptions.mm.number,
    walking ? 1 : 0,
    (start << 15) | end,
  );
  const others = active !== 0 && knob('mn_itree_inv_end.even') === 'last-end';
  if (others || !(yield* mn_itree_is_invalidating(subscriptions))) {
    yield* spin_unlock(subscriptions.lock);
    return;
  }
  if (subscriptions.wq !== undefined) return yield* finishDeferred(subscriptions);
  let interval_sub = subscriptionOf(yield* request(op.invSeqEven, subscriptions.mm.number));
  if (knob('mn_itree_inv_end.deferred') === 'unlocked') {
    yield* spin_unlock(subscriptions.lock);
    yield* spin_lock(subscriptions.lock);
  }
  while (interval_sub !== undefined) {
    const empty = yield* equals(interval_sub.in_tree, 0);
    yield* request(empty ? op.itreeInsert : op.itreeRemove, interval_sub.number);
    interval_sub = subscriptionOf(yield* request(op.deferredDel, interval_sub.number));
  }
  yield* spin_unlock(subscriptions.lock);
}

/**
 * Begins to read page-table entries in order to copy them. Returns a number for mmu_interval_read_retry(): that one
 * tells whether an invalidation has come between. Waits while one is under way that this subscription has heard of.
 * @context may sleep; no lock held that a callback takes
 * @kernel 6.12 mm/mmu_notifier.c mmu_interval_read_begin: adapted (who waits looks at the number, where nobody proposes)
 */
export function* mmu_interval_read_begin(interval_sub: MmuIntervalNotifier): Path<number> {
  const subscriptions = interval_sub.mm.notifier_subscriptions!;
  const { __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  yield* spin_lock(subscriptions.lock);
  const seq = yield* read(interval_sub.invalidate_seq);
  const is_invalidating = yield* equals(subscriptions.invalidate_seq, seq);
  yield* spin_unlock(subscriptions.lock);
  lockMapAcquire(map!);
  lockMapRelease(map!);
  if (is_invalidating && knob('mmu_interval_read_begin.wait') === 'on')
    yield* waitForSeq(subscriptions, seq, knob('mmu_interval_read_begin.test') === 'locked');
  return seq;
}

/** Under the lock, so that the last end has done with the subscription. @context does not sleep @kernel 6.12 mm/mmu_notifier.c mmu_interval_seq_released: faithful */
function* mmu_interval_seq_released(subscriptions: MmuNotifierSubscriptions, seq: number): Path<boolean> {
  yield* spin_lock(subscriptions.lock);
  const ret = !(yield* equals(subscriptions.invalidate_seq, seq));
  yield* spin_unlock(subscriptions.lock);
  return ret;
}

/** wait_event() until invalidate_seq is not `seq`; `locked`: which is looked at under the lock. @context may sleep */
export function* waitForSeq(subscriptions: MmuNotifierSubscriptions, seq: number, locked: boolean): Path {
  const { op } = current.kernel;
  let released = false;
  while (!released) {
    if (subscriptions.wq !== undefined) yield* waitQueued(subscriptions, seq);
    else yield* request(op.invSeqWait, subscriptions.invalidate_seq.at, seq);
    released = !locked || (yield* mmu_interval_seq_released(subscriptions, seq));
  }
}

/** Calls a driver, between a start that hit and its end: the tree is locked for read. @context may sleep if the range is blockable */
function* callInvalidate(
  interval_sub: MmuIntervalNotifier,
  range: MmuNotifierRange,
  cur_seq: number,
): Path<boolean> {
  const { itree_map } = range.mm.notifier_subscriptions!;
  if (itree_map !== undefined) lockMapAcquire(itree_map);
  const ret = yield* interval_sub.ops.invalidate(interval_sub, range, cur_seq);
  if (itree_map !== undefined) lockMapRelease(itree_map);
  return answerOf(interval_sub, ret);
}

/** Tells all interval subscriptions that the mm goes away. @context may sleep @kernel 6.12 mm/mmu_notifier.c mn_itree_release: faithful */
function* mn_itree_release(subscriptions: MmuNotifierSubscriptions): Path {
  const range: MmuNotifierRange = {
    mm: subscriptions.mm,
    start: 0,
    end: subscriptions.mm.space.pages,
    event: MMU_NOTIFY.RELEASE,
    owner: 0,
    blockable: true,
  };
  const { res, seq: cur_seq } = yield* mn_itree_inv_start_range(subscriptions, range);
  let interval_sub = res;
  while (interval_sub !== undefined) {
    const ret = yield* callInvalidate(interval_sub, range, cur_seq);
    yield* claim(ret, 'WARN-ON', 'a callback refuses a blockable range (mn_itree_release)');
    interval_sub = yield* mn_itree_inv_next(interval_sub, range);
  }
  yield* mn_itree_inv_end(subscriptions, range);
}

/**
 * The last user of the mm has gone: all subscribers let go of it, before its pages are freed.
 * @context may sleep
 * @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_release: faithful
 */
export function* __mmu_notifier_release(subscriptions: MmuNotifierSubscriptions): Path {
  if (yield* hasItree(subscriptions)) yield* mn_itree_release(subscriptions);
  if (!(yield* hlistEmpty(subscriptions))) yield* mn_hlist_release(subscriptions);
}

/**
 * Calls the interval subscriptions that the range hits. If one would have to sleep and may not, the invalidation ends
 * here: the caller does not call the end.
 * @context may sleep if the range is blockable
 * @kernel 6.12 mm/mmu_notifier.c mn_itree_invalidate: faithful
 */
function* mn_itree_invalidate(
  subscriptions: MmuNotifierSubscriptions,
  range: MmuNotifierRange,
): Path<number> {
  const { res, seq: cur_seq } = yield* mn_itree_inv_start_range(subscriptions, range);
  let interval_sub = res;
  while (interval_sub !== undefined) {
    const ret = yield* callInvalidate(interval_sub, range, cur_seq);
    if (!ret) {
      yield* claim(
        !mmu_notifier_range_blockable(range),
        'WARN-ON',
        'a callback refuses a blockable range (mn_itree_invalidate)',
      );
      if (!mmu_notifier_range_blockable(range)) {
        yield* mn_itree_inv_end(subscriptions, range, true);
        return -EAGAIN;
      }
    }
    interval_sub = yield* mn_itree_inv_next(interval_sub, range);
  }
  return 0;
}

/**
 * The interval subscriptions first, then the classic ones. When a classic one fails, the interval part stays begun.
 * @context may sleep if the range is blockable
 * @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_invalidate_range_start: faithful
 */
export function* __mmu_notifier_invalidate_range_start(
  subscriptions: MmuNotifierSubscriptions,
  range: MmuNotifierRange,
): Path<number> {
  current.kernel.onRange?.(range);
  const order = '__mmu_notifier_invalidate_range_start.order';
  if (knob(order) === 'classic-first' && !(yield* hlistEmpty(subscriptions))) {
    const ret = yield* mn_hlist_invalidate_range_start(subscriptions, range);
    if (ret !== 0) return ret;
  }
  if (yield* hasItree(subscriptions)) {
    const ret = yield* mn_itree_invalidate(subscriptions, range);
    if (ret !== 0) return ret;
  }
  if (knob(order) === 'classic-first' || (yield* hlistEmpty(subscriptions))) return 0;
  const ret = yield* mn_hlist_invalidate_range_start(subscriptions, range);
  if (ret !== 0 && knob('__mmu_notifier_invalidate_range_start.undo') === 'interval') {
    if (yield* hasItree(subscriptions)) yield* mn_itree_inv_end(subscriptions, range);
  }
  return ret;
}

/** The interval subscriptions first here as well. @context may sleep if the range is blockable @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_invalidate_range_end: faithful */
export function* __mmu_notifier_invalidate_range_end(
  subscriptions: MmuNotifierSubscriptions,
  range: MmuNotifierRange,
): Path {
  const { __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  lockMapAcquire(map!);
  if (yield* hasItree(subscriptions)) yield* mn_itree_inv_end(subscriptions, range);
  if (!(yield* hlistEmpty(subscriptions))) yield* mn_hlist_invalidate_end(subscriptions, range);
  lockMapRelease(map!);
}
