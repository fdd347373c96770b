// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import { add, addUnless, subAndTest } from '../../../core/primitives.js';
import { __mmdrop } from '../../kernel/fork.js';
import type { Mm } from '../mm_types.js';

/**
 * A reference that keeps the mm from being taken down, unless that has begun. Returns whether it got one; dropped with
 * mmput().
 * @context any
 * @kernel 6.12 include/linux/sched/mm.h mmget_not_zero: faithful
 */
export function* mmget_not_zero(mm: Mm): Path<boolean> {
  return yield* addUnless(mm.mm_users!, 1, 0);
}

/**
 * One more user of the mm, by who has one.
 * @context any
 * @kernel 6.12 include/linux/sched/mm.h mmget: faithful
 */
export function* mmget(mm: Mm): Path {
  yield* add(mm.mm_users!, 1);
}

/**
 * A reference that keeps the mm from being freed, not from being taken down. Dropped with mmdrop().
 * @context any
 * @kernel 6.12 include/linux/sched/mm.h mmgrab: faithful
 */
export function* mmgrab(mm: Mm): Path {
  yield* add(mm.notifier_subscriptions!.mm_count, 1);
}

/** @context any @kernel 6.12 include/linux/sched/mm.h mmdrop: faithful */
export function* mmdrop(mm: Mm): Path {
  if (yield* subAndTest(mm.notifier_subscriptions!.mm_count, 1)) yield* __mmdrop(mm);
}
