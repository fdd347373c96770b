// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add } from '../../core/primitives.js';
import type { Page } from '../include/mm_types.js';

/** @context PTL held @kernel 6.12 mm/rmap.c folio_remove_rmap_pte: adapted (no statistics, no deferred split) */
export function* folio_remove_rmap_pte(page: Page): Path {
  yield* add(page._mapcount, -1);
}

/** @context PTL held, page locked or new @kernel 6.12 mm/rmap.c folio_add_anon_rmap_pte: adapted */
export function* folio_add_anon_rmap_pte(page: Page): Path {
  yield* add(page._mapcount, 1);
}
