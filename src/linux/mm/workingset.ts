// SPDX-License-Identifier: GPL-2.0-only
/** mm/workingset.c: what reclaim has thrown out and is wanted again is active. Not a step where no folio is active. */
import type { Path } from '../../core/path.js';
import { load, setBits, store } from '../../core/primitives.js';
import { type Folio, PG } from '../include/mm_types.js';
import { fbatches } from './swap.js';
import type { SwapSlot } from './swapfile.js';

/** Reclaim throws a folio out of the swap cache. @context xa_lock held @kernel 6.12 mm/workingset.c workingset_eviction: adapted (when it was is left out; the shadow is stored here) */
export function* workingset_eviction(slot: SwapSlot): Path {
  if (fbatches() !== undefined) yield* store(slot.shadow, 1);
}

/** What the swap cache remembers of a folio, and does not any more: its place is taken. @context xa_lock held */
export function* takeShadow(slot: SwapSlot): Path<number> {
  if (fbatches() === undefined) return 0;
  const shadow = yield* load(slot.shadow);
  if (shadow !== 0) yield* store(slot.shadow, 0);
  return shadow;
}

/** A folio that was thrown out is read in again. @context folio locked, new @kernel 6.12 mm/workingset.c workingset_refault: adapted (it is never too long ago) */
export function* workingset_refault(folio: Folio, shadow: number): Path {
  if (shadow !== 0) yield* setBits(folio.flags, PG.active);
}
