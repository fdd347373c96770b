// SPDX-License-Identifier: GPL-2.0-only
/** mm/mmu_notifier.c: classic subscriptions that several users share, one for each mm and ops; and the end of them all. */
import { request, type Path } from '../../core/path.js';
import { add, claim, equals, read, subAndTest, write } from '../../core/primitives.js';
import { mmap_assert_write_locked } from '../include/lockdep.js';
import type { Mm } from '../include/mm_types.js';
import {
  mm_has_notifiers,
  type MmuNotifier,
  type MmuNotifierOps,
  type MmuNotifierSubscriptions,
} from '../include/mmu_notifier.js';
import { current, knob } from '../kernel.js';
import { mmdrop } from '../include/sched/mm.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { call_srcu, srcu_barrier, synchronize_srcu } from '../kernel/rcu/srcu.js';
import { __mmu_notifier_register } from './mmu_notifier-list.js';

/**
 * The subscription with these ops, with one user more; undefined if the mm has none.
 * @context does not sleep
 * @kernel 6.12 mm/mmu_notifier.c find_get_mmu_notifier: adapted (users can't overflow)
 */
function* find_get_mmu_notifier(
  subscriptions: MmuNotifierSubscriptions,
  ops: MmuNotifierOps,
): Path<MmuNotifier | undefined> {
  const { notifiers } = current.kernel;
  yield* spin_lock(subscriptions.lock);
  let at = yield* read(subscriptions.first);
  while (at !== 0) {
    const subscription = notifiers[at - 1]!;
    if (subscription.ops === ops) {
      yield* add(subscription.users!, 1);
      yield* spin_unlock(subscriptions.lock);
      return subscription;
    }
    at = yield* read(subscription.next);
  }
  yield* spin_unlock(subscriptions.lock);
  return undefined;
}

/**
 * The one subscription of these ops to all of the mm: an old one with a user more, or a new one. Undefined if
 * ops->alloc_notifier() has none.
 * @context mmap_lock held for write; may sleep; goes with mmu_notifier_put()
 * @kernel 6.12 mm/mmu_notifier.c mmu_notifier_get_locked: faithful
 */
export function* mmu_notifier_get_locked(ops: MmuNotifierOps, mm: Mm): Path<MmuNotifier | undefined> {
  mmap_assert_write_locked(mm);
  const subscriptions = yield* mm_has_notifiers(mm);
  if (subscriptions !== undefined) {
    const found = yield* find_get_mmu_notifier(subscriptions, ops);
    if (found !== undefined) return found;
  }
  const subscription = yield* ops.alloc_notifier!(mm);
  if (subscription === undefined) return undefined;
  const ret = yield* __mmu_notifier_register(subscription, mm);
  if (ret === 0) return subscription;
  yield* ops.free_notifier!(subscription);
  return undefined;
}

/**
 * After the grace period: nobody walks past the subscription any more.
 * @context process context, bottom halves off
 * @kernel 6.12 mm/mmu_notifier.c mmu_notifier_free_rcu: faithful
 */
export function* mmu_notifier_free_rcu(subscription: MmuNotifier): Path {
  const { mm, ops } = subscription;
  yield* ops.free_notifier!(subscription);
  yield* mmdrop(mm);
}

/** For ops->free_notifier(): kfree() of what the subscription is a part of. @context any */
export function* kfreeNotifier(subscription: MmuNotifier): Path {
  yield* request(current.kernel.op.subscriptionFree, subscription.number);
}

/**
 * Drops a user of a subscription. After the last it leaves the list, and is freed when nobody can walk past it any more:
 * ->release() is called by exit_mmap() only.
 * @context any, a method of the subscription as well
 * @kernel 6.12 mm/mmu_notifier.c mmu_notifier_put: faithful
 */
export function* mmu_notifier_put(subscription: MmuNotifier): Path {
  const { users, mm } = subscription;
  const { op, mmu_notifier_srcu } = current.kernel;
  const subscriptions = mm.notifier_subscriptions!;
  yield* spin_lock(subscriptions.lock);
  yield* claim(!(yield* equals(users!, 0)), 'WARN-ON', 'nobody has the subscription (mmu_notifier_put)');
  if (!(yield* subAndTest(users!, 1))) {
    yield* spin_unlock(subscriptions.lock);
    return;
  }
  yield* request(op.hlistDelInit, subscription.number);
  yield* spin_unlock(subscriptions.lock);
  if (knob('mmu_notifier_put.free') === 'at-once') yield* mmu_notifier_free_rcu(subscription);
  else yield* call_srcu(mmu_notifier_srcu!, subscription.rcu);
}

/**
 * For a module that goes: waits for what its calls of mmu_notifier_put() have begun. A grace period is not quite that:
 * the callbacks run after one, and maybe after this.
 * @context may sleep
 * @kernel 6.12 mm/mmu_notifier.c mmu_notifier_synchronize: faithful
 */
export function* mmu_notifier_synchronize(): Path {
  const srcu = current.kernel.mmu_notifier_srcu!;
  if (knob('mmu_notifier_synchronize.waits') === 'callbacks') yield* srcu_barrier(srcu);
  else yield* synchronize_srcu(srcu);
}

/**
 * The mm is freed. All who subscribed have unsubscribed: each had a reference on the mm.
 * @context nobody has the mm
 * @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_subscriptions_destroy: faithful
 */
export function* __mmu_notifier_subscriptions_destroy({ mm, first }: MmuNotifierSubscriptions): Path {
  yield* claim(
    yield* equals(first, 0),
    'WARN-ON',
    'the list has subscriptions (__mmu_notifier_subscriptions_destroy)',
  );
  if (mm.freed !== undefined) yield* write(mm.freed, 1);
}
