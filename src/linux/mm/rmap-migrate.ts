// SPDX-License-Identifier: GPL-2.0-only
/** mm/rmap.c, mm/migrate.c: migration entries are put in, and taken out again. */
import { folio_test_anon } from '../include/page-flags.js';
import type { Path } from '../../core/path.js';
import { claim, load, setBits, testBits } from '../../core/primitives.js';
import { pfnOf, SwapType, swapType } from '../../machine/pte.js';
import { assertFolioLocked } from '../include/lockdep.js';
import { ptep_clear_flush } from '../arch/tlb.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import {
  folio_is_device_coherent,
  folio_is_device_private,
  folio_is_zone_device,
} from '../include/memremap.js';
import { PG, type Folio, type PtePointer, type Vma } from '../include/mm_types.js';
import { folio_get } from '../include/page_ref.js';
import {
  mk_pte,
  PAGE_SIZE,
  pte_clear,
  pte_dirty,
  pte_mksoft_dirty,
  pte_mkuffd_wp,
  pte_mkwrite,
  pte_present,
  pte_swp_soft_dirty,
  pte_swp_uffd_wp,
  pte_write,
  ptep_get,
  type Pte,
  set_pte,
} from '../include/pgtable.js';
import {
  carriedBits,
  is_device_private_entry,
  is_writable_device_private_entry,
  make_readable_device_private_entry,
  make_writable_device_private_entry,
  migrationEntry,
} from '../include/swapops.js';
import { current, knob } from '../kernel.js';
import { vm_page_prot } from './mprotect.js';
import { folio_mark_dirty } from './page-writeback.js';
import {
  DEFINE_FOLIO_VMA_WALK,
  page_vma_mapped_walk,
  page_vma_mapped_walk_done,
  PVMW,
} from './page_vma_mapped.js';
import {
  folio_add_anon_rmap_pte,
  folio_add_file_rmap_pte,
  folio_mapped,
  folio_remove_rmap_pte,
  folio_try_share_anon_rmap_pte,
  rmapWalkBegin,
  rmapWalkEnd,
} from './rmap.js';
import { set_tlb_ubc_flush_pending, should_defer_flush, type TlbflushUnmapBatch } from './rmap-batch.js';
import { clearDeferred } from './rmap-unmap.js';
import { drainIfLocked } from './mlock.js';
import { fbatches, folio_put } from './swap.js';

/**
 * Puts a migration entry in the place of the folio's entry in one VMA. Returns false if it had to leave it there.
 * @context folio locked and referenced, anon_vma lock held
 * @kernel 6.12 mm/rmap.c try_to_migrate_one: adapted (small folios; no hugetlb; no accessed and dirty bits in the entry)
 */
function* try_to_migrate_one(
  folio: Folio,
  vma: Vma,
  address: number,
  flags: number,
  ubc: TlbflushUnmapBatch,
): Path<boolean> {
  const mm = vma.vm_mm;
  const pvmw = DEFINE_FOLIO_VMA_WALK(folio, vma, address);
  let ret = true;
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, address, address + PAGE_SIZE);
  yield* mmu_notifier_invalidate_range_start(range);
  while (yield* page_vma_mapped_walk(pvmw)) {
    const ptep = pvmw.ptep!;
    const present = yield* isPresent(ptep);
    const anon_exclusive =
      (yield* folio_test_anon(folio)) && (yield* testBits(folio.flags, PG.anon_exclusive));
    let pteval: Pte;
    if (!present) {
      pteval = yield* ptep_get(ptep);
      yield* pte_clear(ptep);
    } else if (should_defer_flush(mm, flags)) {
      pteval = yield* clearDeferred(ptep);
      yield* set_tlb_ubc_flush_pending(ubc, mm, pteval);
    } else pteval = yield* ptep_clear_flush(mm, address, ptep);
    if (present ? pte_dirty(pteval) : passesForDirty()) yield* folio_mark_dirty(folio);
    if (anon_exclusive && (yield* folio_try_share_anon_rmap_pte(folio, folio)) !== 0) {
      yield* set_pte(ptep, pteval);
      yield* page_vma_mapped_walk_done(pvmw);
      ret = false;
      break;
    }
    const writable = present ? pte_write(pteval) : is_writable_device_private_entry(pteval);
    yield* set_pte(ptep, migrationEntry(pfnOf(pteval), writable, anon_exclusive, pteval));
    yield* folio_remove_rmap_pte(folio, vma);
    yield* drainIfLocked(vma);
    yield* folio_put(folio);
  }
  yield* mmu_notifier_invalidate_range_end(range);
  return ret;
}

/**
 * Whether the entry that the walk has found is a present one. Only where there are devices can it be another.
 * @context PTL held
 */
function* isPresent(ptep: PtePointer): Path<boolean> {
  if (current.kernel.devices.length === 0 && current.kernel.pgmaps.length === 0) return true;
  const pte = yield* ptep_get(ptep);
  if (pte_present(pte)) return true;
  const known = knob('try_to_migrate.nonpresent') === 'known' || is_device_private_entry(pte);
  yield* claim(
    known,
    'META-ALIVE',
    'try_to_migrate_one() takes the bits of a device-exclusive entry for a PFN',
  );
  return false;
}

/**
 * What pte_dirty() says of the entry of a device's page on x86-64, though it is no present one: yes. The bit that holds
 * _PAGE_SAVED_DIRTY in a present entry is the highest of the inverted offset there, which is set for all PFNs that there are.
 * So a lazyfree folio that a device had, and two processes map, has to be written out. Not a step without
 * batches.
 */
const passesForDirty = (): boolean => fbatches() !== undefined;

/**
 * Puts migration entries in the place of all entries of a folio.
 * @context folio locked and referenced; may sleep
 * @kernel 6.12 mm/rmap.c try_to_migrate: faithful
 */
export function* try_to_migrate(folio: Folio, flags: number, ubc: TlbflushUnmapBatch): Path {
  if (
    (yield* folio_is_zone_device(folio)) &&
    !(yield* folio_is_device_private(folio)) &&
    !(yield* folio_is_device_coherent(folio))
  )
    return;
  const walk = yield* rmapWalkBegin(folio);
  for (const { vma, address } of walk.targets) {
    if (!(yield* try_to_migrate_one(folio, vma, address, flags, ubc))) break;
    if (!(yield* folio_mapped(folio))) break;
  }
  yield* rmapWalkEnd(walk);
}

/**
 * Maps `dst` where one VMA has a migration entry of `src`. What no CPU reaches gets an entry for its device.
 * @context both folios locked, anon_vma lock held
 * @kernel 6.12 mm/migrate.c remove_migration_pte: adapted (small folios; no accessed and dirty bits in the entry)
 */
function* remove_migration_pte(src: Folio, dst: Folio, vma: Vma, address: number): Path {
  const pvmw = DEFINE_FOLIO_VMA_WALK(src, vma, address, PVMW.SYNC | PVMW.MIGRATION);
  while (yield* page_vma_mapped_walk(pvmw)) {
    const ptep = pvmw.ptep!;
    const old_pte = yield* ptep_get(ptep);
    const type = swapType(old_pte);
    yield* folio_get(dst);
    let pte = mk_pte(dst, vm_page_prot(yield* load(vma.vm_flags)));
    if (pte_swp_soft_dirty(old_pte)) pte = pte_mksoft_dirty(pte);
    if (type === SwapType.MIGRATION_WRITE) pte = pte_mkwrite(pte);
    else if (pte_swp_uffd_wp(old_pte)) pte = pte_mkuffd_wp(pte);
    if (yield* folio_is_device_private(dst))
      pte =
        (pte_write(pte)
          ? make_writable_device_private_entry(dst.pfn)
          : make_readable_device_private_entry(dst.pfn, 0)) | carriedBits(old_pte);
    if (current.kernel.inodes !== undefined && !(yield* folio_test_anon(dst)))
      yield* folio_add_file_rmap_pte(dst, vma);
    else {
      assertFolioLocked(dst); // __page_check_anon_rmap()
      yield* folio_add_anon_rmap_pte(dst, vma);
      if (type !== SwapType.MIGRATION_READ) yield* setBits(dst.flags, PG.anon_exclusive);
    }
    yield* set_pte(ptep, pte);
    yield* drainIfLocked(vma);
  }
}

/**
 * Ends a migration for the page tables: maps `dst` (or `src` again) in the place of the migration entries of `src`.
 * @context both folios locked; may sleep
 * @kernel 6.12 mm/migrate.c remove_migration_ptes: faithful
 */
export function* remove_migration_ptes(src: Folio, dst: Folio): Path {
  const walk = yield* rmapWalkBegin(dst);
  for (const { vma, address } of walk.targets) yield* remove_migration_pte(src, dst, vma, address);
  yield* rmapWalkEnd(walk);
}
