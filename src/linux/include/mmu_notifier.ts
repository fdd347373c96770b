// SPDX-License-Identifier: GPL-2.0-only
/** include/linux/mmu_notifier.h: what an mm keeps of its subscribers, and how they are told of ranges. */
import type { Path } from '../../core/path.js';
import { lockMapAcquire, lockMapRelease, read } from '../../core/primitives.js';
import { type Cell, holder, type System } from '../../core/system.js';
import { current } from '../kernel.js';
import {
  __mmu_notifier_invalidate_range_end,
  __mmu_notifier_invalidate_range_start,
  __mmu_notifier_release,
} from '../mm/mmu_notifier.js';
import type { Mm } from './mm_types.js';
import type { MmuNotifier } from './mmu_notifier-classic.js';
import type { MmuIntervalNotifier } from './mmu_notifier-interval.js';

// One header, as in the kernel.
export * from './mmu_notifier-classic.js';
export * from './mmu_notifier-interval.js';
export { LIFE } from './mmu_notifier-life.js';

/**
 * Why a range is invalidated.
 * @kernel 6.12 include/linux/mmu_notifier.h enum mmu_notifier_event: faithful
 */
export const MMU_NOTIFY = {
  UNMAP: 0,
  CLEAR: 1,
  PROTECTION_VMA: 2,
  PROTECTION_PAGE: 3,
  SOFT_DIRTY: 4,
  RELEASE: 5,
  MIGRATE: 6,
  EXCLUSIVE: 7,
} as const;

/**
 * struct mmu_notifier_range: pages [start, end).
 * @kernel 6.12 include/linux/mmu_notifier.h struct mmu_notifier_range: adapted (the one flag is a field)
 */
export interface MmuNotifierRange {
  readonly mm: Mm;
  start: number;
  end: number;
  readonly event: number;
  /** Whose page tables the event is about; 0: nobody's. A device is its number + 1. */
  readonly owner: number;
  /** MMU_NOTIFIER_RANGE_BLOCKABLE: callbacks may sleep. */
  blockable: boolean;
}

/**
 * struct mmu_notifier_subscriptions: who is to hear of what happens to an mm's page tables. Exists for an mm that a
 * notifier may be registered on; elsewhere the hooks do nothing.
 * @kernel 6.12 mm/mmu_notifier.c struct mmu_notifier_subscriptions: adapted (allocated at set-up; the wait queue is a condition that waiters look at)
 */
export class MmuNotifierSubscriptions {
  /** mm->notifier_subscriptions is set. Undefined: it was from the beginning, and stays. */
  installed: Cell | undefined;
  /** Undefined: it was set from the beginning, and stays. */
  has_itree: Cell | undefined;
  /** list.first: number + 1 of the classic subscription. */
  readonly first: Cell;
  /** Covers all of this but the walks of tree and list. */
  readonly lock: Cell;
  readonly invalidate_seq: Cell;
  readonly active_invalidate_ranges: Cell;
  /** By agent, a bit: waits on wq. Undefined where nobody proposes: who waits looks at the number all the time. */
  wq: Cell | undefined;
  /** Lockdep: this thread has the tree locked for read and calls drivers. Undefined where nobody asks. */
  itree_map: Cell | undefined;
  /** It belongs to the mm; only notifiers look at it here. */
  readonly mm_count: Cell;
  /** Ghost: walks of the tree that are under way, so it has to stand still. */
  readonly walks: Cell;
  /** Ghost, by page: ranges that cover it and are under way. Counted by what interval notifiers do. */
  readonly open: readonly Cell[];
  readonly interval_subs: MmuIntervalNotifier[] = [];
  readonly notifiers: MmuNotifier[] = [];

  constructor(
    system: System,
    readonly mm: Mm,
  ) {
    const { name } = mm;
    this.installed = system.cell(`${name}.notifier_subscriptions`);
    this.has_itree = system.cell(`${name}.has_itree`);
    this.first = system.cell(`${name}.notifiers.first`);
    this.lock = system.cell(`${name}.notifiers.lock`, 0, {
      type: holder,
      lockClass: 'mmu_notifier_subscriptions.lock',
    });
    this.invalidate_seq = system.cell(`${name}.invalidate_seq`, 2);
    this.active_invalidate_ranges = system.cell(`${name}.active_invalidate_ranges`);
    this.mm_count = system.cell(`${name}.mm_count`, 1);
    this.walks = system.cell(`${name}.itree_walks`);
    this.open = Array.from({ length: mm.space.pages }, (_, page) =>
      system.cell(`${name}.invalidated[${page}]`),
    );
  }
}

/** @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_range_init: adapted (returns the range) */
export function mmu_notifier_range_init(
  event: number,
  _flags: number,
  mm: Mm,
  start: number,
  end: number,
): MmuNotifierRange {
  return { mm, start, end, event, owner: 0, blockable: false };
}

/** @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_range_init_owner: adapted (returns the range) */
export function mmu_notifier_range_init_owner(
  event: number,
  _flags: number,
  mm: Mm,
  start: number,
  end: number,
  owner: number,
): MmuNotifierRange {
  return { mm, start, end, event, owner, blockable: false };
}

/** @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_range_blockable: faithful */
export const mmu_notifier_range_blockable = (range: MmuNotifierRange): boolean => range.blockable;

/** Whether anybody may hear of it. @kernel 6.12 include/linux/mmu_notifier.h mm_has_notifiers: adapted (no access where the answer can't change) */
export function* mm_has_notifiers(mm: Mm): Path<MmuNotifierSubscriptions | undefined> {
  const subscriptions = mm.notifier_subscriptions;
  if (subscriptions?.installed === undefined) return subscriptions;
  return (yield* read(subscriptions.installed)) !== 0 ? subscriptions : undefined;
}

/**
 * Tells all who subscribed to the range that its page tables are about to change. When it returns, they have let go of
 * it, and they will not come back before the end.
 * @context may sleep; no spinlock held
 * @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_invalidate_range_start: adapted (lockdep hears of it only where the mm has notifiers; that a callback sleeps is its own business)
 */
export function* mmu_notifier_invalidate_range_start(range: MmuNotifierRange): Path {
  const subscriptions = yield* mm_has_notifiers(range.mm);
  if (subscriptions === undefined) return;
  const { __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  lockMapAcquire(map!);
  range.blockable = true;
  yield* __mmu_notifier_invalidate_range_start(subscriptions, range);
  lockMapRelease(map!);
}

/**
 * As mmu_notifier_invalidate_range_start(), for the OOM reaper, which can't wait. After an error the caller may not
 * change the page tables, nor call the end.
 * @context does not sleep
 * @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_invalidate_range_start_nonblock: adapted (lockdep hears of it only where the mm has notifiers)
 */
export function* mmu_notifier_invalidate_range_start_nonblock(range: MmuNotifierRange): Path<number> {
  const subscriptions = yield* mm_has_notifiers(range.mm);
  if (subscriptions === undefined) return 0;
  const { __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  lockMapAcquire(map!);
  range.blockable = false;
  const ret = yield* __mmu_notifier_invalidate_range_start(subscriptions, range);
  lockMapRelease(map!);
  return ret;
}

/**
 * The page tables have changed, and no CPU has an entry of before in its TLB.
 * @context may sleep if the range is blockable
 * @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_invalidate_range_end: adapted (no might_sleep())
 */
export function* mmu_notifier_invalidate_range_end(range: MmuNotifierRange): Path {
  const subscriptions = yield* mm_has_notifiers(range.mm);
  if (subscriptions !== undefined) yield* __mmu_notifier_invalidate_range_end(subscriptions, range);
}

/** @context may sleep @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_release: faithful */
export function* mmu_notifier_release(mm: Mm): Path {
  const subscriptions = yield* mm_has_notifiers(mm);
  if (subscriptions !== undefined) yield* __mmu_notifier_release(subscriptions);
}
