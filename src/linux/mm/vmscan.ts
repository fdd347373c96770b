// SPDX-License-Identifier: GPL-2.0-only
import { __GFP, GFP_KERNEL } from '../include/gfp_types.js';
import type { BlkPlug } from '../block/blk-core.js';
import { folio_test_anon } from '../include/page-flags.js';
import type { Path } from '../../core/path.js';
import {
  equals,
  clearBits,
  load,
  read,
  setBits,
  store,
  testAndClearBits,
  testBits,
  write,
} from '../../core/primitives.js';
import { assertFolioLocked } from '../include/lockdep.js';
import { PG, type Folio, type Inode } from '../include/mm_types.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import {
  folio_maybe_dma_pinned,
  folio_ref_freeze,
  folio_ref_sub_and_test,
  folio_ref_unfreeze,
  folio_try_get,
} from '../include/page_ref.js';
import { current, knob } from '../kernel.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { free_unref_page } from './page_alloc.js';
import { swap_writepage } from './page_io.js';
import { folio_mapped } from './rmap.js';
import {
  newTlbUbc,
  try_to_unmap_flush,
  try_to_unmap_flush_dirty,
  type TlbflushUnmapBatch,
  TTU,
} from './rmap-batch.js';
import { shmem_writepage } from './shmem-swap.js';
import { try_to_unmap } from './rmap-unmap.js';
import { fbatches, folio_add_lru, folio_put } from './swap.js';
import { __delete_from_swap_cache, add_to_swap } from './swap_state.js';
import { slotOfFolio, put_swap_folio } from './swapfile.js';
import { workingset_eviction } from './workingset.js';

/** @kernel 6.12 mm/vmscan.c struct scan_control: adapted (all may be unmapped, swapped, written; with the plug of the task) */
export interface ScanControl {
  readonly gfp_mask: number;
  readonly plug?: BlkPlug | undefined;
}

/** Whether the folio may be written out. @kernel 6.12 mm/vmscan.c may_enter_fs: adapted (swap is no file) */
const may_enter_fs = (swapcache: boolean, gfp_mask: number): boolean =>
  (gfp_mask & __GFP.FS) !== 0 || (swapcache && (gfp_mask & __GFP.IO) !== 0);

/**
 * Takes a folio off the LRU: the caller gets a reference, and nobody else isolates it meanwhile.
 * @kernel 6.12 mm/vmscan.c folio_isolate_lru: adapted (also for isolate_lru_folios: a given folio, not the end of a list; the list lock is PG_lru itself)
 */
export function* folio_isolate_lru(folio: Folio): Path<boolean> {
  if (!(yield* testBits(folio.flags, PG.lru))) return false;
  if (!(yield* folio_try_get(folio))) return false;
  if (yield* testAndClearBits(folio.flags, PG.lru)) return true;
  yield* folio_put(folio);
  return false;
}

/** Puts a folio back and drops the reference of the isolation. @kernel 6.12 mm/vmscan.c folio_putback_lru, move_folios_to_lru: faithful */
export function* folio_putback_lru(folio: Folio): Path {
  yield* folio_add_lru(folio);
  if (!(yield* folio_ref_sub_and_test(folio, 1))) return;
  yield* clearBits(folio.flags, PG.lru);
  yield* free_unref_page(folio);
}

/**
 * One folio of shrink_folio_list(): returns true if it is frozen and to be freed after the batch's flush; else it goes
 * back to the LRU.
 * @context the folio is isolated; may sleep
 */
function* shrinkFolio(folio: Folio, ubc: TlbflushUnmapBatch, sc: ScanControl): Path<boolean> {
  if (!(yield* folio_trylock(folio))) return false;
  return yield* shrinkLockedFolio(folio, ubc, sc);
}

/** The steps of shrink_folio_list() under the folio lock; drops the lock. */
function* shrinkLockedFolio(
  folio: Folio,
  ubc: TlbflushUnmapBatch,
  { gfp_mask, plug }: ScanControl,
): Path<boolean> {
  const anon = yield* folio_test_anon(folio);
  if (
    anon &&
    (yield* testBits(folio.flags, PG.swapbacked)) &&
    !(yield* testBits(folio.flags, PG.swapcache))
  ) {
    if (!(gfp_mask & __GFP.IO)) return yield* keepLocked(folio);
    if (yield* folio_maybe_dma_pinned(folio)) return yield* keepLocked(folio);
    if (!(yield* add_to_swap(folio))) return yield* activateLocked(folio);
  }
  if (yield* folio_mapped(folio)) {
    yield* try_to_unmap(folio, TTU.BATCH_FLUSH, ubc);
    if (yield* folio_mapped(folio)) return yield* activateLocked(folio);
  }
  // Unmapped: no new pin can come, unless GUP-fast is past its last look at the PTE.
  if (yield* folio_maybe_dma_pinned(folio)) return yield* activateLocked(folio);
  const swapcache = yield* testBits(folio.flags, PG.swapcache);
  const file = yield* fileOf(folio);
  if ((swapcache || file !== undefined) && (yield* testBits(folio.flags, PG.dirty))) {
    if (!may_enter_fs(swapcache, gfp_mask)) return yield* keepLocked(folio);
    if (knob('vmscan.flush_dirty') === 'on') yield* try_to_unmap_flush_dirty(ubc);
    switch (yield* pageout(folio, file, plug)) {
      case 'keep':
        return yield* keepLocked(folio);
      case 'success':
        if (yield* testBits(folio.flags, PG.writeback | PG.dirty)) return false;
        if (!(yield* folio_trylock(folio))) return false;
        if (yield* testBits(folio.flags, PG.writeback | PG.dirty)) return yield* keepLocked(folio);
        break;
      case 'clean':
    }
  }
  if (anon && !(yield* testBits(folio.flags, PG.swapbacked))) {
    if (!(yield* folio_ref_freeze(folio, 1))) return yield* keepLocked(folio);
  } else if (!(yield* __remove_mapping(folio, yield* fileOf(folio)))) return yield* keepLocked(folio);
  yield* folio_unlock(folio);
  return true;
}

/** The file that a folio is a page of. Not a step where there are no files. @context folio locked @kernel 6.12 include/linux/pagemap.h folio_mapping: adapted (files in memory) */
function* fileOf(folio: Folio): Path<Inode | undefined> {
  const { inodes } = current.kernel;
  if (inodes === undefined) return undefined;
  const mapping = yield* read(folio.mapping);
  return mapping < 0 ? inodes[-mapping] : undefined;
}

/** The folio stays, and is looked at last from now on. Where there are no batches that is as {@link keepLocked}. @context folio locked */
function* activateLocked(folio: Folio): Path<false> {
  if (fbatches() !== undefined && !(yield* testBits(folio.flags, PG.mlocked)))
    yield* setBits(folio.flags, PG.active);
  return yield* keepLocked(folio);
}

/** The folio stays. @context folio locked */
function* keepLocked(folio: Folio): Path<false> {
  yield* folio_unlock(folio);
  return false;
}

/**
 * Writes a dirty folio of the swap cache, or of a file in memory, out, if only its isolation and the cache refer to it. On success the folio is
 * unlocked.
 * @context folio locked; may sleep
 * @kernel 6.12 mm/vmscan.c pageout: adapted (all that is written goes to swap, and is to be reclaimed then)
 */
function* pageout(
  folio: Folio,
  file: Inode | undefined,
  plug: BlkPlug | undefined,
): Path<'keep' | 'clean' | 'success'> {
  if (!(yield* equals(folio._refcount, 2))) return 'keep';
  if (!(yield* testAndClearBits(folio.flags, PG.dirty))) return 'clean';
  if (file !== undefined && !(yield* shmem_writepage(folio, file))) return 'keep';
  yield* swap_writepage(folio, plug);
  return 'success';
}

/**
 * Takes a folio that only its isolation and its cache refer to out of the cache, frozen. The count is tested before
 * the dirty flag: who dirties it and then drops its reference is seen by one of the two.
 * @context folio locked
 * @kernel 6.12 mm/vmscan.c __remove_mapping: faithful
 */
function* __remove_mapping(folio: Folio, file: Inode | undefined): Path<boolean> {
  assertFolioLocked(folio);
  if (file === undefined && !(yield* testBits(folio.flags, PG.swapcache))) return false;
  const { xa_lock } = file ?? current.kernel.swap!;
  yield* spin_lock(xa_lock);
  if (!(yield* folio_ref_freeze(folio, 2))) {
    yield* spin_unlock(xa_lock);
    return false;
  }
  if (yield* testBits(folio.flags, PG.dirty)) {
    yield* folio_ref_unfreeze(folio, 2);
    yield* spin_unlock(xa_lock);
    return false;
  }
  if (file !== undefined) {
    // A clean page of a file in memory holds nothing but zeroes: whoever comes next makes a new one.
    const index = yield* load(folio.index);
    yield* write(file.i_pages[index]!, 0);
    yield* store(folio.mapping, 0);
    yield* spin_unlock(xa_lock);
    return true;
  }
  const slot = yield* slotOfFolio(folio);
  yield* workingset_eviction(slot);
  yield* __delete_from_swap_cache(folio, slot);
  yield* spin_unlock(xa_lock);
  yield* put_swap_folio(slot);
  return true;
}

/**
 * Reclaims isolated folios. Each is unmapped without a flush and frozen; one flush then serves them all, and only
 * after it they are freed. So a CPU may still reach a frozen folio through its TLB, and a lockless walker that keeps
 * interrupts off may still take a reference on it, if it does not look at the count. Returns those that stay.
 * @context may sleep
 * @kernel 6.12 mm/vmscan.c shrink_folio_list: adapted (ignores references; no demotion, no large folios, no writeback throttling)
 */
export function* shrink_folio_list(
  folios: readonly Folio[],
  sc: ScanControl = { gfp_mask: GFP_KERNEL },
): Path<Folio[]> {
  const ubc = newTlbUbc();
  const free_folios: Folio[] = [];
  const ret_folios: Folio[] = [];
  for (const folio of folios) {
    if (yield* shrinkFolio(folio, ubc, sc)) free_folios.push(folio);
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
  for (const folio of folios) if (yield* folio_isolate_lru(folio)) isolated.push(folio);
  const kept = yield* shrink_folio_list(isolated);
  for (const folio of kept) yield* folio_putback_lru(folio);
}

/**
 * Reclaims what it can of isolated folios, and puts the rest back.
 * @context may sleep
 * @kernel 6.12 mm/vmscan.c reclaim_pages, reclaim_folio_list: adapted (one node)
 */
export function* reclaim_pages(folios: readonly Folio[], plug: BlkPlug | undefined): Path {
  if (folios.length === 0) return;
  if (fbatches() !== undefined) for (const folio of folios) yield* clearBits(folio.flags, PG.active);
  const kept = yield* shrink_folio_list(folios, { gfp_mask: GFP_KERNEL, plug });
  for (const folio of kept) yield* folio_putback_lru(folio);
}
