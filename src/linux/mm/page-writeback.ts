// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { clearBits, setBits, testAndClearBits, testBits } from '../../core/primitives.js';
import { PG, type Folio } from '../include/mm_types.js';
import { folio_lock, folio_unlock } from '../include/pagemap.js';
import { folio_mkclean } from './rmap-mkclean.js';
import { folio_rotate_reclaimable } from './swap.js';

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

/**
 * The folio is about to be written out: what is stored from now on makes it dirty again. Returns whether it is dirty.
 * @context folio locked; may sleep
 * @kernel 6.12 mm/page-writeback.c folio_clear_dirty_for_io: faithful
 */
export function* folio_clear_dirty_for_io(folio: Folio): Path<boolean> {
  if ((yield* folio_mkclean(folio)) > 0) yield* folio_mark_dirty(folio);
  return yield* testAndClearBits(folio.flags, PG.dirty);
}

/** @context folio locked @kernel 6.12 mm/page-writeback.c folio_start_writeback: faithful */
export function* folio_start_writeback(folio: Folio): Path {
  yield* setBits(folio.flags, PG.writeback);
}

/** @context any @kernel 6.12 mm/filemap.c folio_end_writeback: adapted (wakes nobody; all writeback is for reclaim) */
export function* folio_end_writeback(folio: Folio): Path {
  yield* folio_rotate_reclaimable(folio);
  yield* clearBits(folio.flags, PG.writeback);
}
