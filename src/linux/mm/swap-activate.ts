// SPDX-License-Identifier: GPL-2.0-only
/** mm/swap.c: which folios are in use. What shows is that a batch has a reference: who looks for the only one copies. */
import type { Path } from '../../core/path.js';
import { clearBits, load, read, setBits, testAndClearBits } from '../../core/primitives.js';
import { PG, type Folio } from '../include/mm_types.js';
import { folio_get } from '../include/page_ref.js';
import { type FolioBatch, folio_batch_add, takeBatch } from '../include/pagevec.js';
import { fbatches, foliosPut } from './swap.js';

/** @context LRU lock @kernel 6.12 mm/swap.c lru_activate: faithful */
function* lru_activate(folio: Folio): Path {
  const flags = yield* read(folio.flags);
  if (!(flags & (PG.active | PG.unevictable))) yield* setBits(folio.flags, PG.active);
}

/** @context LRU lock @kernel 6.12 mm/swap.c lru_deactivate: faithful */
function* lru_deactivate(folio: Folio): Path {
  const flags = yield* read(folio.flags);
  if (flags & PG.active && !(flags & PG.unevictable))
    yield* clearBits(folio.flags, PG.active | PG.referenced);
}

/** Makes the batch's folios active. @context any @kernel 6.12 mm/swap.c folio_batch_move_lru: adapted (lru_activate) */
export function* moveActivated(fbatch: FolioBatch): Path {
  const taken = yield* takeBatch(fbatch);
  for (const { folio } of taken) {
    if (!(yield* testAndClearBits(folio.flags, PG.lru))) continue;
    yield* lru_activate(folio);
    yield* setBits(folio.flags, PG.lru);
  }
  yield* foliosPut(taken);
}

/** Makes the batch's folios inactive. @context any @kernel 6.12 mm/swap.c folio_batch_move_lru: adapted (lru_deactivate) */
export function* moveDeactivated(fbatch: FolioBatch): Path {
  const taken = yield* takeBatch(fbatch);
  for (const { folio } of taken) {
    if (!(yield* testAndClearBits(folio.flags, PG.lru))) continue;
    yield* lru_deactivate(folio);
    yield* setBits(folio.flags, PG.lru);
  }
  yield* foliosPut(taken);
}

/** @context any @kernel 6.12 mm/swap.c folio_activate: adapted (of a folio that is on the LRU, and not active) */
function* folio_activate(folio: Folio): Path {
  const { lru_activate: fbatch } = fbatches()!;
  yield* folio_get(folio);
  if (!(yield* folio_batch_add(fbatch, folio))) yield* moveActivated(fbatch);
}

/** A folio that waits to be put on the LRU will be active there. @context any @kernel 6.12 mm/swap.c __lru_cache_activate_folio: faithful */
function* __lru_cache_activate_folio(folio: Folio): Path {
  const { lru_add } = fbatches()!;
  const nr = yield* load(lru_add.nr);
  for (let i = nr - 1; i >= 0; i--) {
    if ((yield* load(lru_add.folios[i]!)) !== folio.pfn + 1) continue;
    yield* setBits(folio.flags, PG.active);
    break;
  }
}

/**
 * A folio is in use: the first time it is marked, the second time it becomes active. Not a step without batches.
 * @context any
 * @kernel 6.12 mm/swap.c folio_mark_accessed: faithful
 */
export function* folio_mark_accessed(folio: Folio): Path {
  if (fbatches() === undefined) return;
  const flags = yield* read(folio.flags);
  if (!(flags & PG.referenced)) yield* setBits(folio.flags, PG.referenced);
  else if (!(flags & (PG.unevictable | PG.active))) {
    if (flags & PG.lru) yield* folio_activate(folio);
    else yield* __lru_cache_activate_folio(folio);
    yield* clearBits(folio.flags, PG.referenced);
  }
}

/** A folio is not in use any more: from the next drain on. Not a step without batches. @context any @kernel 6.12 mm/swap.c folio_deactivate: faithful */
export function* folio_deactivate(folio: Folio): Path {
  const batches = fbatches();
  if (batches === undefined) return;
  const flags = yield* read(folio.flags);
  if (flags & PG.unevictable || (flags & (PG.active | PG.lru)) !== (PG.active | PG.lru)) return;
  yield* folio_get(folio);
  if (!(yield* folio_batch_add(batches.lru_deactivate, folio)))
    yield* moveDeactivated(batches.lru_deactivate);
}
