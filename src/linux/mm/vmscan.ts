// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { clearBits, setBits, testAndClearBits, testBits } from '../../core/primitives.js';
import { PG, type Folio } from '../include/mm_types.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import {
  folio_maybe_dma_pinned,
  folio_ref_freeze,
  folio_ref_sub_and_test,
  folio_try_get,
} from '../include/page_ref.js';
import { knob } from '../kernel.js';
import { free_unref_page } from './page_alloc.js';
import { folio_mapped } from './rmap.js';
import { tlb_ubc, try_to_unmap_flush, type TlbflushUnmapBatch, TTU } from './rmap-batch.js';
import { try_to_unmap } from './rmap-unmap.js';
import { folio_put } from './swap.js';

/**
 * Takes a folio off the LRU: the caller gets a reference, and nobody else isolates it meanwhile.
 * @kernel 6.12 mm/vmscan.c isolate_lru_folios: adapted (a given folio, not the end of a list; the list lock is PG_lru itself)
 */
function* isolate_lru_folio(folio: Folio): Path<boolean> {
  if (!(yield* testBits(folio.flags, PG.lru))) return false;
  if (!(yield* folio_try_get(folio))) return false;
  if (yield* testAndClearBits(folio.flags, PG.lru)) return true;
  yield* folio_put(folio);
  return false;
}

/** Puts a folio back and drops the reference of the isolation. @kernel 6.12 mm/vmscan.c move_folios_to_lru: faithful */
function* move_folio_to_lru(folio: Folio): Path {
  yield* setBits(folio.flags, PG.lru);
  if (!(yield* folio_ref_sub_and_test(folio, 1))) return;
  yield* clearBits(folio.flags, PG.lru);
  yield* free_unref_page(folio);
}

/**
 * One folio of shrink_folio_list(): returns true if it is frozen and to be freed after the batch's flush; else it goes
 * back to the LRU.
 * @context the folio is isolated; may sleep
 */
function* shrink_folio(folio: Folio, ubc: TlbflushUnmapBatch): Path<boolean> {
  if (!(yield* folio_trylock(folio))) return false;
  const free = yield* shrink_locked_folio(folio, ubc);
  yield* folio_unlock(folio);
  return free;
}

function* shrink_locked_folio(folio: Folio, ubc: TlbflushUnmapBatch): Path<boolean> {
  if (yield* folio_mapped(folio)) {
    yield* try_to_unmap(folio, TTU.BATCH_FLUSH, ubc);
    if (yield* folio_mapped(folio)) return false;
  }
  // Unmapped: no new pin can come, unless GUP-fast is past its last look at the PTE.
  if (yield* folio_maybe_dma_pinned(folio)) return false;
  const lazyfree = (yield* testBits(folio.flags, PG.anon)) && !(yield* testBits(folio.flags, PG.swapbacked));
  return lazyfree ? yield* folio_ref_freeze(folio, 1) : false;
}

/**
 * Reclaims isolated folios. Each is unmapped without a flush and frozen; one flush then serves them all, and only
 * after it they are freed. So a CPU may still reach a frozen folio through its TLB, and a lockless walker that keeps
 * interrupts off may still take a reference on it, if it does not look at the count. Returns those that stay.
 * @context may sleep
 * @kernel 6.12 mm/vmscan.c shrink_folio_list: adapted (ignores references; no demotion, no large folios, no writeback throttling)
 */
export function* shrink_folio_list(folios: readonly Folio[]): Path<Folio[]> {
  const ubc = tlb_ubc();
  const free_folios: Folio[] = [];
  const ret_folios: Folio[] = [];
  for (const folio of folios) {
    if (yield* shrink_folio(folio, ubc)) free_folios.push(folio);
    else ret_folios.push(folio);
  }
  if (knob('vmscan.flush_before_free') === 'on') yield* try_to_unmap_flush(ubc);
  for (const folio of free_folios) yield* free_unref_page(folio);
  yield* try_to_unmap_flush(ubc);
  return ret_folios;
}

/**
 * Reclaims what it can of the given folios, as kswapd and direct reclaim do.
 * @context may sleep
 * @kernel 6.12 mm/vmscan.c shrink_inactive_list: adapted (the folios are given)
 */
export function* shrink_inactive_list(folios: readonly Folio[]): Path {
  const isolated: Folio[] = [];
  for (const folio of folios) if (yield* isolate_lru_folio(folio)) isolated.push(folio);
  const kept = yield* shrink_folio_list(isolated);
  for (const folio of kept) yield* move_folio_to_lru(folio);
}
