// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import type { Cell } from '../../core/system.js';
import { pfnOf, SwapType, swapType } from '../../machine/pte.js';
import type { Folio, PtePointer, Vma } from '../include/mm_types.js';
import {
  is_swap_pte,
  pmd_leaf,
  pmd_offset,
  pmd_present,
  pmdp_get_lockless,
  pte_offset_map_lock,
  pte_offset_map_nolock,
  pte_pfn,
  pte_present,
  pte_unmap,
  pte_unmap_unlock,
  ptep_get,
  type Pte,
} from '../include/pgtable.js';
import { knob } from '../kernel.js';
import { spin_lock } from '../kernel/locking/spinlock.js';

/** @kernel 6.12 include/linux/rmap.h PVMW_SYNC, PVMW_MIGRATION: faithful */
export const PVMW = { SYNC: 1, MIGRATION: 2 } as const;

/**
 * Where a walk over the mappings of a folio in one VMA is.
 * @kernel 6.12 include/linux/rmap.h struct page_vma_mapped_walk: adapted (small folios: one entry at most)
 */
export interface PageVmaMappedWalk {
  readonly folio: Folio;
  readonly vma: Vma;
  readonly address: number;
  readonly flags: number;
  /** The entry and its lock, which is held; undefined before the first and after the last entry. */
  ptep: PtePointer | undefined;
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
  address,
  flags,
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

/** The entry looks, without the lock, as if it could name the folio. @kernel 6.12 mm/page_vma_mapped.c map_pte: faithful */
function* map_pte(pvmw: PageVmaMappedWalk): Path<boolean> {
  const pmd = pmd_offset(pvmw.vma.vm_mm, pvmw.address);
  if (pvmw.flags & PVMW.SYNC) {
    const locked = yield* pte_offset_map_lock(pmd, pvmw.address);
    pvmw.ptep = locked?.ptep;
    pvmw.ptl = locked?.ptl;
    return locked !== undefined;
  }
  const mapped = yield* pte_offset_map_nolock(pmd, pvmw.address);
  if (mapped === undefined) return false;
  const ptent = yield* ptep_get(mapped.ptep);
  const maps =
    pvmw.flags & PVMW.MIGRATION
      ? is_swap_pte(ptent)
      : is_swap_pte(ptent)
        ? isDeviceType(swapType(ptent))
        : pte_present(ptent);
  if (!maps) {
    yield* pte_unmap();
    return false;
  }
  pvmw.ptep = mapped.ptep;
  pvmw.ptl = mapped.ptl;
  yield* spin_lock(mapped.ptl);
  return true;
}

/** The entry, under the lock, names the folio. @kernel 6.12 mm/page_vma_mapped.c check_pte: faithful */
const check_pte = (pvmw: PageVmaMappedWalk, ptent: Pte): boolean => {
  const { pfn } = pvmw.folio;
  if (pvmw.flags & PVMW.MIGRATION) {
    const type = swapType(ptent);
    const exclusive =
      knob('pvmw.exclusive') === 'normal-and-migration' &&
      (type === SwapType.DEVICE_EXCLUSIVE_READ || type === SwapType.DEVICE_EXCLUSIVE_WRITE);
    return (isMigrationType(type) || exclusive) && pfnOf(ptent) === pfn;
  }
  if (is_swap_pte(ptent)) return isDeviceType(swapType(ptent)) && pfnOf(ptent) === pfn;
  return pte_present(ptent) && pte_pfn(ptent) === pfn;
};

/**
 * Finds the next entry of the VMA that maps the folio, and holds its PTL. Returns false when there is none, with the
 * lock dropped.
 * @context the folio is locked or otherwise can't change; may not sleep while an entry is held
 * @kernel 6.12 mm/page_vma_mapped.c page_vma_mapped_walk: adapted (small folios, no huge entries)
 */
export function* page_vma_mapped_walk(pvmw: PageVmaMappedWalk): Path<boolean> {
  if (pvmw.ptep === undefined) {
    const pmde = yield* pmdp_get_lockless(pmd_offset(pvmw.vma.vm_mm, pvmw.address));
    if (!pmd_present(pmde) || pmd_leaf(pmde)) return false;
    if (!(yield* map_pte(pvmw))) return false;
    if (check_pte(pvmw, yield* ptep_get(pvmw.ptep!))) return true;
  }
  yield* page_vma_mapped_walk_done(pvmw);
  return false;
}

/** Ends a walk early. @kernel 6.12 include/linux/rmap.h page_vma_mapped_walk_done: faithful */
export function* page_vma_mapped_walk_done(pvmw: PageVmaMappedWalk): Path {
  if (pvmw.ptl !== undefined) yield* pte_unmap_unlock(pvmw.ptl);
  pvmw.ptep = undefined;
  pvmw.ptl = undefined;
}
