// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import { add, addUnless, load, store, subAndTest } from '../../../core/primitives.js';
import { current } from '../../kernel.js';
import { __mmdrop } from '../../kernel/fork.js';
import { might_sleep } from '../../kernel/sched/core.js';
import { fs_reclaim_acquire, fs_reclaim_release } from '../../mm/page_alloc.js';
import { gfpflags_allow_blocking } from '../gfp_types.js';
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

/**
 * Says that memory may be allocated here: lockdep learns what reclaim would take.
 * @context as an allocation with these flags
 * @kernel 6.12 include/linux/sched/mm.h might_alloc: faithful
 */
export function* might_alloc(gfp_mask: number): Path {
  yield* fs_reclaim_acquire(gfp_mask);
  yield* fs_reclaim_release(gfp_mask);
  if (gfpflags_allow_blocking(gfp_mask)) yield* might_sleep();
}

/** Task flag: reclaims, so its own allocations do not, and may have all of the reserves. @kernel 6.12 include/linux/sched.h PF_MEMALLOC: faithful */
export const PF_MEMALLOC = 1;

/** Whether the running task has PF_MEMALLOC. Not a step where nothing reclaims for allocations. @context any */
export function* reclaims(): Path<boolean> {
  const { flags } = current.task;
  return flags !== undefined && ((yield* load(flags)) & PF_MEMALLOC) !== 0;
}

/** Begins a section in which allocations do not reclaim. Returns what memalloc_noreclaim_restore() undoes. @context any @kernel 6.12 include/linux/sched/mm.h memalloc_noreclaim_save: faithful */
export function* memalloc_noreclaim_save(): Path<number> {
  const flags = current.task.flags!;
  const old = yield* load(flags);
  yield* store(flags, old | PF_MEMALLOC);
  return ~old & PF_MEMALLOC;
}

/** @context any @kernel 6.12 include/linux/sched/mm.h memalloc_noreclaim_restore: faithful */
export function* memalloc_noreclaim_restore(saved: number): Path {
  const flags = current.task.flags!;
  const old = yield* load(flags);
  yield* store(flags, old & ~saved);
}
