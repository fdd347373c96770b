// SPDX-License-Identifier: GPL-2.0-only
/** mm/rmap.c: what large folios add to the counts of mappings. */
import type { Path } from '../../core/path.js';
import { add, clearBits, equals, fence, load, read, setBits, store } from '../../core/primitives.js';
import { EBUSY } from '../include/errno.js';
import { PG, type Folio, type Page, type Vma } from '../include/mm_types.js';
import { folio_test_large, nth_page } from '../include/page-flags.js';
import { folio_maybe_dma_pinned, page_folio } from '../include/page_ref.js';
import { HPAGE_PMD_NR } from '../include/pgtable.js';
import { current, knob } from '../kernel.js';
import { linear_page_index } from './memory-file.js';
import { folio_add_new_anon_rmap } from './rmap.js';

/** A large folio also counts at its head how often all of its pages are mapped. @context PTL held @kernel 6.12 include/linux/rmap.h __folio_rmap_add/remove, the part for _large_mapcount: adapted (in one function) */
export function* countLargeMapping(page: Page, diff: number): Path {
  if (!current.kernel.options.thp) return;
  const folio = yield* page_folio(page);
  if (yield* folio_test_large(folio)) yield* add(folio.large!.mapcount, diff);
}

/** How often the folio is mapped, by PTEs and PMDs. @kernel 6.12 include/linux/mm.h folio_mapcount: faithful */
export function* folio_mapcount(folio: Folio): Path<number> {
  if (yield* folio_test_large(folio)) return yield* read(folio.large!.mapcount);
  return yield* read(folio._mapcount);
}

/**
 * The first mapping of a folio, by a PMD: its head says that all of it is exclusive.
 * @context pmd lock held
 * @kernel 6.12 mm/rmap.c folio_add_new_anon_rmap: adapted (the part for folios that a PMD can map)
 */
export function* folio_add_new_anon_rmap_pmd(folio: Folio, vma: Vma, address: number): Path {
  if (!(yield* folio_test_large(folio))) return yield* folio_add_new_anon_rmap(folio, vma, address);
  const index = yield* linear_page_index(vma, address);
  const onLru = current.kernel.cpu_fbatches === undefined ? PG.lru : 0;
  yield* setBits(folio.flags, PG.anon | PG.swapbacked | PG.anon_exclusive | onLru);
  yield* store(folio.mapping, yield* load(vma.anon_vma));
  yield* store(folio.index, index);
  yield* add(folio.large!.entire_mapcount, 1);
  yield* add(folio.large!.mapcount, 1);
}

/** @context PTL held @kernel 6.12 mm/rmap.c folio_remove_rmap_pmd: adapted (no statistics, no deferred split) */
export function* folio_remove_rmap_pmd(folio: Folio): Path {
  if (!(yield* folio_test_large(folio))) return yield* add(folio._mapcount, -1);
  yield* add(folio.large!.mapcount, -1);
  yield* add(folio.large!.entire_mapcount, -1);
}

/** The pages of a folio, which a PMD maps, get mapped by PTEs. @context PTL held @kernel 6.12 mm/rmap.c folio_add_anon_rmap_ptes: adapted (all pages of the folio; no statistics) */
export function* folio_add_anon_rmap_ptes(folio: Folio, exclusive: boolean): Path {
  if (yield* folio_test_large(folio)) yield* add(folio.large!.mapcount, HPAGE_PMD_NR());
  for (let i = 0; i < HPAGE_PMD_NR(); i++) {
    const page = nth_page(folio, i);
    yield* add(page._mapcount, 1);
    if (exclusive) yield* setBits(page.flags, PG.anon_exclusive);
  }
}

/**
 * Marks the pages that a PMD maps as possibly shared, unless one may be pinned.
 * @context PTL held, PMD invalidated
 * @kernel 6.12 include/linux/rmap.h folio_try_share_anon_rmap_pmd: faithful
 */
export function* folio_try_share_anon_rmap_pmd(folio: Folio): Path<number> {
  if (knob('rmap.barrier') === 'full') yield* fence();
  if (yield* folio_maybe_dma_pinned(folio)) return -EBUSY;
  yield* clearBits(folio.flags, PG.anon_exclusive);
  return 0;
}

/** Whether nobody but its mappings refers to an anonymous folio. @kernel 6.12 mm/khugepaged.c is_refcount_suitable: adapted (no swap cache) */
export function* is_refcount_suitable(folio: Folio): Path<boolean> {
  const expected = yield* folio_mapcount(folio);
  return yield* equals(folio._refcount, expected);
}
