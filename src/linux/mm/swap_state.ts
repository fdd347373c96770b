// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import {
  add,
  clearBits,
  lock,
  progress,
  read,
  setBits,
  store,
  testBits,
  write,
} from '../../core/primitives.js';
import { PG, type Folio } from '../include/mm_types.js';
import { folio_get } from '../include/page_ref.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import { current } from '../kernel.js';
import { assertFolioLocked, lockdep_assert_held } from '../include/lockdep.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { filemap_get_entry } from './filemap.js';
import { alloc_page } from './page_alloc.js';
import { folio_mark_dirty } from './page-writeback.js';
import { folio_mapped } from './rmap.js';
import { fbatches, folio_add_lru, folio_put } from './swap.js';
import { folio_alloc_swap, folio_free_swap, put_swap_folio, type SwapSlot } from './swapfile.js';
import { takeShadow, workingset_refault } from './workingset.js';

/**
 * Puts a folio into the swap cache, which holds a reference. Returns what was remembered of an earlier one there.
 * @context folio locked
 * @kernel 6.12 mm/swap_state.c add_to_swap_cache: faithful
 */
export function* add_to_swap_cache(folio: Folio, slot: SwapSlot): Path<number> {
  assertFolioLocked(folio);
  yield* folio_get(folio);
  yield* setBits(folio.flags, PG.swapcache);
  yield* store(folio.swap!, slot.number + 1);
  const { xa_lock } = current.kernel.swap!;
  yield* spin_lock(xa_lock);
  lockdep_assert_held(xa_lock); // xas_store()
  yield* write(slot.cache, folio.pfn + 1);
  const shadow = yield* takeShadow(slot);
  yield* spin_unlock(xa_lock);
  return shadow;
}

/**
 * Gives an anonymous folio a place in swap. It is dirty then, so that it is written out even if its PTE is clean.
 * @context folio locked
 * @kernel 6.12 mm/swap_state.c add_to_swap: faithful
 */
export function* add_to_swap(folio: Folio): Path<boolean> {
  assertFolioLocked(folio);
  const slot = yield* folio_alloc_swap();
  if (slot === undefined) return false;
  yield* add_to_swap_cache(folio, slot);
  yield* folio_mark_dirty(folio);
  return true;
}

/** @context folio locked, xa_lock held @kernel 6.12 mm/swap_state.c __delete_from_swap_cache: faithful */
export function* __delete_from_swap_cache(folio: Folio, slot: SwapSlot): Path {
  assertFolioLocked(folio);
  lockdep_assert_held(current.kernel.swap!.xa_lock);
  yield* write(slot.cache, 0);
  yield* store(folio.swap!, 0);
  yield* clearBits(folio.flags, PG.swapcache);
}

/** @context folio locked and referenced @kernel 6.12 mm/swap_state.c delete_from_swap_cache: faithful */
export function* delete_from_swap_cache(folio: Folio, slot: SwapSlot): Path {
  const { xa_lock } = current.kernel.swap!;
  yield* spin_lock(xa_lock);
  yield* __delete_from_swap_cache(folio, slot);
  yield* spin_unlock(xa_lock);
  yield* put_swap_folio(slot);
  yield* add(folio._refcount, -1);
}

/** The folio that the swap cache has for a slot, with a reference. @kernel 6.12 mm/filemap.c filemap_get_folio: adapted (the swap address space) */
export function* filemap_get_folio(slot: SwapSlot): Path<Folio | undefined> {
  return yield* filemap_get_entry(slot.cache);
}

/**
 * Takes a folio that nobody maps any more out of the swap cache, if it is there: nobody else would for a long time. Not
 * a step where there is no swap.
 * @context any; a reference
 * @kernel 6.12 mm/swap_state.c free_swap_cache: faithful
 */
export function* free_swap_cache(folio: Folio): Path {
  if (current.kernel.swap === undefined) return;
  if (!(yield* testBits(folio.flags, PG.swapcache)) || (yield* folio_mapped(folio))) return;
  if (!(yield* folio_trylock(folio))) return;
  yield* folio_free_swap(folio);
  yield* folio_unlock(folio);
}

/**
 * The folio of a swap entry: from the swap cache, else read in. Undefined: no memory, or the entry is gone.
 * @context may sleep
 * @kernel 6.12 mm/swap_state.c read_swap_cache_async: adapted (no readahead; the device is synchronous)
 */
export function* read_swap_cache_async(slot: SwapSlot): Path<Folio | undefined> {
  for (;;) {
    const cached = yield* filemap_get_folio(slot);
    if (cached !== undefined) return cached;
    const folio = yield* alloc_page();
    if (folio === undefined) return undefined;
    const err = yield* request(current.kernel.op.swapcachePrepare, slot.number);
    if (err === 0) {
      yield* lock(folio.lock);
      yield* setBits(folio.flags, PG.swapbacked);
      const shadow = yield* add_to_swap_cache(folio, slot);
      if (slot.data !== undefined) yield* write(folio.frame.data!, yield* read(slot.data));
      yield* setBits(folio.flags, PG.uptodate);
      yield* workingset_refault(folio, shadow);
      if (fbatches() !== undefined) yield* folio_add_lru(folio);
      yield* folio_unlock(folio);
      return folio;
    }
    yield* folio_put(folio);
    if (err === 2) return undefined;
    progress('another task reads the entry in');
  }
}
