// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load } from '../../core/primitives.js';
import { type Cell, holder, type ValueType } from '../../core/system.js';
import type { Device } from '../../machine/machine.js';
import { type Kernel, knob } from '../kernel.js';
import { driverLife } from '../kernel/module.js';
import type { SrcuStruct } from '../kernel/rcu/srcu.js';
import { lockdep_assert_held } from './lockdep.js';
import type { Mm } from './mm_types.js';
import type { MmuNotifier } from './mmu_notifier.js';

export const INVALID_GPA = -1;

/** What a memory slot is: not there, there, or about to be deleted (KVM_MEMSLOT_INVALID). */
export const MEMSLOT = { NONE: 0, VALID: 1, INVALID: 2 } as const;
const slotType: ValueType = { name: 'memslot', show: (value) => ['none', 'valid', 'invalid'][value] ?? '?' };

/** struct kvm_memslots, where slots are deleted: one slot. */
interface KvmMemslots {
  readonly srcu: SrcuStruct;
  /** memslots[0], one of MEMSLOT. */
  readonly slot: Cell;
}

/**
 * struct kvm: a virtual machine with one memory slot. The guest's physical page numbers are those that the process has
 * for them. What the hardware walks for the guest is the page table of a device.
 * @kernel 6.12 include/linux/kvm_host.h struct kvm: adapted (mmu_lock has one mode, one slot, no page tracking, no guest_memfd)
 */
export class Kvm {
  /** 0: the record was freed. Undefined: it stays. */
  readonly life: Cell | undefined;
  /** Covers the guest's page tables, the counter of ranges under way, their hull and the number. */
  readonly mmu_lock: Cell;
  /** Covers mn_active_invalidate_count, and against it the change of slots. */
  readonly mn_invalidate_lock: Cell;
  readonly mn_active_invalidate_count: Cell;
  readonly mmu_invalidate_seq: Cell;
  readonly mmu_invalidate_in_progress: Cell;
  readonly mmu_invalidate_range_start: Cell;
  readonly mmu_invalidate_range_end: Cell;
  /** Undefined: the slot was there from the beginning, and stays. */
  readonly memslots: KvmMemslots | undefined;
  /** Set-up gives it. */
  mmu_notifier: MmuNotifier | undefined;

  constructor(
    kernel: Kernel,
    /** What guests run on: arch.mmu. */
    readonly device: Device,
    readonly mm: Mm,
    /** Pages [userspace_addr, userspace_addr + npages) of the process are the guest's. */
    readonly userspace_addr: number,
    readonly npages: number,
    { slotsChange = false }: { slotsChange?: boolean } = {},
  ) {
    const { system } = kernel;
    const ends = slotsChange ? driverLife(system, 'kvm') : undefined;
    const guarded = ends === undefined ? {} : { guard: ends.guard };
    const cell = (field: string, initial = 0): Cell => system.cell(`kvm.${field}`, initial, guarded);
    const spinlock = (field: string): Cell =>
      system.cell(`kvm.${field}`, 0, { type: holder, lockClass: `kvm.${field}`, ...guarded });
    this.life = ends?.life;
    this.mmu_lock = spinlock('mmu_lock');
    this.mn_invalidate_lock = spinlock('mn_invalidate_lock');
    this.mn_active_invalidate_count = cell('mn_active_invalidate_count');
    this.mmu_invalidate_seq = cell('mmu_invalidate_seq');
    this.mmu_invalidate_in_progress = cell('mmu_invalidate_in_progress');
    this.mmu_invalidate_range_start = cell('mmu_invalidate_range_start', INVALID_GPA);
    this.mmu_invalidate_range_end = cell('mmu_invalidate_range_end', INVALID_GPA);
    this.memslots = slotsChange
      ? {
          srcu: kernel.addSrcu('kvm'),
          slot: system.cell('kvm.memslot', MEMSLOT.VALID, { type: slotType }),
        }
      : undefined;
  }
}

/**
 * Whether a fault that took the number `mmu_seq` before it looked up the page has to begin anew: a range that covers the
 * page is under way, or one has ended since. The one does not do without the other: the number changes at the end, and
 * what began and ended meanwhile has left the counter as it was.
 * @context kvm->mmu_lock held
 * @kernel 6.12 include/linux/kvm_host.h mmu_invalidate_retry_gfn: adapted (no WARN_ON_ONCE())
 */
export function* mmu_invalidate_retry_gfn(kvm: Kvm, mmu_seq: number, gfn: number): Path<boolean> {
  if (knob('kvm.retry') === 'locked') lockdep_assert_held(kvm.mmu_lock);
  if (knob('kvm.in_progress') === 'tested' && (yield* load(kvm.mmu_invalidate_in_progress)) !== 0) {
    const start = yield* load(kvm.mmu_invalidate_range_start);
    const end = yield* load(kvm.mmu_invalidate_range_end);
    if (gfn >= start && gfn < end) return true;
  }
  return (yield* load(kvm.mmu_invalidate_seq)) !== mmu_seq;
}
