// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, lockMapAcquire, lockMapRelease, read, write } from '../../core/primitives.js';
import { type Cell, type Guard, holder, type System, type ValueType } from '../../core/system.js';
import { current } from '../kernel.js';
import {
  __mmu_notifier_invalidate_range_end,
  __mmu_notifier_invalidate_range_start,
  __mmu_notifier_release,
} from '../mm/mmu_notifier.js';
import type { Mm } from './mm_types.js';

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

/** @kernel 6.12 include/linux/mmu_notifier.h struct mmu_interval_notifier_ops: adapted (with release, of v5 and v6) */
export interface MmuIntervalNotifierOps {
  /**
   * Takes the driver's lock, mmu_interval_set_seq(cur_seq), tears the range down, and gives the lock back. Returns
   * false only if the range is not blockable and it would have to sleep.
   */
  invalidate(interval_sub: MmuIntervalNotifier, range: MmuNotifierRange, cur_seq: number): Path<boolean>;
  /** v5, v6: the subscription is out of the tree, no callback runs or will run: it is the driver's again. */
  release?(interval_sub: MmuIntervalNotifier): Path;
}

/** @kernel 6.12 include/linux/mmu_notifier.h struct mmu_notifier_ops: faithful */
export interface MmuNotifierOps {
  release?(subscription: MmuNotifier, mm: Mm): Path;
  /** Whether the device has used pages of [start, end) since it was asked last; what says so is cleared, and flushed. */
  clear_flush_young?(subscription: MmuNotifier, mm: Mm, start: number, end: number): Path<boolean>;
  /** The same; flushing may be left out. */
  clear_young?(subscription: MmuNotifier, mm: Mm, start: number, end: number): Path<boolean>;
  /** The same for one page; nothing is cleared. */
  test_young?(subscription: MmuNotifier, mm: Mm, address: number): Path<boolean>;
  /** 0, or -EAGAIN if the range is not blockable and it would have to sleep. */
  invalidate_range_start?(subscription: MmuNotifier, range: MmuNotifierRange): Path<number>;
  invalidate_range_end?(subscription: MmuNotifier, range: MmuNotifierRange): Path;
  /** For a device that walks the CPU's page tables: its TLB loses [start, end). May not sleep. Not beside the two above. */
  arch_invalidate_secondary_tlbs?(subscription: MmuNotifier, mm: Mm, start: number, end: number): Path;
  /** For mmu_notifier_get(): a subscription that the mm does not know. */
  alloc_notifier?(mm: Mm): Path<MmuNotifier | undefined>;
  /** After the last mmu_notifier_put(): no method runs any more, and none will. May not sleep. */
  free_notifier?(subscription: MmuNotifier): Path;
}

const lifeType: ValueType = {
  name: 'subscription',
  show: (value) =>
    value === 1 ? 'known to the mm' : value === 2 ? 'on its way out' : 'given back to its driver',
};
/** Of a subscription's life. PUT: given up, and not released yet. */
export const LIFE = { DRIVER: 0, KNOWN: 1, PUT: 2 } as const;

/** The driver may free a subscription when it is told that nobody uses it any more: touching it then is SUB-LIFE. */
function subscriptionLife(system: System, name: string): { life: Cell; guard: Guard } {
  const life = system.cell(`${name}.life`, 0, { type: lifeType });
  return {
    life,
    guard: { cell: life, alive: (1 << LIFE.KNOWN) | (1 << LIFE.PUT), what: name, property: () => 'SUB-LIFE' },
  };
}

/**
 * struct mmu_interval_notifier: a driver's subscription to a range of an mm.
 * @kernel 6.12 include/linux/mmu_notifier.h struct mmu_interval_notifier: adapted (fields as cells; ops and mm are fixed at set-up)
 */
export class MmuIntervalNotifier {
  /** Ghost: from mmu_interval_notifier_insert() to the return of mmu_interval_notifier_remove(). */
  readonly life: Cell;
  /** 1: interval_tree.rb is linked (RB_EMPTY_NODE() is 0). */
  readonly in_tree: Cell;
  /** interval_tree.start and .last, which is still inside. */
  readonly start: Cell;
  readonly last: Cell;
  /** deferred_item: 0 is not on deferred_list; else its place from the end, 1 is the last one, the first one added. */
  readonly deferred: Cell;
  readonly invalidate_seq: Cell;
  /** Ghost: 1 when it has been found for MMU_NOTIFY_RELEASE. Undefined where nobody counts the users of the mm. */
  released: Cell | undefined;
  /** v6; v5 calls them deferred_*. Addresses, see mmu_notifier-proposals.ts. Undefined where nobody proposes. */
  updated_start: Cell | undefined;
  updated_last: Cell | undefined;
  /** References, where mmu_interval_notifier_find() takes one. */
  users: Cell | undefined;

  constructor(
    system: System,
    readonly name: string,
    readonly mm: Mm,
    /** Index in `kernel.interval_subs`. */
    readonly number: number,
    readonly ops: MmuIntervalNotifierOps,
  ) {
    const { life, guard } = subscriptionLife(system, name);
    this.life = life;
    this.in_tree = system.cell(`${name}.in_tree`, 0, { guard });
    this.start = system.cell(`${name}.start`, 0, { guard });
    this.last = system.cell(`${name}.last`, 0, { guard });
    this.deferred = system.cell(`${name}.deferred`, 0, { guard });
    this.invalidate_seq = system.cell(`${name}.invalidate_seq`, 0, { guard });
  }

  /** Set-up: the fields that the proposals add. */
  addProposed(system: System, counted: boolean): void {
    const guard = system.guards[this.deferred.at]!;
    this.updated_start = system.cell(`${this.name}.updated_start`, 0, { guard });
    this.updated_last = system.cell(`${this.name}.updated_last`, 0, { guard });
    if (counted) this.users = system.cell(`${this.name}.users`, 0, { guard });
  }
}

/**
 * struct mmu_notifier: a driver's subscription to all of an mm.
 * @kernel 6.12 include/linux/mmu_notifier.h struct mmu_notifier: adapted (fields as cells; ops and mm are fixed at set-up)
 */
export class MmuNotifier {
  /** Ghost: from mmu_notifier_register() to the return of mmu_notifier_unregister(), or of free_notifier(). */
  readonly life: Cell;
  /** Undefined: it can't be had with mmu_notifier_get(). */
  readonly users: Cell | undefined;
  /** The rcu_head of such a subscription. Set-up gives it. */
  rcu = -1;
  /** hlist.next: number + 1 of the next subscription, 0 at the end. */
  readonly next: Cell;
  /** hlist.pprev is set: it is on the list. */
  readonly hashed: Cell;

  constructor(
    system: System,
    readonly name: string,
    readonly mm: Mm,
    /** Index in `kernel.notifiers`. */
    readonly number: number,
    readonly ops: MmuNotifierOps,
  ) {
    const { life, guard } = subscriptionLife(system, name);
    this.life = life;
    this.next = system.cell(`${name}.hlist.next`, 0, { guard });
    this.hashed = system.cell(`${name}.hlist.pprev`, 0, { guard });
    if (ops.free_notifier !== undefined) this.users = system.cell(`${name}.users`, 0, { guard });
  }
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

/**
 * For the callback: the subscription has collided with the invalidation of that number.
 * @context the driver's lock held
 * @kernel 6.12 include/linux/mmu_notifier.h mmu_interval_set_seq: faithful
 */
export function* mmu_interval_set_seq(interval_sub: MmuIntervalNotifier, cur_seq: number): Path {
  yield* write(interval_sub.invalidate_seq, cur_seq);
}

/**
 * Whether an invalidation has collided with what mmu_interval_read_begin() began.
 * @context the driver's lock held, the one that the callback takes
 * @kernel 6.12 include/linux/mmu_notifier.h mmu_interval_read_retry: faithful
 */
export function* mmu_interval_read_retry(interval_sub: MmuIntervalNotifier, seq: number): Path<boolean> {
  return (yield* load(interval_sub.invalidate_seq)) !== seq;
}

/**
 * As mmu_interval_read_retry(), as a hint: true is certain, false is not.
 * @context any
 * @kernel 6.12 include/linux/mmu_notifier.h mmu_interval_check_retry: faithful
 */
export function* mmu_interval_check_retry(interval_sub: MmuIntervalNotifier, seq: number): Path<boolean> {
  return (yield* read(interval_sub.invalidate_seq)) !== seq;
}
