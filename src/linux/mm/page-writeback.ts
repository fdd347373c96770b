// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { setBits, testBits } from '../../core/primitives.js';
import { PG, type Folio } from '../include/mm_types.js';
import { folio_lock, folio_unlock } from '../include/pagemap.js';

/** The folio has contents that its backing store has not. @kernel 6.12 mm/page-writeback.c folio_mark_dirty: adapted (anonymous folios) */
export function* folio_mark_dirty(folio: Folio): Path {
  if (!(yield* testBits(folio.flags, PG.dirty))) yield* setBits(folio.flags, PG.dirty);
}

/** For callers that don't hold something that keeps the folio in its mapping. @context may sleep @kernel 6.12 mm/page-writeback.c set_page_dirty_lock: faithful */
export function* set_page_dirty_lock(folio: Folio): Path {
  yield* folio_lock(folio);
  yield* folio_mark_dirty(folio);
  yield* folio_unlock(folio);
}
