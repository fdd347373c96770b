// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { makeSwapEntry, pfnOf, PTE, SwapType, swapType } from '../../machine/pte.js';
import { mmap_write_lock, mmap_write_unlock } from '../include/mmap_lock.js';
import { type Mm, VM, type Vma } from '../include/mm_types.js';
import { folio_test_anon, PageAnonExclusive } from '../include/page-flags.js';
import { page_folio } from '../include/page_ref.js';
import {
  PAGE_SIZE,
  pmd_addr_end,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  type Pte,
  pte_mkwrite,
  pte_offset_map_lock,
  pte_page,
  pte_present,
  pte_special,
  pte_unmap_unlock,
  pte_write,
  ptep_get,
  ptep_get_and_clear,
  set_pte,
} from '../include/pgtable.js';
import { is_writable_device_exclusive_entry, make_readable_device_exclusive_entry } from '../include/swapops.js';
import { current } from '../kernel.js';
import { type MmuGather, tlb_adjust_range, tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';
import { flush_tlb_batched_pending } from './rmap-batch.js';

/** @kernel 6.12 include/uapi/asm-generic/mman-common.h PROT_*: adapted (no PROT_EXEC) */
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;

const PROTECTION = PTE.PRESENT | PTE.USER | PTE.RW | PTE.PROTNONE;

/** What a present entry of a private mapping gets from vm_flags: not the right to store, which a fault gives. */
export const vm_page_prot = (vm_flags: number): number =>
  vm_flags & (VM.READ | VM.WRITE) ? PTE.PRESENT | PTE.USER : PTE.PROTNONE;

/** The entry with another protection. @kernel 6.12 arch/x86/include/asm/pgtable.h pte_modify: adapted */
const pte_modify = (pte: Pte, newprot: number): Pte => (pte & ~PROTECTION) | newprot;

/**
 * Whether the entry may become writable without a fault.
 * @context PTL held
 * @kernel 6.12 mm/mprotect.c can_change_pte_writable: adapted (private mappings; no soft-dirty, no uffd-wp)
 */
export function* can_change_pte_writable(_vma: Vma, _addr: number, pte: Pte): Path<boolean> {
  if (pte_special(pte)) return false;
  const page = pte_page(pte);
  return (yield* folio_test_anon(yield* page_folio(page))) && (yield* PageAnonExclusive(page));
}

/**
 * Gives the present entries of [start, end) another protection: each is cleared and set again, so that no dirty bit is
 * lost, and the range is flushed at the end.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/mprotect.c change_pte_range: adapted (present and migration entries of anonymous pages; no NUMA hints)
 */
function* change_pte_range(
  tlb: MmuGather,
  vma: Vma,
  pmdp: Cell,
  start: number,
  end: number,
  newprot: number,
  tryWritable: boolean,
): Path {
  const mapped = yield* pte_offset_map_lock(pmdp, start);
  if (mapped === undefined) return;
  yield* flush_tlb_batched_pending(tlb.mm);
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const ptep = current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + addr - start);
    const found = yield* ptep_get(ptep);
    if (!pte_present(found)) {
      // What the migration ends with must not be writable: the fault decides anew.
      const type = swapType(found);
      if (type === SwapType.MIGRATION_WRITE)
        yield* set_pte(ptep, makeSwapEntry(SwapType.MIGRATION_READ_EXCLUSIVE, pfnOf(found)));
      // So must what a device-exclusive entry is restored to.
      else if (is_writable_device_exclusive_entry(found))
        yield* set_pte(ptep, make_readable_device_exclusive_entry(pfnOf(found), found));
      continue;
    }
    const oldpte = yield* ptep_get_and_clear(ptep);
    let ptent = pte_modify(oldpte, newprot);
    if (tryWritable && !pte_write(ptent) && (yield* can_change_pte_writable(vma, addr, ptent)))
      ptent = pte_mkwrite(ptent);
    yield* set_pte(ptep, ptent);
    if (oldpte & PTE.PRESENT && (oldpte & PROTECTION & ~ptent) !== 0) tlb_adjust_range(tlb, addr, PAGE_SIZE);
  }
  yield* pte_unmap_unlock(mapped.ptl);
}

/** @context mmap_lock held for write @kernel 6.12 mm/mprotect.c change_protection: adapted (upper levels folded; no huge PMDs) */
export function* change_protection(
  tlb: MmuGather,
  vma: Vma,
  start: number,
  end: number,
  newprot: number,
  tryWritable: boolean,
): Path {
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pmdp = pmd_offset(vma.vm_mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (pmd_none(pmd) || pmd_leaf(pmd)) continue;
    yield* change_pte_range(tlb, vma, pmdp, addr, next, newprot, tryWritable);
  }
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
  const tryWritable = (vm_flags & (VM.WRITE | VM.SHARED)) === VM.WRITE;
  yield* change_protection(tlb, vma, start, end, vm_page_prot(vm_flags), tryWritable);
  yield* tlb_finish_mmu(tlb);
  yield* mmap_write_unlock(mm);
  return 0;
}
