// SPDX-License-Identifier: GPL-2.0-only
/** mm/memory.c: faults on anonymous memory, and what sends a fault to the other parts. */
import type { Path } from '../../core/path.js';
import { add, load, read, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { PTE } from '../../machine/pte.js';
import { VM, type Mm, type Page, type PtePointer, type Vma } from '../include/mm_types.js';
import {
  pmdUnchanged,
  pmdOfTable,
  mk_pte,
  pmd_none,
  pmd_offset,
  pmd_present,
  pmdp_get_lockless,
  pte_mkdirty,
  pte_mkspecial,
  pte_mkwrite,
  pte_none,
  pte_offset_map_lock,
  pte_offset_map_nolock,
  pte_present,
  pte_protnone,
  pteUnchanged,
  pte_unmap,
  pte_unmap_unlock,
  pte_write,
  ptep_get_lockless,
  pmd_leaf,
  pmd_write,
  type Pte,
  set_pte,
  set_pmd,
} from '../include/pgtable.js';
import { vma_is_accessible } from '../include/mm.js';
import { check_stable_address_space } from '../include/oom.js';
import { current, knob } from '../kernel.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { vmaFile } from '../fs/file_table.js';
import {
  do_huge_pmd_anonymous_page,
  do_huge_pmd_wp_page,
  thp_vma_allowable_order,
} from './huge_memory-fault.js';
import { do_fault } from './memory-file.js';
import { alloc_page, free_unref_page, pte_alloc_one } from './page_alloc.js';
import { folio_add_new_anon_rmap } from './rmap.js';
import { vmf_anon_prepare } from './rmap-anon_vma.js';
import { folio_add_lru_vma, folio_put } from './swap.js';
import { do_numa_page } from './memory-numa.js';
import { do_swap_page } from './memory-swap.js';
import { do_wp_page } from './memory-wp.js';
import { pmd_alloc } from './memory-pmd.js';

/** What a fault ends with. */
export const VM_FAULT = {
  NONE: 0,
  OOM: 1,
  SIGSEGV: 2,
  SIGBUS: 4,
  RETRY: 8,
  /** There is nothing to map: somebody else did it, or the fault has to be tried again. */
  NOPAGE: 16,
  /** vmf.page is locked. */
  LOCKED: 32,
  /** Not with a huge page: a small one has to do. */
  FALLBACK: 64,
} as const;
export const FAULT_FLAG = {
  WRITE: 1,
  UNSHARE: 2,
  ALLOW_RETRY: 4,
  /** Not the kernel's: a write fault in a VMA that does not allow stores (FOLL_FORCE). COW is broken, the entry stays read-only. */
  FORCED: 8,
} as const;

/** struct vm_fault. @kernel 6.12 include/linux/mm.h struct vm_fault: adapted (what the modelled paths use) */
export interface VmFault {
  readonly mm: Mm;
  readonly vma: Vma;
  readonly address: number;
  readonly flags: number;
  readonly pmd: Cell;
  /** The entry as it was read without a lock: what the fault acts on, if it is still the same under the PTL. */
  orig_pte: Pte;
  /** What a file found: locked and referenced. For migrate_to_ram(): the page of device memory, referenced. */
  page?: Page | undefined;
  /** The private copy of it. */
  cow_page?: Page | undefined;
  /** A page table that was allocated before locks were taken. */
  prealloc_pte?: Page | undefined;
}

/**
 * Puts a page table under an empty PMD.
 * @context may sleep; mmap_lock held
 * @kernel 6.12 mm/memory.c __pte_alloc: faithful
 */
export function* pte_alloc(mm: Mm, pmd: Cell): Path<boolean> {
  if (!pmd_none(yield* pmdp_get_lockless(pmd))) return true;
  const table = yield* pte_alloc_one();
  if (table === undefined) return false;
  yield* spin_lock(mm.page_table_lock);
  const populated = !(yield* pmdUnchanged(pmd, 0));
  if (!populated) yield* set_pmd(pmd, pmdOfTable(table));
  yield* spin_unlock(mm.page_table_lock);
  if (populated) yield* free_unref_page(table);
  return true;
}

/** As pte_alloc(), then pte_offset_map_lock(); undefined without memory. @kernel 6.12 include/linux/mm.h pte_alloc_map_lock: faithful */
export function* pte_alloc_map_lock(
  mm: Mm,
  pmd: Cell,
  address: number,
): Path<{ ptep: PtePointer; ptl: Cell } | undefined> {
  if (!(yield* pte_alloc(mm, pmd))) return undefined;
  return yield* pte_offset_map_lock(pmd, address);
}

/** Whether the entry is no longer what the fault acts on. @context PTL held @kernel 6.12 mm/memory.c vmf_pte_changed: adapted (the value is given) */
function* vmf_pte_changed(ptep: PtePointer, orig_pte: Pte): Path<boolean> {
  if (knob('fault.pte_same') === 'off') return false;
  return !(yield* pteUnchanged(ptep, orig_pte));
}

/**
 * Serves a fault on a private anonymous page that is not there.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/memory.c do_anonymous_page: adapted (without a zero page a read allocates too)
 */
function* do_anonymous_page(vmf: VmFault): Path<number> {
  const { mm, vma, address, pmd } = vmf;
  if (!(yield* pte_alloc(mm, pmd))) return VM_FAULT.OOM;
  const { zero_page } = current.kernel;
  if (zero_page !== undefined && !(vmf.flags & FAULT_FLAG.WRITE)) {
    const zero = yield* pte_offset_map_lock(pmd, address);
    if (zero === undefined) return VM_FAULT.NONE;
    const same = !(yield* vmf_pte_changed(zero.ptep, 0));
    if (same && !(yield* check_stable_address_space(mm))) {
      yield* pte_unmap_unlock(zero.ptl);
      return VM_FAULT.SIGBUS;
    }
    if (same) yield* set_pte(zero.ptep, pte_mkspecial(mk_pte(zero_page, PTE.PRESENT | PTE.USER)));
    yield* pte_unmap_unlock(zero.ptl);
    return VM_FAULT.NONE;
  }
  yield* vmf_anon_prepare(vma);
  const folio = yield* alloc_page();
  if (folio === undefined) return VM_FAULT.OOM;
  yield* clear_user_highpage(folio);
  let entry = mk_pte(folio, PTE.PRESENT | PTE.USER);
  if ((yield* load(vma.vm_flags)) & VM.WRITE) entry = pte_mkwrite(pte_mkdirty(entry));
  const mapped = yield* pte_offset_map_lock(pmd, address);
  if (mapped === undefined || (yield* vmf_pte_changed(mapped.ptep, 0))) {
    if (mapped !== undefined) yield* pte_unmap_unlock(mapped.ptl);
    yield* folio_put(folio);
    return VM_FAULT.NONE;
  }
  if (!(yield* check_stable_address_space(mm))) {
    yield* pte_unmap_unlock(mapped.ptl);
    yield* folio_put(folio);
    return VM_FAULT.SIGBUS;
  }
  yield* add(mm.anon_rss, 1);
  yield* folio_add_new_anon_rmap(folio, vma, address);
  yield* folio_add_lru_vma(folio, vma);
  yield* set_pte(mapped.ptep, entry);
  yield* pte_unmap_unlock(mapped.ptl);
  return VM_FAULT.NONE;
}

/**
 * Copies the contents of a page, where the machine has contents.
 * @kernel 6.12 include/linux/highmem.h copy_user_highpage: adapted (contents are one word or a few, one step each)
 */
export function* copy_user_page(to: Page, from: Page | undefined): Path {
  if (from === undefined) return yield* clear_user_highpage(to);
  // Marked: contents of a user page belong to user code and devices, not to C.
  for (let word = 0; word < to.frame.words.length; word++)
    yield* write(to.frame.words[word]!, yield* read(from.frame.words[word]!));
}

/** Zeroes a new page, where the machine has contents. @kernel 6.12 include/linux/highmem.h clear_user_highpage: faithful */
export function* clear_user_highpage(page: Page): Path {
  for (const word of page.frame.words) yield* write(word, 0);
}

/** @context mmap_lock held for read; may sleep @kernel 6.12 mm/memory.c do_pte_missing: faithful */
function* do_pte_missing(vmf: VmFault): Path<number> {
  const file = yield* vmaFile(vmf.vma);
  return file === undefined ? yield* do_anonymous_page(vmf) : yield* do_fault(vmf, file);
}

/**
 * Serves a fault below an existing or absent page table. The entry is read without a lock first; every path that acts
 * on it looks again under the PTL.
 * @context mmap_lock held for read
 * @kernel 6.12 mm/memory.c handle_pte_fault: faithful
 */
function* handle_pte_fault(vmf: VmFault): Path<number> {
  if (pmd_none(yield* pmdp_get_lockless(vmf.pmd))) return yield* do_pte_missing(vmf);
  const mapped = yield* pte_offset_map_nolock(vmf.pmd, vmf.address);
  if (mapped === undefined) return VM_FAULT.NONE;
  vmf.orig_pte = yield* ptep_get_lockless(mapped.ptep);
  if (pte_none(vmf.orig_pte)) {
    yield* pte_unmap();
    return yield* do_pte_missing(vmf);
  }
  if (!pte_present(vmf.orig_pte)) {
    yield* pte_unmap();
    return yield* do_swap_page(vmf);
  }
  if (pte_protnone(vmf.orig_pte)) {
    if (vma_is_accessible(yield* load(vmf.vma.vm_flags)))
      return yield* do_numa_page(vmf, mapped.ptep, mapped.ptl);
    yield* pte_unmap();
    return VM_FAULT.SIGSEGV;
  }
  yield* spin_lock(mapped.ptl);
  if (yield* vmf_pte_changed(mapped.ptep, vmf.orig_pte)) {
    yield* pte_unmap_unlock(mapped.ptl);
    return VM_FAULT.NONE;
  }
  if (vmf.flags & (FAULT_FLAG.WRITE | FAULT_FLAG.UNSHARE)) {
    if (!pte_write(vmf.orig_pte)) return yield* do_wp_page(vmf, mapped.ptep, mapped.ptl);
    // Somebody else served the fault. This CPU dropped its TLB entry when it faulted.
    const entry = pte_mkdirty(vmf.orig_pte);
    if (entry !== vmf.orig_pte) yield* set_pte(mapped.ptep, entry);
  }
  yield* pte_unmap_unlock(mapped.ptl);
  return VM_FAULT.NONE;
}

/**
 * Serves a fault at `address` in `vma`.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/memory.c handle_mm_fault / __handle_mm_fault: adapted (upper levels folded; no NUMA hints at the PMD)
 */
export function* handle_mm_fault(mm: Mm, vma: Vma, address: number, flags: number): Path<number> {
  yield* pmd_alloc(mm, address);
  const pmd = pmd_offset(mm, address);
  const vmf: VmFault = { mm, vma, address, flags, pmd, orig_pte: 0 };
  const orig_pmd = yield* pmdp_get_lockless(pmd);
  if (!pmd_none(orig_pmd) && !pmd_present(orig_pmd)) return VM_FAULT.NONE;
  let huge: number = VM_FAULT.FALLBACK;
  if (pmd_leaf(orig_pmd)) {
    if (pmd_write(orig_pmd) || !(flags & (FAULT_FLAG.WRITE | FAULT_FLAG.UNSHARE))) return VM_FAULT.NONE;
    huge = yield* do_huge_pmd_wp_page(vmf, orig_pmd);
  } else if (
    pmd_none(orig_pmd) &&
    current.kernel.options.thp &&
    (yield* thp_vma_allowable_order(vma, address))
  )
    huge = yield* do_huge_pmd_anonymous_page(vmf);
  return huge & VM_FAULT.FALLBACK ? yield* handle_pte_fault(vmf) : huge;
}
