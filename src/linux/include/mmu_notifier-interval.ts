// SPDX-License-Identifier: GPL-2.0-only
/** include/linux/mmu_notifier.h: interval subscriptions, and the numbers by which a driver notices an invalidation. */
import type { Path } from '../../core/path.js';
import { load, read, write } from '../../core/primitives.js';
import type { Cell, System } from '../../core/system.js';
import type { Mm } from './mm_types.js';
import type { MmuNotifierRange } from './mmu_notifier.js';
import { subscriptionLife } from './mmu_notifier-life.js';

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
