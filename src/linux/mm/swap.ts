// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { clearBits, load, read, setBits, store, testAndClearBits, testBits } from '../../core/primitives.js';
import { PG, VM, VM_SPECIAL, type Folio, type Vma } from '../include/mm_types.js';
import { folio_get, folio_ref_sub_and_test } from '../include/page_ref.js';
import { type CpuFbatches, type FolioBatch, folio_batch_add, takeBatch } from '../include/pagevec.js';
import { folio_is_zone_device } from '../include/memremap.js';
import { free_zone_device_folio } from './memremap.js';
import { current, knob } from '../kernel.js';
import { might_sleep } from '../kernel/sched/core.js';
import { folio_test_locked, folio_unlock } from '../include/pagemap.js';
import { mlock_drain_local, mlock_folio_batch, mlock_new_folio } from './mlock.js';
import { free_unref_page } from './page_alloc.js';
import { lru_activate, lru_deactivate } from './swap-activate.js';

/** The batches of this CPU; undefined where folios go on the LRU at once. */
export const fbatches = (): CpuFbatches | undefined => current.kernel.cpu_fbatches?.[current.cpu];

/** Drops the references of a batch that was taken. @context any @kernel 6.12 mm/swap.c folios_put: adapted (one by one) */
export function* foliosPut(taken: readonly { readonly folio: Folio }[]): Path {
  for (const { folio } of taken) yield* folio_put(folio);
}

/** @kernel 6.12 mm/internal.h folio_evictable: adapted (no mapping is unevictable) */
export function* folio_evictable(folio: Folio): Path<boolean> {
  return !(yield* testBits(folio.flags, PG.mlocked));
}

/** A new folio goes on the LRU: on the unevictable one if it is locked. @context LRU lock @kernel 6.12 mm/swap.c lru_add: faithful */
function* lru_add(folio: Folio): Path {
  yield* clearBits(folio.flags, PG.unevictable);
  if (!(yield* folio_evictable(folio))) {
    yield* clearBits(folio.flags, PG.active);
    yield* setBits(folio.flags, PG.unevictable);
    yield* store(folio.mlock_count!, 0); // who locks it counts itself
  }
}

/** @context LRU lock @kernel 6.12 mm/swap.c lru_lazyfree: faithful */
function* lru_lazyfree(folio: Folio): Path {
  if (!(yield* testBits(folio.flags, PG.anon)) || !(yield* testBits(folio.flags, PG.swapbacked))) return;
  if (yield* testBits(folio.flags, PG.swapcache | PG.unevictable)) return;
  yield* clearBits(folio.flags, PG.active | PG.referenced | PG.swapbacked);
}

/**
 * Does to the batch's folios what they wait for. Not to one that is off the LRU, unless that is what it waits for.
 * @context any
 * @kernel 6.12 mm/swap.c folio_batch_move_lru: adapted (each folio is moved in steps of its own, the LRU lock is left out)
 */
function* folio_batch_move_lru(fbatch: FolioBatch, move_fn: (folio: Folio) => Path): Path {
  const taken = yield* takeBatch(fbatch);
  for (const { folio } of taken) {
    if (move_fn !== lru_add && !(yield* testAndClearBits(folio.flags, PG.lru))) continue;
    yield* move_fn(folio);
    yield* setBits(folio.flags, PG.lru);
  }
  yield* foliosPut(taken);
}

/** A folio waits for what the batch is for; a full batch is done with at once. @context any @kernel 6.12 mm/swap.c folio_batch_add_and_move: adapted (the callers look at PG_lru) */
export function* folio_batch_add_and_move(
  folio: Folio,
  fbatch: FolioBatch,
  move_fn: (folio: Folio) => Path,
): Path {
  yield* folio_get(folio);
  if (!(yield* folio_batch_add(fbatch, folio))) yield* folio_batch_move_lru(fbatch, move_fn);
}

/** From the next drain on reclaim finds the folio. @context any @kernel 6.12 mm/swap.c folio_add_lru: adapted (at once without batches) */
export function* folio_add_lru(folio: Folio): Path {
  const batches = fbatches();
  if (batches === undefined) return yield* setBits(folio.flags, PG.lru);
  yield* folio_batch_add_and_move(folio, batches.lru_add, lru_add);
}

/**
 * A new anonymous folio: one of a VM_LOCKED mapping is not for reclaim. Not a step without batches, since then
 * folio_add_new_anon_rmap() has put it on the LRU.
 * @context PTL held
 * @kernel 6.12 mm/swap.c folio_add_lru_vma: faithful
 */
export function* folio_add_lru_vma(folio: Folio, vma: Vma): Path {
  if (fbatches() === undefined) return;
  if (((yield* load(vma.vm_flags)) & (VM.LOCKED | VM_SPECIAL)) === VM.LOCKED) yield* mlock_new_folio(folio);
  else yield* folio_add_lru(folio);
}

/**
 * Makes an anonymous folio lazyfree: clean and without backing store, so reclaim throws it away unless it is written
 * to again.
 * @context PTL held
 * @kernel 6.12 mm/swap.c folio_mark_lazyfree: adapted (at once without batches)
 */
export function* folio_mark_lazyfree(folio: Folio): Path {
  const batches = fbatches();
  if (batches !== undefined) {
    const needed = yield* read(folio.flags);
    const should = PG.anon | PG.swapbacked | PG.lru;
    if ((needed & should) !== should || needed & (PG.swapcache | PG.unevictable)) return;
    return yield* folio_batch_add_and_move(folio, batches.lru_lazyfree, lru_lazyfree);
  }
  if (!(yield* testBits(folio.flags, PG.swapbacked))) return;
  if (!(yield* testAndClearBits(folio.flags, PG.lru))) return;
  if (!(yield* testBits(folio.flags, PG.swapcache))) yield* clearBits(folio.flags, PG.swapbacked);
  yield* setBits(folio.flags, PG.lru);
}

/** Where reclaim looks first, which is not modelled. @context LRU lock @kernel 6.12 mm/swap.c lru_move_tail: adapted (the flag alone) */
function* lru_move_tail(folio: Folio): Path {
  if (!(yield* testBits(folio.flags, PG.unevictable))) yield* clearBits(folio.flags, PG.active);
}

/**
 * A folio that was written out for reclaim is to be reclaimed next. What shows is that the batch has a reference, and that
 * the folio is on the LRU nevertheless. Not a step without batches.
 * @context any
 * @kernel 6.12 mm/swap.c folio_rotate_reclaimable: faithful
 */
export function* folio_rotate_reclaimable(folio: Folio): Path {
  const batches = fbatches();
  if (batches === undefined) return;
  if (yield* folio_test_locked(folio)) return;
  const flags = yield* read(folio.flags);
  if (flags & (PG.dirty | PG.unevictable) || !(flags & PG.lru)) return;
  yield* folio_batch_add_and_move(folio, batches.lru_move_tail, lru_move_tail);
}

/** @context any @kernel 6.12 mm/swap.c lru_add_drain_cpu: faithful */
function* lru_add_drain_cpu(batches: CpuFbatches): Path {
  yield* folio_batch_move_lru(batches.lru_add, lru_add);
  yield* folio_batch_move_lru(batches.lru_move_tail, lru_move_tail);
  yield* folio_batch_move_lru(batches.lru_deactivate, lru_deactivate);
  yield* folio_batch_move_lru(batches.lru_lazyfree, lru_lazyfree);
  yield* folio_batch_move_lru(batches.lru_activate, lru_activate);
}

/** Does what waits in the batches of this CPU. Not a step without batches. @context any @kernel 6.12 mm/swap.c lru_add_drain: faithful */
export function* lru_add_drain(): Path {
  const batches = fbatches();
  if (batches === undefined) return;
  yield* lru_add_drain_cpu(batches);
  yield* mlock_drain_local();
}

/**
 * Does what waits in the batches of all CPUs. Not a step without batches.
 * @context may sleep
 * @kernel 6.12 mm/swap.c lru_add_drain_all: adapted (the caller does it for all, one after the other, and not by work items)
 */
export function* lru_add_drain_all(): Path {
  for (const batches of current.kernel.cpu_fbatches ?? []) {
    yield* lru_add_drain_cpu(batches);
    yield* mlock_folio_batch(batches.mlock_fbatch);
  }
}

/**
 * The last reference is gone: the folio goes back to the allocator.
 * @context any
 * @kernel 6.12 mm/swap.c __folio_put: adapted (no LRU removal, no memcg; the hook of ZONE_DEVICE pages is a knob)
 */
export function* __folio_put(folio: Folio): Path {
  if (yield* folio_is_zone_device(folio)) {
    yield* free_zone_device_folio(folio);
    return;
  }
  if (knob('swap.page_free_hook') === 'sleeps' && current.kernel.hooked.has(folio.pfn)) yield* might_sleep();
  yield* free_unref_page(folio);
}

/**
 * Drops references; frees the folio if they were the last.
 * @context any
 * @kernel 6.12 include/linux/mm.h folio_put_refs: faithful
 */
export function* folio_put_refs(folio: Folio, refs: number): Path {
  if (yield* folio_ref_sub_and_test(folio, refs)) yield* __folio_put(folio);
}

/** @kernel 6.12 include/linux/mm.h folio_put: faithful */
export function* folio_put(folio: Folio): Path {
  yield* folio_put_refs(folio, 1);
}

/** Ends the use of a folio that was found or made, locked and with a reference. @context folio locked and referenced */
export function* unlockAndPut(folio: Folio): Path {
  yield* folio_unlock(folio);
  yield* folio_put(folio);
}
