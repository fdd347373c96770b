// SPDX-License-Identifier: GPL-2.0-only
/** mm/mmu_notifier.c: classic subscriptions, to all of an mm: registered, called, unregistered. */
import { request, type Path } from '../../core/path.js';
import { claim, equals, lockMapAcquire, lockMapRelease, read, write } from '../../core/primitives.js';
import { EAGAIN, EINVAL } from '../include/errno.js';
import { mmap_assert_write_locked } from '../include/lockdep.js';
import { mmap_write_lock, mmap_write_unlock } from '../include/mmap_lock.js';
import type { Mm, Rwsem } from '../include/mm_types.js';
import {
  mmu_notifier_range_blockable,
  type MmuNotifier,
  type MmuNotifierRange,
  type MmuNotifierSubscriptions,
} from '../include/mmu_notifier.js';
import { current, knob } from '../kernel.js';
import { __mmdrop } from '../kernel/fork.js';
import { down_write, up_write } from '../kernel/locking/rwsem.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { type SrcuStruct, srcu_read_lock, srcu_read_unlock, synchronize_srcu } from '../kernel/rcu/srcu.js';

/** The global SRCU domain of all mms; undefined where nobody can register a classic notifier. */
const srcuDomain = (): SrcuStruct => current.kernel.mmu_notifier_srcu!;

/** Whether the mm has classic subscriptions. @context any @kernel 6.12 include/linux/list.h hlist_empty: adapted (no access where there can be none) */
export function* hlistEmpty(subscriptions: MmuNotifierSubscriptions): Path<boolean> {
  return subscriptions.notifiers.length === 0 || (yield* equals(subscriptions.first, 0));
}

/**
 * Tells all classic subscriptions that the mm goes away, and takes them off the list.
 * @context may sleep
 * @kernel 6.12 mm/mmu_notifier.c mn_hlist_release: faithful
 */
export function* mn_hlist_release(subscriptions: MmuNotifierSubscriptions): Path {
  const { mm } = subscriptions;
  const { op, notifiers } = current.kernel;
  yield* srcu_read_lock(srcuDomain());
  let at = yield* read(subscriptions.first);
  while (at !== 0) {
    const subscription = notifiers[at - 1]!;
    if (subscription.ops.release !== undefined) yield* subscription.ops.release(subscription, mm);
    at = yield* read(subscription.next);
  }
  yield* spin_lock(subscriptions.lock);
  for (;;) {
    const first = yield* read(subscriptions.first);
    if (first === 0) break;
    yield* request(op.hlistDelInit, first - 1);
  }
  yield* spin_unlock(subscriptions.lock);
  yield* srcu_read_unlock(srcuDomain());
  // mmu_notifier_unregister() may have taken one off before, whose ->release() still runs.
  if (knob('mn_hlist_release.wait') === 'srcu') yield* synchronize_srcu(srcuDomain());
}

/**
 * Calls the classic subscriptions, all of them, even after one that would have to sleep: then those that have begun are
 * told of the end, since the caller won't call it.
 * @context may sleep if the range is blockable
 * @kernel 6.12 mm/mmu_notifier.c mn_hlist_invalidate_range_start: faithful
 */
export function* mn_hlist_invalidate_range_start(
  subscriptions: MmuNotifierSubscriptions,
  range: MmuNotifierRange,
): Path<number> {
  const { notifiers, non_block_map } = current.kernel;
  let ret = 0;
  yield* srcu_read_lock(srcuDomain());
  let at = yield* read(subscriptions.first);
  while (at !== 0) {
    const subscription = notifiers[at - 1]!;
    const { ops } = subscription;
    if (ops.invalidate_range_start !== undefined) {
      if (!mmu_notifier_range_blockable(range)) lockMapAcquire(non_block_map!); // non_block_start()
      const _ret = yield* ops.invalidate_range_start(subscription, range);
      if (!mmu_notifier_range_blockable(range)) lockMapRelease(non_block_map!); // non_block_end()
      if (_ret !== 0) {
        yield* claim(
          !mmu_notifier_range_blockable(range) && _ret === -EAGAIN,
          'WARN-ON',
          'a callback fails in a blockable range (mn_hlist_invalidate_range_start)',
        );
        yield* claim(
          ops.invalidate_range_end === undefined,
          'WARN-ON',
          'a notifier whose start can fail has an end (mn_hlist_invalidate_range_start)',
        );
        ret = _ret;
      }
    }
    at = yield* read(subscription.next);
  }
  if (ret !== 0 && knob('mn_hlist_invalidate_range_start.undo') === 'end') {
    at = yield* read(subscriptions.first);
    while (at !== 0) {
      const subscription = notifiers[at - 1]!;
      if (subscription.ops.invalidate_range_end !== undefined)
        yield* subscription.ops.invalidate_range_end(subscription, range);
      at = yield* read(subscription.next);
    }
  }
  yield* srcu_read_unlock(srcuDomain());
  return ret;
}

/** Tells the classic subscriptions that the range is done. @context may sleep if the range is blockable @kernel 6.12 mm/mmu_notifier.c mn_hlist_invalidate_end: faithful */
export function* mn_hlist_invalidate_end(
  subscriptions: MmuNotifierSubscriptions,
  range: MmuNotifierRange,
): Path {
  const { notifiers, non_block_map } = current.kernel;
  yield* srcu_read_lock(srcuDomain());
  let at = yield* read(subscriptions.first);
  while (at !== 0) {
    const subscription = notifiers[at - 1]!;
    const { ops } = subscription;
    if (ops.invalidate_range_end !== undefined) {
      if (!mmu_notifier_range_blockable(range)) lockMapAcquire(non_block_map!);
      yield* ops.invalidate_range_end(subscription, range);
      if (!mmu_notifier_range_blockable(range)) lockMapRelease(non_block_map!);
    }
    at = yield* read(subscription.next);
  }
  yield* srcu_read_unlock(srcuDomain());
}

/** Keeps out all who change page tables of the mm. @context mmap_lock held for write; may sleep @kernel 6.12 mm/mmap.c mm_take_all_locks: adapted (the one anon_vma that an mm has; no files) */
function* mm_take_all_locks(mm: Mm): Path<Rwsem | undefined> {
  const anon_vma = current.kernel.anon_vmas[mm.number + 1];
  if (anon_vma !== undefined) yield* down_write(anon_vma);
  return anon_vma;
}

/** What the WARN_ON_ONCE() in __mmu_notifier_register() is for. */
const hasBothKinds = ({ ops }: MmuNotifier): boolean =>
  ops.arch_invalidate_secondary_tlbs !== undefined &&
  (ops.invalidate_range_start !== undefined || ops.invalidate_range_end !== undefined);

/**
 * Registers a classic notifier; without one, makes the mm ready for interval notifiers. mm_take_all_locks() waits for
 * all who walk the mm's VMAs or rmaps, so no invalidation is under way that has not seen the subscription.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_register: adapted (memory does not run out; mmgrab() is a part of the linking)
 */
export function* __mmu_notifier_register(subscription: MmuNotifier | undefined, mm: Mm): Path<number> {
  mmap_assert_write_locked(mm);
  const { mm_users } = mm;
  if (mm_users !== undefined)
    yield* claim(!(yield* equals(mm_users, 0)), 'WARN-ON', 'the mm has no users (__mmu_notifier_register)');
  if (subscription !== undefined && hasBothKinds(subscription)) return -EINVAL;
  const subscriptions = mm.notifier_subscriptions!;
  const anon_vma = yield* mm_take_all_locks(mm);
  if (subscriptions.installed !== undefined) yield* write(subscriptions.installed, 1);
  if (subscription !== undefined) {
    yield* spin_lock(subscriptions.lock);
    yield* request(current.kernel.op.hlistAddHead, subscription.number);
    yield* spin_unlock(subscriptions.lock);
  } else if (subscriptions.has_itree !== undefined) yield* write(subscriptions.has_itree, 1);
  if (anon_vma !== undefined) yield* up_write(anon_vma); // mm_drop_all_locks()
  return 0;
}

/**
 * Subscribes to all of an mm.
 * @context may sleep; takes mmap_lock for write; the caller has mm_users
 * @kernel 6.12 mm/mmu_notifier.c mmu_notifier_register: faithful
 */
export function* mmu_notifier_register(subscription: MmuNotifier | undefined, mm: Mm): Path<number> {
  yield* mmap_write_lock(mm);
  const ret = yield* __mmu_notifier_register(subscription, mm);
  yield* mmap_write_unlock(mm);
  return ret;
}

/**
 * Ends a classic subscription: ->release() has run when it returns, by us or by exit_mmap(), and no method runs any
 * more.
 * @context may sleep; not from a callback
 * @kernel 6.12 mm/mmu_notifier.c mmu_notifier_unregister: faithful
 */
export function* mmu_notifier_unregister(subscription: MmuNotifier, mm: Mm): Path {
  const subscriptions = mm.notifier_subscriptions!;
  if (!(yield* equals(subscription.hashed, 0))) {
    yield* srcu_read_lock(srcuDomain());
    if (subscription.ops.release !== undefined) yield* subscription.ops.release(subscription, mm);
    yield* srcu_read_unlock(srcuDomain());
    yield* spin_lock(subscriptions.lock);
    yield* request(current.kernel.op.hlistDelInit, subscription.number);
    yield* spin_unlock(subscriptions.lock);
  }
  if (knob('mmu_notifier_unregister.wait') === 'srcu') yield* synchronize_srcu(srcuDomain());
  if (yield* request(current.kernel.op.subscriptionDrop, subscription.number, 1)) yield* __mmdrop(mm);
}
