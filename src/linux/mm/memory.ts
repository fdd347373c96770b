// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { pfnOf } from '../../machine/pte.js';
import type { Mm } from '../include/mm_types.js';
import {
  PAGE_SIZE,
  pmd_addr_end,
  pmd_clear,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  pte_none,
  pte_offset_map_lock,
  pte_page,
  pte_present,
  pte_unmap_unlock,
  ptep_get,
  ptep_get_and_clear,
} from '../include/pgtable.js';
import { current } from '../kernel.js';
import { type MmuGather, tlb_adjust_range, tlb_remove_page, tlb_remove_table } from './mmu_gather.js';
import { folio_remove_rmap_pte } from './rmap.js';
import { flush_tlb_batched_pending } from './rmap-batch.js';

/**
 * Clears the entries of [addr, end) in one page table and gathers their pages, which are put after the flush.
 * @context mmap_lock held
 * @kernel 6.12 mm/memory.c zap_pte_range: adapted (present entries; no batching of folios)
 */
export function* zap_pte_range(tlb: MmuGather, pmdp: Cell, start: number, end: number): Path {
  const mapped = yield* pte_offset_map_lock(pmdp, start);
  if (mapped === undefined) return;
  yield* flush_tlb_batched_pending(tlb.mm);
  let rss = 0;
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const ptep = current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + addr - start);
    const ptent = yield* ptep_get(ptep);
    if (pte_none(ptent)) continue;
    if (pte_present(ptent)) {
      const page = pte_page(ptent);
      yield* ptep_get_and_clear(ptep);
      tlb_adjust_range(tlb, addr, PAGE_SIZE);
      yield* folio_remove_rmap_pte(page);
      tlb_remove_page(tlb, page);
      rss--;
    }
  }
  yield* add(tlb.mm.anon_rss, rss);
  yield* pte_unmap_unlock(mapped.ptl);
}

/** @context mmap_lock held @kernel 6.12 mm/memory.c unmap_page_range: adapted (upper levels folded) */
export function* unmap_page_range(tlb: MmuGather, mm: Mm, start: number, end: number): Path {
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pmdp = pmd_offset(mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (pmd_none(pmd)) continue;
    yield* zap_pte_range(tlb, pmdp, addr, next);
  }
}

/**
 * Unlinks the page tables of [start, end) and hands them to the gather, which frees them after the flush.
 * @context mmap_lock held for write, or the VMAs are detached
 * @kernel 6.12 mm/memory.c free_pgtables: adapted (upper levels folded)
 */
export function* free_pgtables(tlb: MmuGather, mm: Mm, start: number, end: number): Path {
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pmdp = pmd_offset(mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (pmd_none(pmd) || pmd_leaf(pmd)) continue;
    yield* free_pte_range(tlb, pmdp, pmd, addr);
  }
}

/** @kernel 6.12 mm/memory.c free_pte_range: faithful */
function* free_pte_range(tlb: MmuGather, pmdp: Cell, pmd: number, addr: number): Path {
  const token = current.kernel.mem_map[pfnOf(pmd)]!;
  yield* pmd_clear(pmdp);
  tlb_adjust_range(tlb, addr, PAGE_SIZE);
  tlb.freed_tables = true;
  yield* tlb_remove_table(tlb, token);
}
