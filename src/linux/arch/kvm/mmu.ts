// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import { load, read } from '../../../core/primitives.js';
import { deviceMap } from '../../../machine/machine.js';
import { PTE } from '../../../machine/pte.js';
import { type Kvm, MEMSLOT, mmu_invalidate_retry_gfn } from '../../include/kvm_host.js';
import { page_folio } from '../../include/page_ref.js';
import { mk_pte } from '../../include/pgtable.js';
import { knob } from '../../kernel.js';
import { spin_lock, spin_unlock } from '../../kernel/locking/spinlock.js';
import { srcu_read_lock, srcu_read_unlock } from '../../kernel/rcu/srcu.js';
import { FOLL } from '../../mm/gup.js';
import { get_user_pages_unlocked } from '../../mm/gup-slow.js';
import { folio_put } from '../../mm/swap.js';

/** How a fault of the guest ends; less than 0: an error. @kernel 6.12 arch/x86/kvm/mmu/mmu_internal.h enum RET_PF: adapted (those that there are here) */
export const RET_PF = { RETRY: 1, EMULATE: 2, FIXED: 4 } as const;

/** Whether what the fault has found may be old. @context kvm->mmu_lock held @kernel 6.12 arch/x86/kvm/mmu/mmu.c is_page_fault_stale: adapted (the root stays) */
function* is_page_fault_stale(kvm: Kvm, mmu_seq: number, gfn: number): Path<boolean> {
  return knob('kvm.retry') !== 'none' && (yield* mmu_invalidate_retry_gfn(kvm, mmu_seq, gfn));
}

/**
 * Serves a fault of the guest for a store: takes the number, looks the page up, and enters it under mmu_lock unless
 * that may be old by then; then the guest faults again.
 * @context may sleep; the caller is a thread of the process
 * @kernel 6.12 arch/x86/kvm/mmu/mmu.c kvm_tdp_mmu_page_fault: adapted (kvm_faultin_pfn() and its retries without the lock left out; mmu_lock has one mode)
 */
function* kvm_tdp_mmu_page_fault(kvm: Kvm, gfn: number): Path<number> {
  const { mmu_lock, mmu_invalidate_seq, device } = kvm;
  let mmu_seq = yield* load(mmu_invalidate_seq);
  const { pages, err } = yield* get_user_pages_unlocked(gfn, 1, FOLL.WRITE); // __kvm_faultin_pfn()
  const page = pages[0];
  if (page === undefined) return err;
  if (knob('kvm.mmu_seq') === 'after-lookup') mmu_seq = yield* load(mmu_invalidate_seq);
  let r: number = RET_PF.RETRY;
  const unlocked = knob('kvm.retry') === 'unlocked' && (yield* is_page_fault_stale(kvm, mmu_seq, gfn));
  yield* spin_lock(mmu_lock);
  const stale = knob('kvm.retry') === 'unlocked' ? unlocked : yield* is_page_fault_stale(kvm, mmu_seq, gfn);
  if (!stale) {
    yield* deviceMap(device, gfn, mk_pte(page, PTE.PRESENT | PTE.USER | PTE.RW)); // kvm_tdp_mmu_map()
    r = RET_PF.FIXED;
  }
  yield* spin_unlock(mmu_lock);
  yield* folio_put(yield* page_folio(page)); // kvm_release_pfn_clean()
  return r;
}

/**
 * A fault of the guest, as it comes from the hardware.
 * @context may sleep; the caller is a thread of the process
 * @kernel 6.12 arch/x86/kvm/mmu/mmu.c kvm_mmu_page_fault: adapted (no shadow pages)
 */
export function* kvm_mmu_page_fault(kvm: Kvm, gfn: number): Path<number> {
  const { memslots } = kvm;
  if (memslots === undefined) return yield* kvm_tdp_mmu_page_fault(kvm, gfn);
  yield* srcu_read_lock(memslots.srcu);
  const slot = yield* read(memslots.slot);
  let r: number = RET_PF.EMULATE;
  if (slot === MEMSLOT.VALID) r = yield* kvm_tdp_mmu_page_fault(kvm, gfn);
  else if (slot === MEMSLOT.INVALID) r = RET_PF.RETRY;
  yield* srcu_read_unlock(memslots.srcu);
  return r;
}
