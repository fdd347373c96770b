// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import {
  equals,
  awaitValue,
  claim,
  clearBits,
  read,
  setBits,
  testAndClearBits,
  testBits,
  write,
} from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { EAGAIN, ENOMEM } from '../include/errno.js';
import { PG, type Folio, type Mm } from '../include/mm_types.js';
import { folio_lock, folio_trylock, folio_unlock } from '../include/pagemap.js';
import { folio_get, folio_ref_freeze, folio_ref_unfreeze, page_folio } from '../include/page_ref.js';
import { pte_offset_map_lock, pte_page, pte_unmap, pte_unmap_unlock, ptep_get } from '../include/pgtable.js';
import { is_migration_entry } from '../include/swapops.js';
import { current } from '../kernel.js';
import { lockdep_assert_held } from '../include/lockdep.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { folio_migrate_ksm } from './ksm.js';
import { copy_user_page } from './memory-fault.js';
import { alloc_page } from './page_alloc.js';
import { folio_mapped } from './rmap.js';
import { newTlbUbc, try_to_unmap_flush, type TlbflushUnmapBatch, TTU } from './rmap-batch.js';
import { remove_migration_ptes, try_to_migrate } from './rmap-migrate.js';
import { fbatches, folio_put } from './swap.js';
import { slotOfFolio } from './swapfile.js';
import { folio_isolate_lru, folio_putback_lru } from './vmscan.js';

/** @kernel 6.12 include/linux/migrate_mode.h enum migrate_mode: adapted (those that differ here) */
export type MigrateMode = 'async' | 'sync';

/**
 * Waits until a migration has ended. The folio is not referenced: whoever migrates it has a reference, and needs the
 * PTL to take the entry away, so it is there until the PTL is dropped; from then on only its lock is looked at.
 * @context mmap_lock held; may sleep
 * @kernel 6.12 mm/migrate.c migration_entry_wait: adapted (waits for the lock to be free, not for a wake-up)
 */
export function* migration_entry_wait(_mm: Mm, pmd: Cell, address: number): Path {
  const mapped = yield* pte_offset_map_lock(pmd, address);
  if (mapped === undefined) return;
  const pte = yield* ptep_get(mapped.ptep);
  if (!is_migration_entry(pte)) {
    yield* pte_unmap_unlock(mapped.ptl);
    return;
  }
  const folio = yield* page_folio(pte_page(pte)); // of a tail page too: its head has the lock
  yield* spin_unlock(mapped.ptl);
  yield* pte_unmap();
  yield* awaitValue(folio.lock, 0);
}

/** References that mappings and caches hold. @kernel 6.12 include/linux/mm.h folio_expected_ref_count: adapted (small anonymous folios) */
function* folio_expected_ref_count(folio: Folio): Path<number> {
  const cached = (yield* testBits(folio.flags, PG.swapcache)) ? 1 : 0;
  return cached + (yield* read(folio._mapcount));
}

/**
 * Makes `newfolio` what `folio` is, for the swap cache, if nobody else has a reference. In the swap cache the count is
 * frozen meanwhile, since look-ups there are lockless; else nobody can find the folio any more and the count is only
 * looked at.
 * @context both folios locked, folio unmapped
 * @kernel 6.12 mm/migrate.c __folio_migrate_mapping: adapted (swap cache or none)
 */
function* __folio_migrate_mapping(newfolio: Folio, folio: Folio, expected_count: number): Path<number> {
  if (!(yield* testBits(folio.flags, PG.swapcache))) {
    yield* copyIdentity(newfolio, folio);
    return 0;
  }
  const { xa_lock } = current.kernel.swap!;
  yield* spin_lock(xa_lock);
  if (!(yield* folio_ref_freeze(folio, expected_count))) {
    yield* spin_unlock(xa_lock);
    return -EAGAIN;
  }
  yield* copyIdentity(newfolio, folio);
  yield* folio_get(newfolio);
  const slot = yield* slotOfFolio(folio);
  yield* setBits(newfolio.flags, PG.swapcache);
  yield* write(newfolio.swap!, slot.number + 1);
  if (yield* testBits(folio.flags, PG.dirty)) {
    yield* clearBits(folio.flags, PG.dirty);
    yield* setBits(newfolio.flags, PG.dirty);
  }
  lockdep_assert_held(xa_lock); // xas_store()
  yield* write(slot.cache, newfolio.pfn + 1);
  yield* folio_ref_unfreeze(folio, expected_count - 1);
  yield* spin_unlock(xa_lock);
  return 0;
}

/** newfolio->index, ->mapping and swapbacked, which say what the folio is. */
function* copyIdentity(newfolio: Folio, folio: Folio): Path {
  yield* write(newfolio.index, yield* read(folio.index));
  yield* write(newfolio.mapping, yield* read(folio.mapping));
  if (yield* testBits(folio.flags, PG.swapbacked)) yield* setBits(newfolio.flags, PG.swapbacked);
}

/**
 * Makes `newfolio` what `folio` is, if nobody has a reference but its mappings, a cache, the caller, and `extra_count`.
 * @context both folios locked, folio unmapped
 * @kernel 6.12 mm/migrate.c folio_migrate_mapping: faithful
 */
export function* folio_migrate_mapping(newfolio: Folio, folio: Folio, extra_count: number): Path<number> {
  const expected_count = (yield* folio_expected_ref_count(folio)) + extra_count + 1;
  if (!(yield* equals(folio._refcount, expected_count))) return -EAGAIN;
  return yield* __folio_migrate_mapping(newfolio, folio, expected_count);
}

/** @context both folios locked @kernel 6.12 mm/migrate.c folio_migrate_flags: adapted (the flags that the model has) */
export function* folio_migrate_flags(newfolio: Folio, folio: Folio): Path {
  const kept = (yield* read(folio.flags)) & (PG.anon | PG.uptodate | PG.dirty | PG.ksm);
  yield* setBits(newfolio.flags, kept);
  if (fbatches() !== undefined) {
    if (yield* testBits(folio.flags, PG.referenced)) yield* setBits(newfolio.flags, PG.referenced);
    if (yield* testAndClearBits(folio.flags, PG.active)) yield* setBits(newfolio.flags, PG.active);
    // Stays so until the new folio is put on the LRU; in the memory of a device, which is on none, as long as it is there.
    else if (yield* testAndClearBits(folio.flags, PG.unevictable))
      yield* setBits(newfolio.flags, PG.unevictable);
  }
  yield* folio_migrate_ksm(newfolio, folio);
  // After that: ksm_get_folio() takes a frozen folio of the swap cache for one that is being migrated.
  yield* clearBits(folio.flags, PG.swapcache);
}

/**
 * Moves contents and identity.
 * @context both folios locked, folio unmapped
 * @kernel 6.12 mm/migrate.c __migrate_folio: faithful
 */
export function* migrate_folio(dst: Folio, src: Folio): Path<number> {
  const expected_count = (yield* folio_expected_ref_count(src)) + 1;
  if (!(yield* equals(src._refcount, expected_count))) return -EAGAIN;
  yield* copy_user_page(dst, src);
  const rc = yield* __folio_migrate_mapping(dst, src, expected_count);
  if (rc !== 0) return rc;
  yield* folio_migrate_flags(dst, src);
  return 0;
}

/** A folio that is unmapped, with its destination, both locked. */
interface Unmapped {
  readonly src: Folio;
  readonly dst: Folio;
  /** PAGE_WAS_MAPPED: there are migration entries. */
  readonly page_was_mapped: boolean;
}

/**
 * Locks the folio and takes its page-table entries away. Returns what to move, or an errno.
 * @context folio isolated; may sleep
 * @kernel 6.12 mm/migrate.c migrate_folio_unmap: adapted (no writeback, no movable operations)
 */
function* migrate_folio_unmap(
  src: Folio,
  mode: MigrateMode,
  ubc: TlbflushUnmapBatch,
): Path<Unmapped | number> {
  const dst = yield* alloc_page();
  if (dst === undefined) return -ENOMEM;
  if (!(yield* folio_trylock(src))) {
    if (mode === 'async') {
      yield* folio_put(dst);
      return -EAGAIN;
    }
    yield* folio_lock(src);
  }
  // Nobody else knows the new folio: this does not fail.
  yield* claim(yield* folio_trylock(dst), 'LOCK', 'the new folio of a migration is locked by somebody else');
  const page_was_mapped = yield* folio_mapped(src);
  const unmapped = { src, dst, page_was_mapped };
  if (page_was_mapped) yield* try_to_migrate(src, mode === 'async' ? TTU.BATCH_FLUSH : 0, ubc);
  if (!page_was_mapped || !(yield* folio_mapped(src))) return unmapped;
  yield* migrateFolioUndo(unmapped);
  return -EAGAIN;
}

/** @kernel 6.12 mm/migrate.c migrate_folio_undo_src, migrate_folio_undo_dst: faithful */
function* migrateFolioUndo({ src, dst, page_was_mapped }: Unmapped): Path {
  if (page_was_mapped) yield* remove_migration_ptes(src, src);
  yield* folio_unlock(src);
  yield* folio_unlock(dst);
  yield* folio_put(dst);
}

/**
 * Moves an unmapped folio to its destination and maps that.
 * @context both folios locked
 * @kernel 6.12 mm/migrate.c migrate_folio_move: adapted (one attempt)
 */
function* migrate_folio_move(unmapped: Unmapped): Path<number> {
  const { src, dst } = unmapped;
  lockdep_assert_held(src.lock);
  lockdep_assert_held(dst.lock);
  const rc = yield* migrate_folio(dst, src);
  if (rc !== 0) {
    yield* migrateFolioUndo(unmapped);
    return rc;
  }
  yield* setBits(dst.flags, PG.lru);
  if (unmapped.page_was_mapped) yield* remove_migration_ptes(src, dst);
  yield* folio_unlock(dst);
  yield* folio_put(dst);
  yield* folio_unlock(src);
  yield* folio_put(src);
  return 0;
}

/**
 * Migrates folios to new ones: takes all their entries away, flushes once, then moves them. Returns how many were not
 * migrated; those are on the LRU again.
 * @context may sleep
 * @kernel 6.12 mm/migrate.c migrate_pages_batch: adapted (isolates by itself; one pass; any frame)
 */
export function* migrate_pages(from: readonly Folio[], mode: MigrateMode): Path<number> {
  const ubc = newTlbUbc();
  const unmapped: Unmapped[] = [];
  let nr_failed = 0;
  for (const src of from) {
    if (!(yield* folio_isolate_lru(src))) continue;
    const done = yield* migrate_folio_unmap(src, mode, ubc);
    if (typeof done !== 'number') unmapped.push(done);
    else {
      nr_failed++;
      yield* folio_putback_lru(src);
    }
  }
  yield* try_to_unmap_flush(ubc);
  for (const each of unmapped) {
    if ((yield* migrate_folio_move(each)) === 0) continue;
    nr_failed++;
    yield* folio_putback_lru(each.src);
  }
  return nr_failed;
}
