// SPDX-License-Identifier: GPL-2.0-only
/** mm/memory.c: fork copies page tables. */
import { folio_test_anon } from '../include/page-flags.js';
import type { Path } from '../../core/path.js';
import { add, equals, load } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { EAGAIN, EBUSY, ENOENT, ENOMEM } from '../include/errno.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { is_cow_mapping } from '../include/mm.js';
import { VM, type Folio, type Page, type PtePointer, type Vma } from '../include/mm_types.js';
import { folio_get, page_folio } from '../include/page_ref.js';
import {
  mk_pte,
  PAGE_SIZE,
  pmd_addr_end,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  type Pte,
  pte_clear_uffd_wp,
  pte_mkclean,
  pte_mkdirty,
  pte_mkwrite,
  pte_none,
  pte_offset_map_nolock,
  pte_page,
  pte_present,
  pte_special,
  pte_unmap_unlock,
  pte_wrprotect,
  pte_write,
  ptep_get,
  ptep_set_wrprotect,
  set_pte,
  pud_offset,
} from '../include/pgtable.js';
import { folio_try_dup_anon_rmap_pte } from '../include/rmap.js';
import { raw_write_seqcount_begin, raw_write_seqcount_end } from '../include/seqlock.js';
import { SINGLE_DEPTH_NESTING, spin_lock_nested } from '../kernel/locking/spinlock.js';
import { folio_lock } from '../include/pagemap.js';
import { is_device_exclusive_entry, pfn_swap_entry_to_page } from '../include/swapops.js';
import { userfaultfd_wp } from '../include/userfaultfd_k.js';
import { current, knob } from '../kernel.js';
import { copy_huge_pmd } from './huge_memory-fork.js';
import { copy_user_page, pte_alloc_map_lock } from './memory-fault.js';
import { fileRss } from './memory-file.js';
import { vm_page_prot } from './mprotect.js';
import { restore_exclusive_pte } from './memory-exclusive.js';
import { alloc_page } from './page_alloc.js';
import { folio_add_new_anon_rmap } from './rmap.js';
import { COPIED_TO_OWN_PAGE, copy_nonpresent_pte, type RssVec } from './memory-swap.js';
import { folio_add_lru_vma, folio_put, unlockAndPut } from './swap.js';
import { pmd_alloc } from './memory-pmd.js';

/** What copying one entry came to, for the counters. */
const Copied = { SPECIAL: 0, ANON: 1, FILE: 2, OWN_PAGE: 3 } as const;

/**
 * Gives the child a page of its own at once, since the parent may have pinned this one. The parent's entry stays
 * writable: no later write of the parent moves it to another page.
 * @context both PTLs held
 * @kernel 6.12 mm/memory.c copy_present_page: adapted (no poisoned source, no userfaultfd)
 */
function* copy_present_page(
  dst_vma: Vma,
  dst_pte: PtePointer,
  addr: number,
  prealloc: Folio | undefined,
  page: Page,
): Path<number> {
  if (prealloc === undefined) return -EAGAIN;
  yield* copy_user_page(prealloc, page);
  yield* folio_add_new_anon_rmap(prealloc, dst_vma, addr);
  yield* folio_add_lru_vma(prealloc, dst_vma);
  const vm_flags = yield* load(dst_vma.vm_flags);
  let pte = pte_mkdirty(mk_pte(prealloc, vm_page_prot(vm_flags)));
  if (vm_flags & VM.WRITE) pte = pte_mkwrite(pte); // maybe_mkwrite()
  yield* set_pte(dst_pte, pte);
  return Copied.OWN_PAGE;
}

/**
 * Copies one present entry: the page is mapped twice from now on, so neither side may write to it. Returns what it came
 * to, or -EAGAIN: a page is needed, which can't be allocated under the PTL.
 * @context both PTLs held
 * @kernel 6.12 mm/memory.c copy_present_ptes / __copy_present_ptes: adapted (one entry at a time)
 */
function* copy_present_pte(
  dst_vma: Vma,
  src_vma: Vma,
  vm_flags: number,
  dst_pte: PtePointer,
  src_pte: PtePointer,
  addr: number,
  pte: Pte,
  prealloc: Folio | undefined,
): Path<number> {
  let copied: number = Copied.SPECIAL;
  if (!pte_special(pte)) {
    const page = pte_page(pte);
    const folio = yield* page_folio(page);
    yield* folio_get(folio);
    if (yield* folio_test_anon(folio)) {
      if (!(yield* folio_try_dup_anon_rmap_pte(folio, page, src_vma))) {
        yield* folio_put(folio);
        return yield* copy_present_page(dst_vma, dst_pte, addr, prealloc, page);
      }
      copied = Copied.ANON;
    } else {
      yield* add(page._mapcount, 1); // folio_dup_file_rmap_pte()
      copied = Copied.FILE;
    }
  }
  let entry = pte;
  if (is_cow_mapping(vm_flags) && pte_write(entry)) {
    yield* ptep_set_wrprotect(src_pte);
    entry = pte_wrprotect(entry);
  }
  if (vm_flags & VM.SHARED) entry = pte_mkclean(entry);
  if (!userfaultfd_wp(dst_vma)) entry = pte_clear_uffd_wp(entry);
  yield* set_pte(dst_pte, entry);
  return copied;
}

/**
 * Copies the entries of [addr, end) from one page table to another. The child's PTL is the outer one.
 * @context both mmap_locks held for write; may sleep
 * @kernel 6.12 mm/memory.c copy_pte_range: adapted (never gives the locks up to be nice; lazy MMU mode does nothing on bare x86; knob fork.exclusive)
 */
function* copy_pte_range(
  dst_vma: Vma,
  src_vma: Vma,
  vm_flags: number,
  dst_pmd: Cell,
  src_pmd: Cell,
  start: number,
  end: number,
): Path<number> {
  const { kernel } = current;
  const dst_mm = dst_vma.vm_mm;
  let prealloc: Folio | undefined;
  // Knob fork.exclusive, restore-sleep: the folio whose lock is held, and the one to wait for.
  let locked: Folio | undefined;
  let wanted: Folio | undefined;
  let addr = start;
  while (addr < end) {
    const dst = yield* pte_alloc_map_lock(dst_mm, dst_pmd, addr);
    if (dst === undefined) {
      if (locked !== undefined) yield* unlockAndPut(locked);
      if (prealloc !== undefined) yield* folio_put(prealloc);
      return -ENOMEM;
    }
    const src = yield* pte_offset_map_nolock(src_pmd, addr);
    if (src === undefined) {
      yield* pte_unmap_unlock(dst.ptl);
      break;
    }
    yield* spin_lock_nested(src.ptl, SINGLE_DEPTH_NESTING);
    const first = addr;
    const rss: RssVec = { anon: 0, file: 0 };
    let ret = 0;
    for (; addr < end; addr += PAGE_SIZE) {
      const src_pte = kernel.pte(src.ptep.table.number, src.ptep.index + addr - first);
      let ptent = yield* ptep_get(src_pte);
      if (pte_none(ptent)) continue;
      const dst_pte = kernel.pte(dst.ptep.table.number, dst.ptep.index + addr - first);
      if (!pte_present(ptent)) {
        if (locked !== undefined && (yield* restoreIfLocked(locked, ptent, src_pte, src_vma, addr))) {
          locked = undefined;
          ret = -ENOENT;
        } else
          ret = yield* copy_nonpresent_pte(dst_vma, src_vma, dst_pte, src_pte, ptent, addr, prealloc, rss);
        if (ret === -EBUSY && knob('fork.exclusive') === 'restore-sleep')
          wanted = yield* folioOfExclusive(ptent);
        if (ret === -EBUSY || ret === -EAGAIN) break;
        if (ret !== -ENOENT) {
          if (ret === COPIED_TO_OWN_PAGE) prealloc = undefined;
          continue;
        }
        ptent = yield* ptep_get(src_pte);
      }
      ret = yield* copy_present_pte(dst_vma, src_vma, vm_flags, dst_pte, src_pte, addr, ptent, prealloc);
      if (ret === -EAGAIN) break;
      if (ret === Copied.ANON || ret === Copied.OWN_PAGE) rss.anon++;
      if (ret === Copied.FILE) rss.file++;
      // A page that was allocated for an entry that changed meanwhile is not used for another one.
      if (prealloc !== undefined && ret !== Copied.OWN_PAGE) yield* folio_put(prealloc);
      prealloc = undefined;
    }
    yield* pte_unmap_unlock(src.ptl);
    if (rss.anon !== 0) yield* add(dst_mm.anon_rss, rss.anon);
    if (rss.file !== 0) yield* add(fileRss(dst_mm), rss.file);
    yield* pte_unmap_unlock(dst.ptl);
    if (locked !== undefined) yield* unlockAndPut(locked); // the entry was another one by now
    locked = undefined;
    if (wanted !== undefined) {
      yield* folio_lock(wanted);
      locked = wanted;
      wanted = undefined;
    } else if (ret === -EBUSY) {
      if (prealloc !== undefined) yield* folio_put(prealloc);
      return -EBUSY;
    }
    if (ret === -EAGAIN) {
      prealloc = yield* alloc_page(); // folio_prealloc()
      if (prealloc === undefined) return -ENOMEM;
    }
  }
  if (prealloc !== undefined) yield* folio_put(prealloc);
  return 0;
}

/** A reference on the folio of a device-exclusive entry. @context PTL held */
function* folioOfExclusive(entry: Pte): Path<Folio> {
  const folio = yield* page_folio(pfn_swap_entry_to_page(entry));
  yield* folio_get(folio);
  return folio;
}

/**
 * v8: fork has waited for the lock of a folio. If the entry is still a device-exclusive one of that folio, restores it and
 * gives the folio back.
 * @context both PTLs held, folio locked
 */
function* restoreIfLocked(folio: Folio, entry: Pte, ptep: PtePointer, vma: Vma, addr: number): Path<boolean> {
  if (!is_device_exclusive_entry(entry)) return false;
  const page = pfn_swap_entry_to_page(entry);
  if ((yield* page_folio(page)) !== folio) return false;
  yield* restore_exclusive_pte(vma, page, addr, ptep);
  yield* unlockAndPut(folio);
  return true;
}

/** @kernel 6.12 mm/memory.c copy_pmd_range, copy_pud_range: adapted (levels above folded) */
function* copy_pmd_range(
  dst_vma: Vma,
  src_vma: Vma,
  vm_flags: number,
  start: number,
  end: number,
): Path<number> {
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const src_pud = pud_offset(src_vma.vm_mm, addr);
    if (src_pud !== undefined) {
      if (yield* equals(src_pud, 0)) continue;
      yield* pmd_alloc(dst_vma.vm_mm, addr);
    }
    const src_pmd = pmd_offset(src_vma.vm_mm, addr);
    const pmd = yield* pmdp_get_lockless(src_pmd);
    if (pmd_none(pmd)) continue;
    const dst_pmd = pmd_offset(dst_vma.vm_mm, addr);
    if (pmd_leaf(pmd)) {
      const err = yield* copy_huge_pmd(dst_pmd, src_pmd, addr, dst_vma, src_vma);
      if (err === -ENOMEM) return -ENOMEM;
      if (err === 0) continue;
    }
    // Whatever went wrong: -EBUSY of a folio that somebody has locked becomes -ENOMEM as well.
    const ret = yield* copy_pte_range(dst_vma, src_vma, vm_flags, dst_pmd, src_pmd, addr, next);
    if (ret !== 0) return -ENOMEM;
  }
  return 0;
}

/**
 * Whether fork copies entries that a fault would make anew. Without chains nothing tells a VMA that has no anonymous
 * page apart.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/memory.c vma_needs_copy: adapted (no userfaultfd)
 */
function* vma_needs_copy(src_vma: Vma, vm_flags: number): Path<boolean> {
  if (current.kernel.anon_vma_pool === undefined) return true;
  return (vm_flags & (VM.PFNMAP | VM.MIXEDMAP)) !== 0 || (yield* load(src_vma.anon_vma)) !== 0;
}

/**
 * Copies the page tables of one VMA into the child. For a private mapping that write-protects the parent's pages, so
 * write_protect_seq is odd meanwhile: GUP-fast, which takes no lock, does not pin a page that is being shared.
 * @context mmap_lock of both mms held for write; may sleep
 * @kernel 6.12 mm/memory.c copy_page_range: faithful
 */
export function* copy_page_range(dst_vma: Vma, src_vma: Vma): Path<number> {
  const addr = yield* load(src_vma.vm_start);
  const end = yield* load(src_vma.vm_end);
  const vm_flags = yield* load(src_vma.vm_flags);
  const { write_protect_seq } = src_vma.vm_mm;
  const is_cow = is_cow_mapping(vm_flags);
  if (!(yield* vma_needs_copy(src_vma, vm_flags))) return 0;
  const range = mmu_notifier_range_init(MMU_NOTIFY.PROTECTION_PAGE, 0, src_vma.vm_mm, addr, end);
  const notifies = is_cow && knob('fork.notifier') === 'on';
  if (notifies) yield* mmu_notifier_invalidate_range_start(range);
  if (is_cow) yield* raw_write_seqcount_begin(write_protect_seq);
  const ret = yield* copy_pmd_range(dst_vma, src_vma, vm_flags, addr, end);
  if (is_cow) yield* raw_write_seqcount_end(write_protect_seq);
  if (notifies) yield* mmu_notifier_invalidate_range_end(range);
  return ret;
}
