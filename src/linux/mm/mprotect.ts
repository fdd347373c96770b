// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { equals, load, read, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { pfnOf, PTE } from '../../machine/pte.js';
import { mmap_write_lock, mmap_write_unlock } from '../include/mmap_lock.js';
import { ENOMEM } from '../include/errno.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
  type MmuNotifierRange,
} from '../include/mmu_notifier.js';
import { folio_is_zone_device } from '../include/memremap.js';
import { type Mm, VM, VM_ACCESS_FLAGS, type Vma } from '../include/mm_types.js';
import { folio_test_anon, folio_test_ksm, PageAnonExclusive } from '../include/page-flags.js';
import { folio_maybe_dma_pinned, page_folio } from '../include/page_ref.js';
import {
  HPAGE_PMD_NR,
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
  pte_dirty,
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
  pud_offset,
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
import { type MmuGather, __tlb_adjust_range, tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';
import { populate_vma_page_range } from './gup-populate.js';
import { __split_huge_pmd } from './huge_memory.js';
import { change_huge_pmd } from './huge_memory-protect.js';
import { vm_normal_page } from './memory.js';
import { flush_tlb_batched_pending } from './rmap-batch.js';
import { vma_is_anonymous } from '../include/mm.js';
import { vma_modify_flags } from './vma-merge.js';
import { vma_find, vma_next, vma_prev } from './vma-tree.js';

/** @kernel 6.12 include/uapi/asm-generic/mman-common.h PROT_*: adapted (no PROT_EXEC) */
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;

const PROTECTION = PTE.PRESENT | PTE.USER | PTE.RW | PTE.PROTNONE;

/** @kernel 6.12 include/linux/mm.h MM_CP_*: faithful */
export const MM_CP = { TRY_CHANGE_WRITABLE: 1, PROT_NUMA: 2, UFFD_WP: 4, UFFD_WP_RESOLVE: 8 } as const;

/** Whether the first store to a page of a shared mapping has to be noticed: soft-dirty tracking is on. @kernel 6.12 mm/vma.c vma_wants_writenotify: adapted (files in memory; no userfaultfd) */
export const vma_wants_writenotify = (vm_flags: number): boolean =>
  (vm_flags & (VM.WRITE | VM.SHARED)) === (VM.WRITE | VM.SHARED) && vma_soft_dirty_enabled(vm_flags);

/** Whether stores are tracked by the entries: since the last reset of the soft-dirty bits. @kernel 6.12 mm/internal.h vma_soft_dirty_enabled: faithful */
export const vma_soft_dirty_enabled = (vm_flags: number): boolean =>
  current.kernel.options.softDirty === true && !(vm_flags & VM.SOFTDIRTY);

/** Whether protection changes look themselves which entries may become writable. @kernel 6.12 include/linux/mm.h vma_wants_manual_pte_write_upgrade: faithful */
export const vma_wants_manual_pte_write_upgrade = (vm_flags: number): boolean =>
  vm_flags & VM.SHARED ? vma_wants_writenotify(vm_flags) : (vm_flags & VM.WRITE) !== 0;

/**
 * What a present entry gets from vm_flags. In a private mapping that is not the right to store, which a fault gives.
 * @kernel 6.12 mm/mmap.c vma_set_page_prot: adapted (made of vm_flags where it is needed)
 */
export const vm_page_prot = (vm_flags: number): number => {
  if (!(vm_flags & VM_ACCESS_FLAGS)) return PTE.PROTNONE;
  const stores = (vm_flags & (VM.WRITE | VM.SHARED)) === (VM.WRITE | VM.SHARED);
  return PTE.PRESENT | PTE.USER | (stores && !vma_wants_writenotify(vm_flags) ? PTE.RW : 0);
};

/** The entry with another protection. @kernel 6.12 arch/x86/include/asm/pgtable.h pte_modify: adapted (no saved-dirty bit; PFNs are not inverted) */
export const pte_modify = (pte: Pte, newprot: number): Pte => (pte & ~PROTECTION) | newprot;

/**
 * Whether a CPU's TLB may have of an entry what the new one does not say.
 * @kernel 6.12 arch/x86/include/asm/tlbflush.h pte_needs_flush, pte_flags_need_flush: adapted (the same page; no accessed bit, which stays)
 */
export const pte_needs_flush = (oldpte: Pte, newpte: Pte): boolean => {
  if (!(oldpte & PTE.PRESENT)) return false;
  const cleared = oldpte & ~newpte & (PTE.PRESENT | PTE.DIRTY);
  const changed = (oldpte ^ newpte) & (PTE.RW | PTE.USER);
  return (cleared | changed) !== 0;
};

/**
 * Whether the entry may become writable without a fault.
 * @context PTL held
 * @kernel 6.12 mm/mprotect.c can_change_pte_writable: faithful
 */
export function* can_change_pte_writable(vma: Vma, pte: Pte): Path<boolean> {
  if (pte_protnone(pte)) return false;
  if (yield* pte_needs_soft_dirty_wp(vma, pte)) return false;
  if (userfaultfd_pte_wp(vma, pte)) return false;
  if (current.kernel.inodes !== undefined && (yield* load(vma.vm_flags)) & VM.SHARED) return pte_dirty(pte);
  const page = vm_normal_page(pte);
  if (page === undefined) return false;
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
  if ((yield* folio_is_zone_device(folio)) || (yield* folio_test_ksm(folio))) return true;
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
  vm_flags: number,
  cp_flags: number,
): Path {
  const newprot = cp_flags & MM_CP.PROT_NUMA ? PTE.PROTNONE : vm_page_prot(vm_flags);
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
    if (pte_needs_flush(oldpte, ptent)) __tlb_adjust_range(tlb, addr, PAGE_SIZE);
  }
  yield* pte_unmap_unlock(mapped.ptl);
}

/**
 * Gives [start, end) of a VMA the protection that its flags say, or none for NUMA hints, as one invalidation that begins
 * where the first PMD table is (the first page table, if upper levels are folded). The caller flushes.
 * @context mmap_lock held
 * @kernel 6.12 mm/mprotect.c change_protection, change_pud_range: adapted (levels above folded; neither NUMA hints nor uffd-wp on huge PMDs; vm_page_prot is made of vm_flags)
 */
export function* change_protection(
  tlb: MmuGather,
  vma: Vma,
  start: number,
  end: number,
  vm_flags: number,
  cp_flags: number,
): Path {
  let range: MmuNotifierRange | undefined;
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pud = pud_offset(vma.vm_mm, addr);
    if (pud !== undefined && (yield* equals(pud, 0))) continue;
    const pmdp = pmd_offset(vma.vm_mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (pud === undefined && pmd_none(pmd)) continue;
    if (pmd_leaf(pmd) && cp_flags & ~MM_CP.TRY_CHANGE_WRITABLE) continue;
    if (range === undefined && knob('change_protection.notifier') === 'on') {
      range = mmu_notifier_range_init(MMU_NOTIFY.PROTECTION_VMA, 0, vma.vm_mm, addr, end);
      yield* mmu_notifier_invalidate_range_start(range);
    }
    if (pmd_none(pmd)) continue;
    if (pmd_leaf(pmd)) {
      if (next - addr !== HPAGE_PMD_NR()) yield* __split_huge_pmd(vma.vm_mm, addr, false);
      else if (yield* change_huge_pmd(tlb, vma, pmdp, addr, vm_page_prot(vm_flags), cp_flags)) continue;
    }
    yield* change_pte_range(tlb, vma, pmdp, addr, next, vm_flags, cp_flags);
  }
  if (range !== undefined) yield* mmu_notifier_invalidate_range_end(range);
}

/** @kernel 6.12 include/linux/mman.h calc_vm_prot_bits: adapted (PROT_WRITE allows loads as well, as the hardware does) */
export const calc_vm_prot_bits = (prot: number): number =>
  (prot & PROT_READ ? VM.READ : 0) | (prot & PROT_WRITE ? VM.READ | VM.WRITE : 0);

const newFlags = (old: number, prot: number): number => (old & ~VM_ACCESS_FLAGS) | calc_vm_prot_bits(prot);

/**
 * Gives a VMA, or the part of it that is one now, its new flags, and its entries the protection that they say.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/mprotect.c mprotect_fixup: adapted (what comes after vma_modify_flags())
 */
function* changeVma(tlb: MmuGather, vma: Vma, start: number, end: number, newflags: number): Path {
  yield* write(vma.vm_flags, newflags); // vm_flags_reset_once(): rmap walks read it without mmap_lock
  const cp_flags = vma_wants_manual_pte_write_upgrade(newflags) ? MM_CP.TRY_CHANGE_WRITABLE : 0;
  yield* change_protection(tlb, vma, start, end, newflags, cp_flags);
}

/**
 * Gives [start, end) of a VMA new flags: splits it off, or merges it with a neighbour. Returns the VMA that the range is
 * in then, or a negative error number.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/mprotect.c mprotect_fixup: adapted (no limits)
 */
export function* mprotect_fixup(
  tlb: MmuGather,
  vma: Vma,
  prev: Vma | undefined,
  start: number,
  end: number,
  flags: number,
): Path<Vma | number> {
  let newflags = flags;
  const oldflags = yield* load(vma.vm_flags);
  if (newflags === oldflags) return vma;
  if (newflags & VM.WRITE) {
    if (!(oldflags & (VM.ACCOUNT | VM.WRITE | VM.SHARED))) newflags |= VM.ACCOUNT;
  } else if (oldflags & VM.ACCOUNT && (yield* vma_is_anonymous(vma)) && (yield* load(vma.anon_vma)) === 0)
    newflags &= ~VM.ACCOUNT;
  const modified = yield* vma_modify_flags(prev, vma, start, end, newflags);
  if (typeof modified === 'number') return modified;
  yield* changeVma(tlb, modified, start, end, newflags);
  // A private locked mapping becomes writable: copies are made now, not at the first store.
  if ((oldflags & (VM.WRITE | VM.SHARED | VM.LOCKED)) === VM.LOCKED && newflags & VM.WRITE)
    yield* populate_vma_page_range(modified, start, end);
  return modified;
}

/**
 * Gives [start, start + len) another protection, up to the first hole. When it returns, no CPU has the old one in its
 * TLB. Returns 0 or a negative error number.
 * @context may sleep; takes mmap_lock for write
 * @kernel 6.12 mm/mprotect.c do_mprotect_pkey: adapted (of any mm; no keys; VM_MAY* is always set, so never -EACCES)
 */
export function* do_mprotect_pkey(mm: Mm, start: number, len: number, prot: number): Path<number> {
  if (len === 0) return 0;
  const end = start + len;
  yield* mmap_write_lock(mm);
  let vma = yield* vma_find(mm, start, end);
  const vm_start = vma === undefined ? end : yield* load(vma.vm_start);
  if (vma === undefined || vm_start > start) {
    yield* mmap_write_unlock(mm);
    return -ENOMEM;
  }
  let prev: Vma | undefined = start > vm_start ? vma : yield* vma_prev(mm, vm_start);
  const tlb = yield* tlb_gather_mmu(mm);
  let error = 0;
  let nstart = start;
  let tmp = vm_start;
  while (vma !== undefined && error === 0) {
    const from: number = yield* load(vma.vm_start);
    if (from >= end) break;
    if (from !== tmp) {
      error = -ENOMEM;
      break;
    }
    const newflags: number = newFlags(yield* load(vma.vm_flags), prot);
    tmp = Math.min(yield* load(vma.vm_end), end);
    const fixed: Vma | number = yield* mprotect_fixup(tlb, vma, prev, nstart, tmp, newflags);
    if (typeof fixed === 'number') error = fixed;
    else {
      prev = fixed;
      tmp = yield* load(fixed.vm_end); // vma_iter_end()
      nstart = tmp;
      vma = yield* vma_next(mm, tmp);
    }
  }
  yield* tlb_finish_mmu(tlb);
  yield* mmap_write_unlock(mm);
  return error === 0 && tmp < end ? -ENOMEM : error;
}

/**
 * Gives a whole VMA, which the caller knows, another protection: as {@link do_mprotect_pkey} without the look-up.
 * @context may sleep; takes mmap_lock for write
 * @kernel 6.12 mm/mprotect.c do_mprotect_pkey: adapted (whole VMAs, no keys; no merging with neighbours)
 */
export function* mprotect(mm: Mm, vma: Vma, prot: number): Path<number> {
  yield* mmap_write_lock(mm);
  const tlb = yield* tlb_gather_mmu(mm);
  const newflags = newFlags(yield* load(vma.vm_flags), prot);
  const start = yield* load(vma.vm_start);
  const end = yield* load(vma.vm_end);
  yield* changeVma(tlb, vma, start, end, newflags);
  yield* tlb_finish_mmu(tlb);
  yield* mmap_write_unlock(mm);
  return 0;
}
