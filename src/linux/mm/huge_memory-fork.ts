// SPDX-License-Identifier: GPL-2.0-only
/** mm/huge_memory.c: fork copies what a PMD maps. */
import type { Path } from '../../core/path.js';
import { add, clearBits, testBits } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { PTE } from '../../machine/pte.js';
import { EAGAIN, ENOMEM } from '../include/errno.js';
import { folio_needs_cow_for_dma, vma_is_anonymous } from '../include/mm.js';
import { PG, type Folio, type Vma } from '../include/mm_types.js';
import { folio_test_large } from '../include/page-flags.js';
import { folio_get, page_folio } from '../include/page_ref.js';
import {
  HPAGE_PMD_NR,
  pmd_leaf,
  pmd_page,
  pmdp_get_lockless,
  pte_wrprotect,
  set_pmd,
} from '../include/pgtable.js';
import {
  SINGLE_DEPTH_NESTING,
  spin_lock,
  spin_lock_nested,
  spin_unlock,
} from '../kernel/locking/spinlock.js';
import { __split_huge_pmd } from './huge_memory.js';
import { free_unref_page, pte_alloc_one } from './page_alloc.js';
import { pgtable_trans_huge_deposit } from './pgtable-generic.js';
import { folio_put } from './swap.js';

/** As folio_try_dup_anon_rmap_pte(), of a folio that a PMD maps. @context pmd lock held @kernel 6.12 include/linux/rmap.h folio_try_dup_anon_rmap_pmd: faithful */
function* folio_try_dup_anon_rmap_pmd(folio: Folio, src_vma: Vma): Path<boolean> {
  const maybe_pinned = yield* folio_needs_cow_for_dma(src_vma.vm_mm, folio);
  if (yield* testBits(folio.flags, PG.anon_exclusive)) {
    if (maybe_pinned) return false;
    yield* clearBits(folio.flags, PG.anon_exclusive);
  }
  if (yield* folio_test_large(folio)) {
    yield* add(folio.large!.entire_mapcount, 1);
    yield* add(folio.large!.mapcount, 1);
  } else yield* add(folio._mapcount, 1);
  return true;
}

/**
 * Copies a huge PMD: the folio is mapped twice from then on, so neither side may write to it. -EAGAIN: there is a page
 * table now, as a PMD whose folio may be pinned is split.
 * @context both mmap_locks held for write; may sleep
 * @kernel 6.12 mm/huge_memory.c copy_huge_pmd: adapted (no huge zero page, no migration entry at the PMD, no userfaultfd)
 */
export function* copy_huge_pmd(
  dst_pmd: Cell,
  src_pmd: Cell,
  addr: number,
  dst_vma: Vma,
  src_vma: Vma,
): Path<number> {
  const dst_mm = dst_vma.vm_mm;
  const src_mm = src_vma.vm_mm;
  if (!(yield* vma_is_anonymous(dst_vma))) return 0;
  const pgtable = yield* pte_alloc_one();
  if (pgtable === undefined) return -ENOMEM;
  yield* spin_lock(dst_mm.page_table_lock);
  yield* spin_lock_nested(src_mm.page_table_lock, SINGLE_DEPTH_NESTING);
  const pmd = yield* pmdp_get_lockless(src_pmd);
  let ret = -EAGAIN;
  let split = false;
  if (pmd_leaf(pmd)) {
    const src_folio = yield* page_folio(pmd_page(pmd));
    yield* folio_get(src_folio);
    if (yield* folio_try_dup_anon_rmap_pmd(src_folio, src_vma)) {
      yield* add(dst_mm.anon_rss, HPAGE_PMD_NR());
      yield* pgtable_trans_huge_deposit(dst_mm, addr, pgtable);
      yield* clearBits(src_pmd, PTE.RW); // pmdp_set_wrprotect()
      yield* set_pmd(dst_pmd, pte_wrprotect(pmd));
      ret = 0;
    } else {
      split = true;
      yield* folio_put(src_folio);
    }
  }
  if (ret !== 0) yield* free_unref_page(pgtable);
  yield* spin_unlock(src_mm.page_table_lock);
  yield* spin_unlock(dst_mm.page_table_lock);
  if (split) yield* __split_huge_pmd(src_mm, addr, false);
  return ret;
}
