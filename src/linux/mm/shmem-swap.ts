// SPDX-License-Identifier: GPL-2.0-only
/** mm/shmem.c: pages of files in memory go to swap and come back. */
import type { Path } from '../../core/path.js';
import { equals, load, read, store, testBits, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { EEXIST, ENOMEM } from '../include/errno.js';
import { assertFolioLocked, lockdep_assert_held } from '../include/lockdep.js';
import { type Folio, type Inode, PG } from '../include/mm_types.js';
import { folio_lock, folio_unlock } from '../include/pagemap.js';
import { folio_get } from '../include/page_ref.js';
import { current } from '../kernel.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { folio_mark_dirty } from './page-writeback.js';
import { folio_put } from './swap.js';
import { add_to_swap_cache, delete_from_swap_cache, read_swap_cache_async } from './swap_state.js';
import { folio_alloc_swap, free_swap_slot, swap_duplicate, swap_free, type SwapSlot } from './swapfile.js';

/** What a page cache has for a page that is in swap. @kernel 6.12 include/linux/swapops.h swp_to_radix_entry: adapted (less than 0) */
export const swp_to_radix_entry = (slot: SwapSlot): number => -1 - slot.number;
/** Whether that is what it has. @kernel 6.12 include/linux/xarray.h xa_is_value: adapted (slots of swap are negative numbers) */
export const xa_is_value = (entry: number): boolean => entry < 0;
/** @kernel 6.12 include/linux/swapops.h radix_to_swp_entry: adapted (slots of swap are negative numbers) */
const radix_to_swp_entry = (entry: number): SwapSlot => current.kernel.swap!.slots[-1 - entry]!;

/** Replaces what the page cache has, if it still is that. @context any @kernel 6.12 mm/shmem.c shmem_replace_entry: faithful */
function* shmem_replace_entry(
  inode: Inode,
  slot: Cell,
  expected: number,
  replacement: number,
): Path<boolean> {
  yield* spin_lock(inode.xa_lock);
  lockdep_assert_held(inode.xa_lock); // xas_store()
  const same = yield* equals(slot, expected);
  if (same) yield* write(slot, replacement);
  yield* spin_unlock(inode.xa_lock);
  return same;
}

/**
 * Moves a dirty page of a file, which nobody maps, to the swap cache. Returns false if there is no room in swap.
 * @context folio locked and referenced; may sleep
 * @kernel 6.12 mm/shmem.c shmem_writepage: adapted (what is written out is the caller's business)
 */
export function* shmem_writepage(folio: Folio, inode: Inode): Path<boolean> {
  assertFolioLocked(folio);
  const slot = yield* folio_alloc_swap();
  if (slot === undefined) {
    yield* folio_mark_dirty(folio);
    return false;
  }
  yield* add_to_swap_cache(folio, slot);
  yield* swap_duplicate(slot); // swap_shmem_alloc()
  const index = yield* load(folio.index);
  yield* store(folio.mapping, 0); // shmem_delete_from_page_cache()
  yield* shmem_replace_entry(inode, inode.i_pages[index]!, folio.pfn + 1, swp_to_radix_entry(slot));
  yield* folio_put(folio);
  return true;
}

/**
 * Brings a page of a file back from swap: returns it locked and referenced, or a negative error number; -EEXIST: look
 * again.
 * @context may sleep
 * @kernel 6.12 mm/shmem.c shmem_swapin_folio: faithful
 */
export function* shmem_swapin_folio(inode: Inode, index: number, entry: number): Path<Folio | number> {
  const slot = radix_to_swp_entry(entry);
  const folio = yield* read_swap_cache_async(slot);
  if (folio === undefined) return (yield* equals(inode.i_pages[index]!, entry)) ? -ENOMEM : -EEXIST;
  yield* folio_lock(folio);
  const cached =
    (yield* testBits(folio.flags, PG.swapcache)) && (yield* equals(folio.swap!, slot.number + 1));
  if (!cached || !(yield* equals(inode.i_pages[index]!, entry))) {
    yield* folio_unlock(folio);
    yield* folio_put(folio);
    return -EEXIST;
  }
  yield* folio_get(folio); // shmem_add_to_page_cache()
  yield* store(folio.mapping, inode.mapping);
  yield* store(folio.index, index);
  if (!(yield* shmem_replace_entry(inode, inode.i_pages[index]!, entry, folio.pfn + 1))) {
    yield* store(folio.mapping, 0);
    yield* folio_put(folio);
    yield* folio_unlock(folio);
    yield* folio_put(folio);
    return -EEXIST;
  }
  yield* delete_from_swap_cache(folio, slot);
  yield* folio_mark_dirty(folio);
  yield* swap_free(slot);
  return folio;
}

/** A page of a file that is in swap goes. Returns whether it was that. @kernel 6.12 mm/shmem.c shmem_free_swap: faithful */
export function* shmem_free_swap(inode: Inode, index: number): Path<boolean> {
  const slot = inode.i_pages[index]!;
  const entry = yield* read(slot);
  if (!xa_is_value(entry)) return false;
  if (!(yield* shmem_replace_entry(inode, slot, entry, 0))) return false;
  yield* free_swap_slot(radix_to_swp_entry(entry));
  return true;
}
