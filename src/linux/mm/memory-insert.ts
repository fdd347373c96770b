// SPDX-License-Identifier: GPL-2.0-only
/** mm/memory.c: drivers put pages of their own into the page tables of a process. */
import type { Path } from '../../core/path.js';
import { add, claim, load, write } from '../../core/primitives.js';
import { EBUSY, EFAULT, EINVAL, ENOMEM } from '../include/errno.js';
import { is_cow_mapping, is_zero_pfn } from '../include/mm.js';
import { mmap_assert_write_locked } from '../include/lockdep.js';
import { VM, type Page, type PtePointer, type Vma } from '../include/mm_types.js';
import { folio_test_anon } from '../include/page-flags.js';
import { folio_get, folio_ref_count, page_folio } from '../include/page_ref.js';
import {
  mk_pte,
  pmd_offset,
  pte_mkspecial,
  pte_none,
  pte_unmap_unlock,
  ptep_get,
  set_pte,
} from '../include/pgtable.js';
import { pte_alloc_map_lock } from './memory-fault.js';
import { fileRss } from './memory-file.js';
import { vm_page_prot } from './mprotect.js';
import { folio_add_file_rmap_pte } from './rmap.js';

/** @context mmap_lock held for write @kernel 6.12 mm/memory.c vm_mixed_zeropage_allowed: adapted (no pfn_mkwrite(); VM_MAYWRITE is always set) */
function* vm_mixed_zeropage_allowed(vma: Vma): Path<boolean> {
  return is_cow_mapping(yield* load(vma.vm_flags));
}

/** @context mmap_lock held for write @kernel 6.12 mm/memory.c validate_page_before_insert: adapted (no slab, no page types) */
function* validate_page_before_insert(vma: Vma, page: Page): Path<number> {
  const folio = yield* page_folio(page);
  if ((yield* folio_ref_count(folio)) === 0) return -EINVAL;
  if (is_zero_pfn(folio.pfn)) return (yield* vm_mixed_zeropage_allowed(vma)) ? 0 : -EINVAL;
  return (yield* folio_test_anon(folio)) ? -EINVAL : 0;
}

/**
 * The mapping counts the page and has a reference, as one of a page of a file; only the zero page is special.
 * @context PTL held
 * @kernel 6.12 mm/memory.c insert_page_into_pte_locked: faithful
 */
function* insert_page_into_pte_locked(vma: Vma, pte: PtePointer, page: Page, prot: number): Path<number> {
  const folio = yield* page_folio(page);
  if (!pte_none(yield* ptep_get(pte))) return -EBUSY;
  let pteval = mk_pte(page, prot);
  if (is_zero_pfn(folio.pfn)) pteval = pte_mkspecial(pteval);
  else {
    yield* folio_get(folio);
    yield* add(fileRss(vma.vm_mm), 1);
    yield* folio_add_file_rmap_pte(page, vma);
  }
  yield* set_pte(pte, pteval);
  return 0;
}

/** @context mmap_lock held for write; may sleep @kernel 6.12 mm/memory.c insert_page: faithful */
function* insert_page(vma: Vma, addr: number, page: Page, prot: number): Path<number> {
  const invalid = yield* validate_page_before_insert(vma, page);
  if (invalid !== 0) return invalid;
  const pte = yield* pte_alloc_map_lock(vma.vm_mm, pmd_offset(vma.vm_mm, addr), addr); // get_locked_pte()
  if (pte === undefined) return -ENOMEM;
  const retval = yield* insert_page_into_pte_locked(vma, pte.ptep, page, prot);
  yield* pte_unmap_unlock(pte.ptl);
  return retval;
}

/**
 * Maps a page of a driver at `addr`. The VMA has pages with and without a count from then on.
 * @context mmap_lock held, for write if the VMA is not VM_MIXEDMAP yet; may sleep
 * @kernel 6.12 mm/memory.c vm_insert_page: faithful
 */
export function* vm_insert_page(vma: Vma, addr: number, page: Page): Path<number> {
  if (addr < (yield* load(vma.vm_start)) || addr >= (yield* load(vma.vm_end))) return -EFAULT;
  const vm_flags = yield* load(vma.vm_flags);
  if (!(vm_flags & VM.MIXEDMAP)) {
    mmap_assert_write_locked(vma.vm_mm); // BUG_ON(mmap_read_trylock())
    yield* claim(!(vm_flags & VM.PFNMAP), 'BUG-ON', 'BUG_ON(vma->vm_flags & VM_PFNMAP) in vm_insert_page()');
    yield* write(vma.vm_flags, vm_flags | VM.MIXEDMAP);
  }
  return yield* insert_page(vma, addr, page, vm_page_prot(vm_flags));
}
