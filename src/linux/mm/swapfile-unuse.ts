// SPDX-License-Identifier: GPL-2.0-only
/** mm/swapfile.c: swapoff. */
import type { Path } from '../../core/path.js';
import { add, load, setBits } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { PTE } from '../../machine/pte.js';
import { assertFolioLocked } from '../include/lockdep.js';
import { ENOMEM } from '../include/errno.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import { type Folio, type Mm, PG, type Vma } from '../include/mm_types.js';
import { folio_test_anon } from '../include/page-flags.js';
import { folio_get } from '../include/page_ref.js';
import { folio_lock, folio_unlock } from '../include/pagemap.js';
import {
  is_swap_pte,
  mk_pte,
  PAGE_SIZE,
  pmd_addr_end,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  type Pte,
  pte_mksoft_dirty,
  pte_mkuffd_wp,
  pte_offset_map,
  pte_offset_map_lock,
  pte_swp_soft_dirty,
  pte_swp_uffd_wp,
  pte_unmap,
  pte_unmap_unlock,
  ptep_get_lockless,
  pteUnchanged,
  set_pte,
} from '../include/pgtable.js';
import { non_swap_entry } from '../include/swapops.js';
import { vm_page_prot } from './mprotect.js';
import { folio_add_anon_rmap_pte, folio_add_new_anon_rmap } from './rmap.js';
import { folio_put } from './swap.js';
import { read_swap_cache_async } from './swap_state.js';
import { folio_free_swap, slotOfEntry, swap_free } from './swapfile.js';
import { vma_next } from './vma-tree.js';

/**
 * Maps a folio of the swap cache where its swap entry is.
 * @context folio locked and referenced, mmap_lock held for read
 * @kernel 6.12 mm/swapfile.c unuse_pte: adapted (one swap area, which is readable; no poison)
 */
function* unuse_pte(vma: Vma, pmd: Cell, addr: number, entry: Pte, folio: Folio): Path {
  const mapped = yield* pte_offset_map_lock(pmd, addr);
  if (mapped === undefined) return;
  if (!(yield* pteUnchanged(mapped.ptep, entry))) {
    yield* pte_unmap_unlock(mapped.ptl);
    return;
  }
  yield* add(vma.vm_mm.anon_rss, 1);
  yield* folio_get(folio);
  const exclusive = (entry & PTE.EXCLUSIVE) !== 0;
  if (!(yield* folio_test_anon(folio))) yield* folio_add_new_anon_rmap(folio, vma, addr, exclusive);
  else {
    assertFolioLocked(folio);
    yield* folio_add_anon_rmap_pte(folio, vma);
    if (exclusive) yield* setBits(folio.flags, PG.anon_exclusive);
  }
  let new_pte = mk_pte(folio, vm_page_prot(yield* load(vma.vm_flags)));
  if (pte_swp_soft_dirty(entry)) new_pte = pte_mksoft_dirty(new_pte);
  if (pte_swp_uffd_wp(entry)) new_pte = pte_mkuffd_wp(new_pte);
  yield* set_pte(mapped.ptep, new_pte);
  yield* swap_free(slotOfEntry(entry));
  yield* pte_unmap_unlock(mapped.ptl);
}

/**
 * Reads in what the swap entries of one table stand for. Swap-type entries that are for something else are left alone.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/swapfile.c unuse_pte_range: adapted (one swap area; no readahead)
 */
function* unuse_pte_range(vma: Vma, pmd: Cell, start: number, end: number): Path<number> {
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const ptep = yield* pte_offset_map(pmd, addr);
    if (ptep === undefined) return 0;
    const entry = yield* ptep_get_lockless(ptep);
    yield* pte_unmap();
    if (!is_swap_pte(entry) || non_swap_entry(entry)) continue;
    const folio = yield* read_swap_cache_async(slotOfEntry(entry));
    if (folio === undefined) return -ENOMEM;
    yield* folio_lock(folio);
    yield* unuse_pte(vma, pmd, addr, entry, folio);
    yield* folio_free_swap(folio);
    yield* folio_unlock(folio);
    yield* folio_put(folio);
  }
  return 0;
}

/**
 * swapoff: reads in what one process has in swap. Returns 0 or -ENOMEM.
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 mm/swapfile.c unuse_mm: adapted (upper levels folded)
 */
export function* unuse_mm(mm: Mm): Path<number> {
  yield* mmap_read_lock(mm);
  let ret = 0;
  let vma = yield* vma_next(mm, 0);
  while (vma !== undefined && ret === 0) {
    const vm_end = yield* load(vma.vm_end);
    let next: number;
    for (let addr = yield* load(vma.vm_start); addr < vm_end && ret === 0; addr = next) {
      next = pmd_addr_end(addr, vm_end);
      const pmd = pmd_offset(mm, addr);
      const pmdval = yield* pmdp_get_lockless(pmd);
      if (!pmd_none(pmdval) && !pmd_leaf(pmdval)) ret = yield* unuse_pte_range(vma, pmd, addr, next);
    }
    vma = yield* vma_next(mm, vm_end);
  }
  yield* mmap_read_unlock(mm);
  return ret;
}
