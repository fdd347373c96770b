// SPDX-License-Identifier: GPL-2.0-only
/** mm/huge_memory.c: the mappings of a large folio become migration entries while it is split, and come back. */
import type { Path } from '../../core/path.js';
import { read, setBits } from '../../core/primitives.js';
import { makeSwapEntry, pfnOf, PTE, SwapType, swapType } from '../../machine/pte.js';
import { assertFolioLocked } from '../include/lockdep.js';
import { ptep_clear_flush } from '../arch/tlb.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { PG, type Folio, type Page, type PtePointer, type Vma } from '../include/mm_types.js';
import { folio_nr_pages, nth_page, PageAnonExclusive } from '../include/page-flags.js';
import { folio_get, page_folio } from '../include/page_ref.js';
import {
  HPAGE_PMD_NR,
  mk_pte,
  pmd_offset,
  type Pte,
  pte_clear,
  pte_dirty,
  pte_mkwrite,
  pte_offset_map_lock,
  pte_pfn,
  pte_present,
  pte_unmap_unlock,
  pte_write,
  ptep_get,
  set_pte,
} from '../include/pgtable.js';
import { is_device_exclusive_entry } from '../include/swapops.js';
import { current, knob } from '../kernel.js';
import { __split_huge_pmd } from './huge_memory.js';
import { folio_mark_dirty } from './page-writeback.js';
import {
  folio_add_anon_rmap_pte,
  folio_remove_rmap_pte,
  folio_try_share_anon_rmap_pte,
  anonTargets,
} from './rmap.js';
import {
  set_tlb_ubc_flush_pending,
  should_defer_flush,
  try_to_unmap_flush,
  newTlbUbc,
  type TlbflushUnmapBatch,
  TTU,
} from './rmap-batch.js';
import { clearDeferred } from './rmap-unmap.js';
import { folio_put } from './swap.js';

/**
 * Replaces the PTEs of a large folio in one VMA by migration entries. Returns false at a page that may be pinned.
 * @context folio locked, anon_vma lock held
 * @kernel 6.12 mm/rmap.c try_to_migrate_one: adapted (the pages of one large folio)
 */
function* try_to_migrate_one(
  folio: Folio,
  vma: Vma,
  address: number,
  ubc: TlbflushUnmapBatch,
): Path<boolean> {
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, vma.vm_mm, address, address + HPAGE_PMD_NR());
  yield* mmu_notifier_invalidate_range_start(range);
  let ret = true;
  const mapped = yield* pte_offset_map_lock(pmd_offset(vma.vm_mm, address), address);
  if (mapped !== undefined) {
    for (let i = 0; i < HPAGE_PMD_NR() && ret; i++) {
      const ptep = current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + i);
      ret = yield* migratePte(folio, nth_page(folio, i), vma, address + i, ptep, ubc);
    }
    yield* pte_unmap_unlock(mapped.ptl);
  }
  yield* mmu_notifier_invalidate_range_end(range);
  return ret;
}

/** Knob try_to_migrate.nonpresent: with a mapping that is not counted the folio is not split in the first place. */
const isKnownExclusive = (pte: Pte): boolean =>
  is_device_exclusive_entry(pte) && knob('try_to_migrate.nonpresent') === 'known';

/** try_to_migrate_one(), one entry. @context PTL held */
function* migratePte(
  folio: Folio,
  subpage: Page,
  vma: Vma,
  address: number,
  ptep: PtePointer,
  ubc: TlbflushUnmapBatch,
): Path<boolean> {
  let pteval = yield* ptep_get(ptep);
  const present = pte_present(pteval);
  if (!present && !isKnownExclusive(pteval)) return true;
  if (pte_pfn(pteval) !== subpage.pfn) return true;
  const anon_exclusive = yield* PageAnonExclusive(subpage);
  if (!present) yield* pte_clear(ptep);
  else if (should_defer_flush(vma.vm_mm, TTU.BATCH_FLUSH)) {
    pteval = yield* clearDeferred(ptep);
    yield* set_tlb_ubc_flush_pending(ubc, vma.vm_mm, pteval);
  } else pteval = yield* ptep_clear_flush(vma.vm_mm, address, ptep);
  if (present && pte_dirty(pteval)) yield* folio_mark_dirty(folio);
  if (anon_exclusive && (yield* folio_try_share_anon_rmap_pte(folio, subpage)) !== 0) {
    yield* set_pte(ptep, pteval);
    return false;
  }
  const type =
    present && pte_write(pteval)
      ? SwapType.MIGRATION_WRITE
      : anon_exclusive
        ? SwapType.MIGRATION_READ_EXCLUSIVE
        : SwapType.MIGRATION_READ;
  yield* set_pte(ptep, makeSwapEntry(type, subpage.pfn));
  yield* folio_remove_rmap_pte(subpage);
  yield* folio_put(folio);
  return true;
}

/**
 * Takes a large folio out of the page tables; migration entries remember where it was. The flush comes at the end.
 * @context folio locked, anon_vma lock held for write
 * @kernel 6.12 mm/huge_memory.c unmap_folio: adapted (anonymous; try_to_migrate() folded in)
 */
export function* unmap_folio(folio: Folio, anon_vma: number): Path {
  const ubc = newTlbUbc();
  const targets = yield* anonTargets(folio, anon_vma);
  for (const { vma, address } of targets) {
    yield* __split_huge_pmd(vma.vm_mm, address, true, folio); // TTU_SPLIT_HUGE_PMD
    if (!(yield* try_to_migrate_one(folio, vma, address, ubc))) break;
  }
  yield* try_to_unmap_flush(ubc);
}

/**
 * Puts present entries back where one VMA has migration entries of the folio's pages.
 * @context folio locked
 * @kernel 6.12 mm/migrate.c remove_migration_pte: adapted (back to the same pages; no dirty and soft-dirty bits)
 */
function* remove_migration_pte(folio: Folio, nr: number, vma: Vma, address: number): Path {
  const mapped = yield* pte_offset_map_lock(pmd_offset(vma.vm_mm, address), address);
  if (mapped === undefined) return;
  for (let i = 0; i < nr; i++) {
    const page = nth_page(folio, i);
    const ptep = current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + i);
    const old_pte = yield* ptep_get(ptep);
    const type = swapType(old_pte);
    const migrating = type >= SwapType.MIGRATION_READ && type <= SwapType.MIGRATION_WRITE;
    if (!migrating || pfnOf(old_pte) !== page.pfn) continue;
    yield* folio_get(folio);
    let pte = mk_pte(page, PTE.PRESENT | PTE.USER);
    if (type === SwapType.MIGRATION_WRITE) pte = pte_mkwrite(pte);
    assertFolioLocked(folio); // __page_check_anon_rmap()
    yield* folio_add_anon_rmap_pte(page);
    if (type !== SwapType.MIGRATION_READ) yield* setBits(page.flags, PG.anon_exclusive);
    yield* set_pte(ptep, pte);
  }
  yield* pte_unmap_unlock(mapped.ptl);
}

/**
 * Maps the pages again that a split unmapped: of one large folio, or of the small ones that it became.
 * @context folio locked, anon_vma lock held for write
 * @kernel 6.12 mm/huge_memory.c remap_page: adapted (remove_migration_ptes() folded in)
 */
export function* remap_page(head: Folio): Path {
  let nr = 1;
  for (let i = 0; i < HPAGE_PMD_NR(); i += nr) {
    const folio = yield* page_folio(nth_page(head, i));
    nr = yield* folio_nr_pages(folio);
    const targets = yield* anonTargets(folio, yield* read(folio.mapping));
    for (const { vma, address } of targets) yield* remove_migration_pte(folio, nr, vma, address);
  }
}
