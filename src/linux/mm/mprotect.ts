// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, read, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { pfnOf, PTE } from '../../machine/pte.js';
import { mmap_write_lock, mmap_write_unlock } from '../include/mmap_lock.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
  type MmuNotifierRange,
} from '../include/mmu_notifier.js';
import { type Mm, VM, type Vma } from '../include/mm_types.js';
import { folio_test_anon, folio_test_ksm, PageAnonExclusive } from '../include/page-flags.js';
import { folio_maybe_dma_pinned, page_folio } from '../include/page_ref.js';
import {
  is_swap_pte,
  PAGE_SIZE,
  pmd_addr_end,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  type Pte,
  pte_clear_uffd_wp,
  pte_mkuffd_wp,
  pte_mkwrite,
  pte_offset_map_lock,
  pte_page,
  pte_present,
  pte_protnone,
  pte_special,
  pte_swp_clear_uffd_wp,
  pte_swp_mkuffd_wp,
  pte_unmap_unlock,
  pte_write,
  ptep_get,
  ptep_get_and_clear,
  set_pte,
} from '../include/pgtable.js';
import {
  is_writable_device_exclusive_entry,
  is_writable_device_private_entry,
  is_writable_migration_entry,
  make_readable_device_exclusive_entry,
  make_readable_device_private_entry,
  make_readable_exclusive_migration_entry,
} from '../include/swapops.js';
import { userfaultfd_pte_wp } from '../include/userfaultfd_k.js';
import { current, knob } from '../kernel.js';
import { pte_needs_soft_dirty_wp } from './internal.js';
import { type MmuGather, tlb_adjust_range, tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';
import { flush_tlb_batched_pending } from './rmap-batch.js';

/** @kernel 6.12 include/uapi/asm-generic/mman-common.h PROT_*: adapted (no PROT_EXEC) */
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;

const PROTECTION = PTE.PRESENT | PTE.USER | PTE.RW | PTE.PROTNONE;

/** @kernel 6.12 include/linux/mm.h MM_CP_*: faithful */
export const MM_CP = { TRY_CHANGE_WRITABLE: 1, PROT_NUMA: 2, UFFD_WP: 4, UFFD_WP_RESOLVE: 8 } as const;

/** Whether protection changes look themselves which entries may become writable. @kernel 6.12 include/linux/mm.h vma_wants_manual_pte_write_upgrade: adapted (private mappings) */
export const vma_wants_manual_pte_write_upgrade = (vm_flags: number): boolean =>
  (vm_flags & (VM.WRITE | VM.SHARED)) === VM.WRITE;

/** What a present entry of a private mapping gets from vm_flags: not the right to store, which a fault gives. */
export const vm_page_prot = (vm_flags: number): number =>
  vm_flags & (VM.READ | VM.WRITE) ? PTE.PRESENT | PTE.USER : PTE.PROTNONE;

/** The entry with another protection. @kernel 6.12 arch/x86/include/asm/pgtable.h pte_modify: adapted */
export const pte_modify = (pte: Pte, newprot: number): Pte => (pte & ~PROTECTION) | newprot;

/**
 * Whether the entry may become writable without a fault.
 * @context PTL held
 * @kernel 6.12 mm/mprotect.c can_change_pte_writable: adapted (private mappings)
 */
export function* can_change_pte_writable(vma: Vma, pte: Pte): Path<boolean> {
  if (pte_protnone(pte)) return false;
  if (yield* pte_needs_soft_dirty_wp(vma, pte)) return false;
  if (userfaultfd_pte_wp(vma, pte)) return false;
  if (pte_special(pte)) return false;
  const page = pte_page(pte);
  return (yield* folio_test_anon(yield* page_folio(page))) && (yield* PageAnonExclusive(page));
}

/**
 * Whether the NUMA scan leaves a present entry alone: what migration could not move, or should not.
 * @context PTL held
 * @kernel 6.12 mm/mprotect.c change_pte_range: adapted (anonymous pages; the page is always on another node)
 */
function* skippedByNumaScan(oldpte: Pte): Path<boolean> {
  if (pte_protnone(oldpte) || pte_special(oldpte)) return true;
  const folio = yield* page_folio(pte_page(oldpte));
  if (yield* folio_test_ksm(folio)) return true;
  return (yield* folio_maybe_dma_pinned(folio)) || (yield* read(folio._mapcount)) > 1;
}

/**
 * What a swap-type entry becomes. What a migration or a device leaves behind must not be writable: the fault decides
 * anew. In a writable device-private entry the soft-dirty bit is lost.
 * @kernel 6.12 mm/mprotect.c change_pte_range: adapted (migration entries of anonymous pages; no markers)
 */
function changedSwapEntry(oldpte: Pte, cp_flags: number): Pte {
  const pfn = pfnOf(oldpte);
  let newpte = oldpte;
  if (is_writable_migration_entry(oldpte)) newpte = make_readable_exclusive_migration_entry(pfn, oldpte);
  else if (is_writable_device_private_entry(oldpte)) newpte = make_readable_device_private_entry(pfn, oldpte);
  else if (is_writable_device_exclusive_entry(oldpte))
    newpte = make_readable_device_exclusive_entry(pfn, oldpte);
  if (cp_flags & MM_CP.UFFD_WP) return pte_swp_mkuffd_wp(newpte);
  return cp_flags & MM_CP.UFFD_WP_RESOLVE ? pte_swp_clear_uffd_wp(newpte) : newpte;
}

/**
 * Gives the entries of [start, end) another protection. A present one is cleared and set again, so that no dirty bit is
 * lost, and the range is flushed at the end.
 * @context mmap_lock held: for write to change the VMA's protection, for read for uffd-wp and NUMA hints
 * @kernel 6.12 mm/mprotect.c change_pte_range: adapted (no markers: anonymous memory)
 */
function* change_pte_range(
  tlb: MmuGather,
  vma: Vma,
  pmdp: Cell,
  start: number,
  end: number,
  newprot: number,
  cp_flags: number,
): Path {
  const mapped = yield* pte_offset_map_lock(pmdp, start);
  if (mapped === undefined) return;
  yield* flush_tlb_batched_pending(tlb.mm);
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const ptep = current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + addr - start);
    const found = yield* ptep_get(ptep);
    if (!pte_present(found)) {
      if (!is_swap_pte(found)) continue;
      const newpte = changedSwapEntry(found, cp_flags);
      if (newpte !== found) yield* set_pte(ptep, newpte);
      continue;
    }
    if (cp_flags & MM_CP.PROT_NUMA && (yield* skippedByNumaScan(found))) continue;
    const oldpte = yield* ptep_get_and_clear(ptep);
    let ptent = pte_modify(oldpte, newprot);
    if (cp_flags & MM_CP.UFFD_WP) ptent = pte_mkuffd_wp(ptent);
    else if (cp_flags & MM_CP.UFFD_WP_RESOLVE) ptent = pte_clear_uffd_wp(ptent);
    if (
      cp_flags & MM_CP.TRY_CHANGE_WRITABLE &&
      !pte_write(ptent) &&
      (yield* can_change_pte_writable(vma, ptent))
    )
      ptent = pte_mkwrite(ptent);
    yield* set_pte(ptep, ptent);
    if (oldpte & PTE.PRESENT && (oldpte & PROTECTION & ~ptent) !== 0) tlb_adjust_range(tlb, addr, PAGE_SIZE);
  }
  yield* pte_unmap_unlock(mapped.ptl);
}

/**
 * Gives [start, end) of a VMA the protection that its flags say, or none for NUMA hints, as one invalidation that begins
 * where the first page table is. The caller flushes.
 * @context mmap_lock held
 * @kernel 6.12 mm/mprotect.c change_protection, change_pud_range: adapted (upper levels folded; no huge PMDs; vm_page_prot is made of vm_flags)
 */
export function* change_protection(
  tlb: MmuGather,
  vma: Vma,
  start: number,
  end: number,
  vm_flags: number,
  cp_flags: number,
): Path {
  const newprot = cp_flags & MM_CP.PROT_NUMA ? PTE.PROTNONE : vm_page_prot(vm_flags);
  let range: MmuNotifierRange | undefined;
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pmdp = pmd_offset(vma.vm_mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (pmd_none(pmd) || pmd_leaf(pmd)) continue;
    if (range === undefined && knob('change_protection.notifier') === 'on') {
      range = mmu_notifier_range_init(MMU_NOTIFY.PROTECTION_VMA, 0, vma.vm_mm, addr, end);
      yield* mmu_notifier_invalidate_range_start(range);
    }
    yield* change_pte_range(tlb, vma, pmdp, addr, next, newprot, cp_flags);
  }
  if (range !== undefined) yield* mmu_notifier_invalidate_range_end(range);
}

/**
 * Gives a whole VMA another protection. When it returns, no CPU has the old one in its TLB.
 * @context may sleep; takes mmap_lock for write
 * @kernel 6.12 mm/mprotect.c do_mprotect_pkey: adapted (whole VMAs, no keys; mprotect_fixup() folded in)
 */
export function* mprotect(mm: Mm, vma: Vma, prot: number): Path<number> {
  yield* mmap_write_lock(mm);
  const tlb = yield* tlb_gather_mmu(mm);
  const old = yield* load(vma.vm_flags);
  const vm_flags =
    (old & ~(VM.READ | VM.WRITE)) |
    (prot & PROT_READ ? VM.READ : 0) |
    (prot & PROT_WRITE ? VM.READ | VM.WRITE : 0);
  yield* write(vma.vm_flags, vm_flags); // vm_flags_reset_once(): rmap walks read it without mmap_lock
  const start = yield* load(vma.vm_start);
  const end = yield* load(vma.vm_end);
  const cp_flags = vma_wants_manual_pte_write_upgrade(vm_flags) ? MM_CP.TRY_CHANGE_WRITABLE : 0;
  yield* change_protection(tlb, vma, start, end, vm_flags, cp_flags);
  yield* tlb_finish_mmu(tlb);
  yield* mmap_write_unlock(mm);
  return 0;
}
