// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { read, write } from '../../core/primitives.js';
import { submit_bio, type BlkPlug } from '../block/blk-core.js';
import type { Folio } from '../include/mm_types.js';
import { folio_unlock } from '../include/pagemap.js';
import { folio_end_writeback, folio_start_writeback } from './page-writeback.js';
import { folio_free_swap, slotOfFolio } from './swapfile.js';

/** @kernel 6.12 mm/page_io.c is_folio_zero_filled: adapted (contents are one word or a few) */
function* is_folio_zero_filled(folio: Folio): Path<boolean> {
  for (const word of folio.frame.words) if ((yield* read(word)) !== 0) return false;
  return true;
}

/**
 * Writes a folio of the swap cache out, if a swap entry still names its slot; the folio is unlocked then. Zeroes are only
 * made a note of, which no plug delays.
 * @context folio locked
 * @kernel 6.12 mm/page_io.c swap_writepage: adapted (no zswap; without a plug zeroes are written out as anything else)
 */
export function* swap_writepage(folio: Folio, plug: BlkPlug | undefined): Path {
  if (yield* folio_free_swap(folio)) {
    yield* folio_unlock(folio);
    return;
  }
  const slot = yield* slotOfFolio(folio);
  if (plug !== undefined && (yield* is_folio_zero_filled(folio))) {
    if (slot.data !== undefined) yield* write(slot.data, 0);
    yield* folio_unlock(folio);
    return;
  }
  yield* folio_start_writeback(folio);
  yield* folio_unlock(folio);
  if (slot.data !== undefined) yield* write(slot.data, yield* read(folio.frame.data!));
  yield* submit_bio(folio, plug);
}

/** The disk is done with it. @context any @kernel 6.12 mm/page_io.c end_swap_bio_write: adapted (no errors) */
export function* end_swap_bio_write(folio: Folio): Path {
  yield* folio_end_writeback(folio);
}
