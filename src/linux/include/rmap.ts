// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add, clearBits, testBits } from '../../core/primitives.js';
import { countLargeMapping } from '../mm/rmap-large.js';
import { folio_is_device_private } from './memremap.js';
import { folio_needs_cow_for_dma } from './mm.js';
import { PG, type Folio, type Page, type Vma } from './mm_types.js';

/**
 * Fork maps an anonymous page a second time: it is shared from now on. Returns false if it may be pinned and belongs to
 * the parent alone, which must then keep it to itself.
 * @context PTL of the parent's table held
 * @kernel 6.12 include/linux/rmap.h folio_try_dup_anon_rmap_pte: faithful
 */
export function* folio_try_dup_anon_rmap_pte(folio: Folio, page: Page, src_vma: Vma): Path<boolean> {
  const maybe_pinned =
    !(yield* folio_is_device_private(folio)) && (yield* folio_needs_cow_for_dma(src_vma.vm_mm, folio));
  if (yield* testBits(page.flags, PG.anon_exclusive)) {
    if (maybe_pinned) return false;
    yield* clearBits(page.flags, PG.anon_exclusive);
  }
  yield* countLargeMapping(page, 1);
  yield* add(page._mapcount, 1);
  return true;
}
