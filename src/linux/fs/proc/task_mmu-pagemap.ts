// SPDX-License-Identifier: GPL-2.0-only
/** fs/proc/task_mmu.c: /proc/PID/pagemap. */
import type { Path } from '../../../core/path.js';
import { load, testBits } from '../../../core/primitives.js';
import { pfnOf, SwapType, swapType } from '../../../machine/pte.js';
import { mmap_read_lock, mmap_read_unlock } from '../../include/mmap_lock.js';
import { PG, VM, type Mm, type Page, type Vma } from '../../include/mm_types.js';
import {
  is_swap_pte,
  PAGE_SIZE,
  pfn_to_page,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  type Pte,
  pte_none,
  pte_offset_map_lock,
  pte_present,
  pte_soft_dirty,
  pte_swp_soft_dirty,
  pte_swp_uffd_wp,
  pte_uffd_wp,
  pte_unmap_unlock,
  ptep_get,
} from '../../include/pgtable.js';
import { vm_normal_page } from '../../mm/memory.js';
import { vma_find } from '../../mm/vma-tree.js';

/** @kernel 6.12 fs/proc/task_mmu.c PM_*: faithful */
export const PM = { PRESENT: 1, SWAP: 2, FILE: 4, MMAP_EXCLUSIVE: 8, SOFT_DIRTY: 16, UFFD_WP: 32 } as const;

/** What /proc/pid/pagemap says of a page: PM flags; the frame, or the offset of a swap-type entry with its type. */
export interface PagemapEntry {
  readonly flags: number;
  readonly frame: number;
  readonly type: number;
}

/** The page that a swap-type entry stands for, if it is one. @kernel 6.12 include/linux/swapops.h is_pfn_swap_entry, pfn_swap_entry_to_page: adapted (both in one) */
function swapEntryPage(pte: Pte): Page | undefined {
  const type = swapType(pte);
  return type === SwapType.SWAP || type === SwapType.MARKER ? undefined : pfn_to_page(pfnOf(pte));
}

/** @context PTL held @kernel 6.12 fs/proc/task_mmu.c pte_to_pagemap_entry: faithful */
function* pte_to_pagemap_entry(vma: Vma, pte: Pte): Path<PagemapEntry> {
  let flags = 0;
  let page: Page | undefined;
  if (pte_present(pte)) {
    flags = PM.PRESENT | (pte_soft_dirty(pte) ? PM.SOFT_DIRTY : 0) | (pte_uffd_wp(pte) ? PM.UFFD_WP : 0);
    page = vm_normal_page(pte);
  } else if (is_swap_pte(pte)) {
    flags = PM.SWAP | (pte_swp_soft_dirty(pte) ? PM.SOFT_DIRTY : 0) | (pte_swp_uffd_wp(pte) ? PM.UFFD_WP : 0);
    page = swapEntryPage(pte);
  }
  if (page !== undefined) {
    if (!(yield* testBits(page.flags, PG.anon))) flags |= PM.FILE;
    if (flags & PM.PRESENT && (yield* load(page._mapcount)) === 1) flags |= PM.MMAP_EXCLUSIVE;
  }
  if ((yield* load(vma.vm_flags)) & VM.SOFTDIRTY) flags |= PM.SOFT_DIRTY;
  return { flags, frame: pte_none(pte) ? 0 : pfnOf(pte), type: swapType(pte) };
}

/**
 * What /proc/pid/pagemap says of pages [start, start + nr) of a process.
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 fs/proc/task_mmu.c pagemap_read: adapted (page by page; no huge pages)
 */
export function* pagemap_read(mm: Mm, start: number, nr: number): Path<PagemapEntry[]> {
  const entries: PagemapEntry[] = [];
  yield* mmap_read_lock(mm);
  for (let addr = start; addr < start + nr; addr += PAGE_SIZE) {
    const vma = yield* vma_find(mm, addr, addr + PAGE_SIZE);
    if (vma === undefined) {
      entries.push({ flags: 0, frame: 0, type: 0 });
      continue;
    }
    const pmdp = pmd_offset(mm, addr);
    const mapped = pmd_none(yield* pmdp_get_lockless(pmdp))
      ? undefined
      : yield* pte_offset_map_lock(pmdp, addr);
    const pte = mapped === undefined ? 0 : yield* ptep_get(mapped.ptep);
    entries.push(yield* pte_to_pagemap_entry(vma, pte));
    if (mapped !== undefined) yield* pte_unmap_unlock(mapped.ptl);
  }
  yield* mmap_read_unlock(mm);
  return entries;
}
