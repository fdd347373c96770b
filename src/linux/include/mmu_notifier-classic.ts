// SPDX-License-Identifier: GPL-2.0-only
/** include/linux/mmu_notifier.h: classic subscriptions, to all of an mm. */
import type { Path } from '../../core/path.js';
import type { Cell, System } from '../../core/system.js';
import type { Mm } from './mm_types.js';
import type { MmuNotifierRange } from './mmu_notifier.js';
import { subscriptionLife } from './mmu_notifier-life.js';

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
