// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add, setBits } from '../../core/primitives.js';
import { PG, type Page, type Vma } from '../include/mm_types.js';

/** @context PTL held @kernel 6.12 mm/rmap.c folio_remove_rmap_pte: adapted (no statistics, no deferred split) */
export function* folio_remove_rmap_pte(page: Page): Path {
  yield* add(page._mapcount, -1);
}

/**
 * The first mapping of a new page: anonymous, exclusive to this mm, on the LRU for reclaim to find.
 * @context PTL held
 * @kernel 6.12 mm/rmap.c folio_add_new_anon_rmap: adapted (RMAP_EXCLUSIVE; folio_add_lru_vma folded in)
 */
export function* folio_add_new_anon_rmap(page: Page, _vma: Vma): Path {
  yield* setBits(page.flags, PG.anon | PG.anon_exclusive | PG.swapbacked);
  yield* add(page._mapcount, 1);
}

/** @context PTL held, page locked or new @kernel 6.12 mm/rmap.c folio_add_anon_rmap_pte: adapted */
export function* folio_add_anon_rmap_pte(page: Page): Path {
  yield* add(page._mapcount, 1);
}
