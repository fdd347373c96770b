// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { read } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { pfnOf, SwapType, swapType } from '../../machine/pte.js';
import type { Folio, PtePointer, Vma } from '../include/mm_types.js';
import { folio_nr_pages } from '../include/page-flags.js';
import {
  is_swap_pte,
  PAGE_SIZE,
  pmd_leaf,
  pmd_offset,
  pmd_present,
  pmdp_get_lockless,
  pte_none,
  pte_offset_map_lock,
  pte_offset_map_nolock,
  pte_pfn,
  pte_present,
  pte_unmap,
  pte_unmap_unlock,
  ptep_get,
  type Pte,
} from '../include/pgtable.js';
import { current, knob } from '../kernel.js';
import { spin_lock } from '../kernel/locking/spinlock.js';

/** @kernel 6.12 include/linux/rmap.h PVMW_SYNC, PVMW_MIGRATION: faithful */
export const PVMW = { SYNC: 1, MIGRATION: 2 } as const;

/**
 * Where a walk over the mappings of a folio in one VMA is.
 * @kernel 6.12 include/linux/rmap.h struct page_vma_mapped_walk: adapted (entries of PTEs, in one table)
 */
export interface PageVmaMappedWalk {
  readonly folio: Folio;
  readonly vma: Vma;
  readonly flags: number;
  /** Of the entry. */
  address: number;
  /** Pages of the folio, and where its last one would end; 0 before the first entry. */
  nr_pages: number;
  end: number;
  /** The entry; undefined before the first and after the last one. */
  ptep: PtePointer | undefined;
  /** Its lock, if that is held: there was an entry that looked as if it could name the folio. */
  ptl: Cell | undefined;
}

/** @kernel 6.12 include/linux/rmap.h DEFINE_FOLIO_VMA_WALK: faithful */
export const DEFINE_FOLIO_VMA_WALK = (
  folio: Folio,
  vma: Vma,
  address: number,
  flags = 0,
): PageVmaMappedWalk => ({
  folio,
  vma,
  flags,
  address,
  nr_pages: 0,
  end: 0,
  ptep: undefined,
  ptl: undefined,
});

const isMigrationType = (type: number): boolean =>
  type === SwapType.MIGRATION_READ ||
  type === SwapType.MIGRATION_READ_EXCLUSIVE ||
  type === SwapType.MIGRATION_WRITE;
const isDeviceType = (type: number): boolean =>
  type === SwapType.DEVICE_READ ||
  type === SwapType.DEVICE_WRITE ||
  type === SwapType.DEVICE_EXCLUSIVE_READ ||
  type === SwapType.DEVICE_EXCLUSIVE_WRITE;

/**
 * Maps the table. Takes its lock if the entry looks, without it, as if it could name the folio. Returns the lock,
 * undefined without a table.
 * @kernel 6.12 mm/page_vma_mapped.c map_pte: faithful
 */
function* map_pte(pvmw: PageVmaMappedWalk): Path<Cell | undefined> {
  const pmd = pmd_offset(pvmw.vma.vm_mm, pvmw.address);
  if (pvmw.flags & PVMW.SYNC) {
    const locked = yield* pte_offset_map_lock(pmd, pvmw.address);
    pvmw.ptep = locked?.ptep;
    pvmw.ptl = locked?.ptl;
    return locked?.ptl;
  }
  const mapped = yield* pte_offset_map_nolock(pmd, pvmw.address);
  if (mapped === undefined) return undefined;
  pvmw.ptep = mapped.ptep;
  const ptent = yield* ptep_get(mapped.ptep);
  const maps =
    pvmw.flags & PVMW.MIGRATION
      ? is_swap_pte(ptent)
      : is_swap_pte(ptent)
        ? isDeviceType(swapType(ptent))
        : pte_present(ptent);
  if (maps) {
    pvmw.ptl = mapped.ptl;
    yield* spin_lock(mapped.ptl);
  }
  return mapped.ptl;
}

/** The entry, under the lock, names a page of the folio. @kernel 6.12 mm/page_vma_mapped.c check_pte: faithful */
const check_pte = (pvmw: PageVmaMappedWalk, ptent: Pte): boolean => {
  const { pfn } = pvmw.folio;
  const inFolio = (entry: number): boolean => pfn <= entry && entry < pfn + pvmw.nr_pages;
  if (pvmw.flags & PVMW.MIGRATION) {
    const type = swapType(ptent);
    const exclusive =
      knob('pvmw.exclusive') === 'normal-and-migration' &&
      (type === SwapType.DEVICE_EXCLUSIVE_READ || type === SwapType.DEVICE_EXCLUSIVE_WRITE);
    return (isMigrationType(type) || exclusive) && inFolio(pfnOf(ptent));
  }
  if (is_swap_pte(ptent)) return isDeviceType(swapType(ptent)) && inFolio(pfnOf(ptent));
  return pte_present(ptent) && inFolio(pte_pfn(ptent));
};

/**
 * Finds the next entry of the VMA that maps a page of the folio, and holds its PTL. Returns false when there is none,
 * with the lock dropped. The first entry, and those after empty ones, are looked at before the lock is taken.
 * @context the folio is locked or otherwise can't change; may not sleep while an entry is held
 * @kernel 6.12 mm/page_vma_mapped.c page_vma_mapped_walk: adapted (a folio lies in one table; no huge entries)
 */
export function* page_vma_mapped_walk(pvmw: PageVmaMappedWalk): Path<boolean> {
  let ptl = pvmw.ptl;
  if (pvmw.ptep === undefined) {
    const pmde = yield* pmdp_get_lockless(pmd_offset(pvmw.vma.vm_mm, pvmw.address));
    if (!pmd_present(pmde) || pmd_leaf(pmde)) return false;
    pvmw.nr_pages = yield* folio_nr_pages(pvmw.folio);
    pvmw.end = yield* vma_address_end(pvmw);
    ptl = yield* map_pte(pvmw);
    if (pvmw.ptep === undefined) return false;
    if (pvmw.ptl !== undefined && check_pte(pvmw, yield* ptep_get(pvmw.ptep))) return true;
  }
  while (pvmw.address + PAGE_SIZE < pvmw.end) {
    pvmw.address += PAGE_SIZE;
    pvmw.ptep = current.kernel.pte(pvmw.ptep.table.number, pvmw.ptep.index + 1);
    if (pte_none(yield* ptep_get(pvmw.ptep))) continue;
    if (pvmw.ptl === undefined) {
      pvmw.ptl = ptl;
      yield* spin_lock(ptl!);
    }
    if (check_pte(pvmw, yield* ptep_get(pvmw.ptep))) return true;
  }
  yield* page_vma_mapped_walk_done(pvmw);
  return false;
}

/** Where the folio's last page ends, or the VMA. @kernel 6.12 mm/internal.h vma_address_end: adapted (the walk begins at the first page) */
function* vma_address_end(pvmw: PageVmaMappedWalk): Path<number> {
  if (pvmw.nr_pages === 1) return pvmw.address + PAGE_SIZE;
  return Math.min(pvmw.address + pvmw.nr_pages, yield* read(pvmw.vma.vm_end));
}

/** Ends a walk early. @kernel 6.12 include/linux/rmap.h page_vma_mapped_walk_done: faithful */
export function* page_vma_mapped_walk_done(pvmw: PageVmaMappedWalk): Path {
  if (pvmw.ptl !== undefined) yield* pte_unmap_unlock(pvmw.ptl);
  else if (pvmw.ptep !== undefined) yield* pte_unmap();
  pvmw.ptep = undefined;
  pvmw.ptl = undefined;
}
