// SPDX-License-Identifier: GPL-2.0-only
/** mm/swap.c: which folios are in use. What shows is that a batch has a reference: who looks for the only one copies. */
import type { Path } from '../../core/path.js';
import { clearBits, load, read, setBits } from '../../core/primitives.js';
import { PG, type Folio } from '../include/mm_types.js';
import { fbatches, folio_batch_add_and_move } from './swap.js';

/** @context LRU lock @kernel 6.12 mm/swap.c lru_activate: faithful */
export function* lru_activate(folio: Folio): Path {
  const flags = yield* read(folio.flags);
  if (!(flags & (PG.active | PG.unevictable))) yield* setBits(folio.flags, PG.active);
}

/** @context LRU lock @kernel 6.12 mm/swap.c lru_deactivate: faithful */
export function* lru_deactivate(folio: Folio): Path {
  const flags = yield* read(folio.flags);
  if (flags & PG.active && !(flags & PG.unevictable))
    yield* clearBits(folio.flags, PG.active | PG.referenced);
}

/** @context any @kernel 6.12 mm/swap.c folio_activate: adapted (of a folio that is on the LRU, and not active) */
function* folio_activate(folio: Folio): Path {
  yield* folio_batch_add_and_move(folio, fbatches()!.lru_activate, lru_activate);
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
  yield* folio_batch_add_and_move(folio, batches.lru_deactivate, lru_deactivate);
}
