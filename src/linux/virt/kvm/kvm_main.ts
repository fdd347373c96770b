// SPDX-License-Identifier: GPL-2.0-only
/** virt/kvm/kvm_main.c: what a virtual machine hears of the mm that its memory is in. */
import type { Path } from '../../../core/path.js';
import { claim, equals, load, read, store, write } from '../../../core/primitives.js';
import type { Cell } from '../../../core/system.js';
import { deviceFlush, deviceUnmap } from '../../../machine/machine.js';
import { INVALID_GPA, type Kvm, MEMSLOT } from '../../include/kvm_host.js';
import { lockdep_assert_held } from '../../include/lockdep.js';
import type { MmuNotifier, MmuNotifierOps, MmuNotifierRange } from '../../include/mmu_notifier.js';
import { spin_lock, spin_unlock } from '../../kernel/locking/spinlock.js';
import { srcu_read_lock, srcu_read_unlock, synchronize_srcu } from '../../kernel/rcu/srcu.js';
import { rcuwait } from '../../kernel/sched/core.js';
import { knob } from '../../kernel.js';
import { mmu_notifier_unregister } from '../../mm/mmu_notifier-list.js';

/** A field that the lock which is held covers. @context that lock held */
function* increase(field: Cell, by: number): Path<number> {
  const value = (yield* load(field)) + by;
  yield* store(field, value);
  return value;
}

/** A range begins. @context kvm->mmu_lock held @kernel 6.12 virt/kvm/kvm_main.c kvm_mmu_invalidate_begin: faithful */
function* kvm_mmu_invalidate_begin(kvm: Kvm): Path {
  lockdep_assert_held(kvm.mmu_lock);
  if ((yield* increase(kvm.mmu_invalidate_in_progress, 1)) === 1) {
    yield* store(kvm.mmu_invalidate_range_start, INVALID_GPA);
    yield* store(kvm.mmu_invalidate_range_end, INVALID_GPA);
  }
  if (knob('kvm.seq') === 'begin') yield* increase(kvm.mmu_invalidate_seq, 1);
}

/**
 * One hull for all ranges that are under way: of what one of them leaves behind nobody could say whose it was.
 * @context kvm->mmu_lock held
 * @kernel 6.12 virt/kvm/kvm_main.c kvm_mmu_invalidate_range_add: adapted (no WARN_ON_ONCE())
 */
function* kvm_mmu_invalidate_range_add(kvm: Kvm, start: number, end: number): Path {
  lockdep_assert_held(kvm.mmu_lock);
  const { mmu_invalidate_range_start, mmu_invalidate_range_end } = kvm;
  const from = yield* load(mmu_invalidate_range_start);
  if (from === INVALID_GPA || knob('kvm.range') === 'last') {
    yield* store(mmu_invalidate_range_start, start);
    yield* store(mmu_invalidate_range_end, end);
  } else {
    yield* store(mmu_invalidate_range_start, Math.min(from, start));
    const to = yield* load(mmu_invalidate_range_end);
    yield* store(mmu_invalidate_range_end, Math.max(to, end));
  }
}

/** Takes pages away from the guest. @context kvm->mmu_lock held @kernel 6.12 virt/kvm/kvm_main.c kvm_mmu_unmap_gfn_range: adapted (kvm_unmap_gfn_range() is the device's unmap) */
function* kvm_mmu_unmap_gfn_range(kvm: Kvm, start: number, end: number): Path {
  yield* kvm_mmu_invalidate_range_add(kvm, start, end);
  yield* deviceUnmap(kvm.device, start, end);
}

/** A range ends. @context kvm->mmu_lock held @kernel 6.12 virt/kvm/kvm_main.c kvm_mmu_invalidate_end: adapted (does not ask whether a range was added) */
function* kvm_mmu_invalidate_end(kvm: Kvm): Path {
  lockdep_assert_held(kvm.mmu_lock);
  if (knob('kvm.seq') === 'end') yield* increase(kvm.mmu_invalidate_seq, 1);
  const left = yield* increase(kvm.mmu_invalidate_in_progress, -1);
  yield* claim(left >= 0, 'WARN-ON', 'a range ends that has not begun (kvm_mmu_invalidate_end)');
}

/** Whether the guest has memory in the range. Not a step where slots stay. @context kvm->srcu held @kernel 6.12 virt/kvm/kvm_main.c kvm_for_each_memslot_in_hva_range: adapted (one slot) */
function* slotIntersects({ memslots, userspace_addr, npages }: Kvm, range: MmuNotifierRange): Path<boolean> {
  if (range.end <= userspace_addr || range.start >= userspace_addr + npages) return false;
  return memslots === undefined || !(yield* equals(memslots.slot, MEMSLOT.NONE));
}

/**
 * Does what the beginning or the end of a range asks for, if the guest has memory there.
 * @context does not sleep
 * @kernel 6.12 virt/kvm/kvm_main.c __kvm_handle_hva_range: adapted (the two handlers that it is called with here)
 */
function* __kvm_handle_hva_range(kvm: Kvm, range: MmuNotifierRange, begins: boolean): Path {
  const { memslots, mmu_lock, device, userspace_addr, npages } = kvm;
  if (memslots !== undefined) yield* srcu_read_lock(memslots.srcu);
  if (yield* slotIntersects(kvm, range)) {
    const start = Math.max(range.start, userspace_addr);
    const end = Math.min(range.end, userspace_addr + npages);
    yield* spin_lock(mmu_lock);
    if (begins) {
      yield* kvm_mmu_invalidate_begin(kvm);
      yield* kvm_mmu_unmap_gfn_range(kvm, start, end);
      yield* deviceFlush(device, start, end); // kvm_flush_remote_tlbs()
    } else yield* kvm_mmu_invalidate_end(kvm);
    yield* spin_unlock(mmu_lock);
  }
  if (memslots !== undefined) yield* srcu_read_unlock(memslots.srcu);
}

/** The classic subscription of a virtual machine. @kernel 6.12 virt/kvm/kvm_main.c kvm_mmu_notifier_ops: adapted (no aging) */
export class KvmMmuNotifierOps implements MmuNotifierOps {
  constructor(private readonly kvm: Kvm) {}

  /**
   * No slot may come or go before the end, or the two would not find the same.
   * @context does not sleep
   * @kernel 6.12 virt/kvm/kvm_main.c kvm_mmu_notifier_invalidate_range_start: adapted (no pfn caches)
   */
  *invalidate_range_start(_mn: MmuNotifier, range: MmuNotifierRange): Path<number> {
    const { kvm } = this;
    yield* spin_lock(kvm.mn_invalidate_lock);
    yield* increase(kvm.mn_active_invalidate_count, 1);
    yield* spin_unlock(kvm.mn_invalidate_lock);
    yield* __kvm_handle_hva_range(kvm, range, true);
    return 0;
  }

  /**
   * @context does not sleep
   * @kernel 6.12 virt/kvm/kvm_main.c kvm_mmu_notifier_invalidate_range_end: adapted (who waits looks at the count)
   */
  *invalidate_range_end(_mn: MmuNotifier, range: MmuNotifierRange): Path {
    const { kvm } = this;
    yield* __kvm_handle_hva_range(kvm, range, false);
    yield* spin_lock(kvm.mn_invalidate_lock);
    yield* increase(kvm.mn_active_invalidate_count, -1);
    yield* spin_unlock(kvm.mn_invalidate_lock);
  }

  /** @context may sleep @kernel 6.12 virt/kvm/kvm_main.c kvm_mmu_notifier_release: adapted (kvm_flush_shadow_all() under mmu_lock) */
  *release(): Path {
    yield* kvm_arch_flush_shadow(this.kvm);
  }
}

/** Takes all pages away from the guest. @context does not sleep @kernel 6.12 arch/x86/kvm/mmu/mmu.c kvm_mmu_zap_all_fast: adapted (at once) */
function* kvm_arch_flush_shadow({ mmu_lock, device, userspace_addr, npages }: Kvm): Path {
  yield* spin_lock(mmu_lock);
  yield* deviceUnmap(device, userspace_addr, userspace_addr + npages);
  yield* deviceFlush(device, userspace_addr, userspace_addr + npages);
  yield* spin_unlock(mmu_lock);
}

/**
 * Makes the slot what it is to be, once no range is under way that has begun before, and waits until nobody sees the old
 * one.
 * @context kvm->slots_lock held; may sleep
 * @kernel 6.12 virt/kvm/kvm_main.c kvm_swap_active_memslots: adapted (one slot; no generations)
 */
function* kvm_swap_active_memslots(kvm: Kvm, slot: number): Path {
  const { mn_invalidate_lock, mn_active_invalidate_count } = kvm;
  const memslots = kvm.memslots!;
  yield* spin_lock(mn_invalidate_lock);
  if (knob('kvm_swap_active_memslots.wait') === 'on')
    while ((yield* load(mn_active_invalidate_count)) !== 0) {
      yield* spin_unlock(mn_invalidate_lock);
      yield* rcuwait(mn_active_invalidate_count, 0);
      yield* spin_lock(mn_invalidate_lock);
    }
  yield* write(memslots.slot, slot);
  yield* spin_unlock(mn_invalidate_lock);
  yield* synchronize_srcu(memslots.srcu);
}

/**
 * Deletes the slot: faults find it invalid, then the guest's pages go, then the slot.
 * @context kvm->slots_lock held (nobody else changes slots); may sleep
 * @kernel 6.12 virt/kvm/kvm_main.c kvm_set_memslot: adapted (KVM_MR_DELETE)
 */
export function* kvm_delete_memslot(kvm: Kvm): Path {
  yield* kvm_swap_active_memslots(kvm, MEMSLOT.INVALID); // kvm_invalidate_memslot()
  yield* kvm_arch_flush_shadow(kvm);
  yield* kvm_swap_active_memslots(kvm, MEMSLOT.NONE);
}

/**
 * The virtual machine ends. A range may be under way, whose end won't be heard of any more; else none is counted.
 * @context may sleep
 * @kernel 6.12 virt/kvm/kvm_main.c kvm_destroy_vm: adapted (what it has to do with notifiers)
 */
export function* kvm_destroy_vm(kvm: Kvm): Path {
  yield* mmu_notifier_unregister(kvm.mmu_notifier!, kvm.mm);
  if ((yield* read(kvm.mn_active_invalidate_count)) === 0)
    yield* claim(
      yield* equals(kvm.mmu_invalidate_in_progress, 0),
      'WARN-ON',
      'a range is counted, and none is under way (kvm_destroy_vm)',
    );
  yield* write(kvm.life!, 0); // kvm_arch_free_vm()
}
