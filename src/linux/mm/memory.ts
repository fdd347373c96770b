// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add, load, testBits } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { pfnOf } from '../../machine/pte.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { mmap_assert_locked } from '../include/lockdep.js';
import { type Inode, type Mm, type Page, PG, type Vma } from '../include/mm_types.js';
import {
  HPAGE_PMD_NR,
  PAGE_SIZE,
  pmd_addr_end,
  pmd_clear,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  type Pte,
  pte_devmap,
  pte_dirty,
  pte_none,
  pte_offset_map_lock,
  pte_page,
  pte_present,
  pte_special,
  pte_unmap_unlock,
  ptep_get,
  ptep_get_and_clear,
} from '../include/pgtable.js';
import { current } from '../kernel.js';
import { __split_huge_pmd, zap_huge_pmd } from './huge_memory.js';
import { zapNonpresent } from './memory-swap.js';
import {
  type MmuGather,
  __tlb_adjust_range,
  tlb_finish_mmu,
  tlb_gather_mmu,
  tlb_remove_page,
  tlb_remove_table,
} from './mmu_gather.js';
import { vmaFile } from '../fs/file_table.js';
import { down_read, down_write, up_read, up_write } from '../kernel/locking/rwsem.js';
import { fileRss } from './memory-file.js';
import { folio_mark_dirty } from './page-writeback.js';
import { unlink_anon_vmas } from './rmap-anon_vma.js';
import { folio_remove_rmap_pte } from './rmap.js';
import { vma_interval_tree_iter_next } from './interval_tree.js';
import { lru_add_drain } from './swap.js';
import { flush_tlb_batched_pending } from './rmap-batch.js';
import { freePmdTables } from './memory-pmd.js';

/**
 * The page that a present entry maps and that the mapping counts; undefined for the zero page and for device memory.
 * @kernel 6.12 mm/memory.c vm_normal_page: adapted (arch with pte_special; DAX pages count nothing)
 */
export const vm_normal_page = (pte: Pte): Page | undefined =>
  pte_special(pte) || pte_devmap(pte) ? undefined : pte_page(pte);

/**
 * Clears the entries of [addr, end) in one page table and gathers their pages, which are put after the flush. Without
 * `even_cows`, private copies of a file's pages stay.
 * @context mmap_lock held
 * @kernel 6.12 mm/memory.c zap_pte_range: adapted (no batching of folios; rmap of dirty file pages is not delayed)
 */
export function* zap_pte_range(
  tlb: MmuGather,
  vma: Vma,
  pmdp: Cell,
  start: number,
  end: number,
  even_cows = true,
): Path {
  const mapped = yield* pte_offset_map_lock(pmdp, start);
  if (mapped === undefined) return;
  yield* flush_tlb_batched_pending(tlb.mm);
  let rss = 0;
  let file_rss = 0;
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const ptep = current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + addr - start);
    const ptent = yield* ptep_get(ptep);
    if (pte_none(ptent)) continue;
    if (pte_present(ptent)) {
      const page = vm_normal_page(ptent);
      if (!even_cows && page !== undefined && (yield* testBits(page.flags, PG.anon))) continue;
      yield* ptep_get_and_clear(ptep);
      __tlb_adjust_range(tlb, addr, PAGE_SIZE);
      if (page === undefined) continue;
      if (current.kernel.inodes !== undefined && !(yield* testBits(page.flags, PG.anon))) {
        if (pte_dirty(ptent)) yield* folio_mark_dirty(page);
        file_rss--;
      } else rss--;
      yield* folio_remove_rmap_pte(page, vma);
      tlb_remove_page(tlb, page);
    } else if (even_cows) rss += yield* zapNonpresent(vma, ptep, ptent);
  }
  yield* add(tlb.mm.anon_rss, rss);
  if (file_rss !== 0) yield* add(fileRss(tlb.mm), file_rss);
  yield* pte_unmap_unlock(mapped.ptl);
}

/** @context mmap_lock held @kernel 6.12 mm/memory.c unmap_page_range: adapted (upper levels folded) */
export function* unmap_page_range(
  tlb: MmuGather,
  vma: Vma,
  start: number,
  end: number,
  even_cows = true,
): Path {
  const mm = vma.vm_mm;
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pmdp = pmd_offset(mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (pmd_none(pmd)) continue;
    if (pmd_leaf(pmd)) {
      if (next - addr !== HPAGE_PMD_NR()) yield* __split_huge_pmd(mm, addr, false);
      else if (yield* zap_huge_pmd(tlb, pmdp, addr)) continue;
    }
    yield* zap_pte_range(tlb, vma, pmdp, addr, next, even_cows);
  }
}

/**
 * Zaps VMAs that are on their way out, which are in order, as one invalidation of [start, end).
 * @context mmap_lock held, or the VMAs are detached
 * @kernel 6.12 mm/memory.c unmap_vmas: faithful
 */
export function* unmap_vmas(
  tlb: MmuGather,
  mm: Mm,
  vmas: readonly { readonly vma: Vma; readonly vm_start: number; readonly vm_end: number }[],
  start: number,
  end: number,
): Path {
  const range = mmu_notifier_range_init(MMU_NOTIFY.UNMAP, 0, mm, start, end);
  yield* mmu_notifier_invalidate_range_start(range);
  for (const { vma, vm_start, vm_end } of vmas) yield* unmap_page_range(tlb, vma, vm_start, vm_end);
  yield* mmu_notifier_invalidate_range_end(range);
}

/**
 * Unlinks the page tables below `vmas`, which are in order, and hands them to the gather, which frees them after the
 * flush. A table that reaches below `floor` or above `ceiling` belongs to a neighbour as well and stays.
 * @context mmap_lock held for write, or the VMAs are detached
 * @kernel 6.12 mm/memory.c free_pgtables: adapted (without chains, rmap walks find the VMA to the end)
 */
export function* free_pgtables(
  tlb: MmuGather,
  mm: Mm,
  vmas: readonly { readonly vma: Vma; readonly vm_start: number; readonly vm_end: number }[],
  floor: number,
  ceiling: number,
): Path {
  mmap_assert_locked(mm); // mas_find()
  const { ptrsPerPte: PMD_SIZE } = current.kernel.machine.options;
  for (let i = 0; i < vmas.length; i++) {
    const addr = vmas[i]!.vm_start;
    yield* unlink_anon_vmas(vmas[i]!.vma);
    yield* unlink_file_vma(vmas[i]!.vma);
    // Nearby VMAs go in one call, or neither of two that share a table would free it.
    while (i + 1 < vmas.length && vmas[i + 1]!.vm_start <= vmas[i]!.vm_end + PMD_SIZE) {
      i++;
      yield* unlink_anon_vmas(vmas[i]!.vma);
      yield* unlink_file_vma(vmas[i]!.vma);
    }
    yield* free_pgd_range(tlb, mm, addr, vmas[i]!.vm_end, floor, vmas[i + 1]?.vm_start ?? ceiling);
  }
}

/** Hides a VMA from who looks up the mappings of a file. @context mmap_lock held for write, or the VMA is detached @kernel 6.12 mm/vma.c unlink_file_vma: adapted (i_mmap is what the VMAs say) */
function* unlink_file_vma(vma: Vma): Path {
  const file = yield* vmaFile(vma);
  if (file === undefined) return;
  yield* down_write(file.i_mmap_rwsem);
  yield* up_write(file.i_mmap_rwsem);
}

/** @kernel 6.12 mm/memory.c free_pgd_range, free_pmd_range: adapted (upper levels folded) */
export function* free_pgd_range(
  tlb: MmuGather,
  mm: Mm,
  start: number,
  end: number,
  floor: number,
  ceiling: number,
): Path {
  const { ptrsPerPte: PMD_SIZE } = current.kernel.machine.options;
  const tableStart = (addr: number): number => Math.floor(addr / PMD_SIZE) * PMD_SIZE;
  let from = tableStart(start);
  if (from < floor) from += PMD_SIZE;
  // A table that is cut by the ceiling has its start above what is left of the range.
  const to = end > tableStart(ceiling) ? tableStart(ceiling) : end;
  for (let addr = from; addr < to; addr = pmd_addr_end(addr, to)) {
    const pmdp = pmd_offset(mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (pmd_none(pmd) || pmd_leaf(pmd)) continue;
    yield* free_pte_range(tlb, pmdp, pmd, addr);
  }
  yield* freePmdTables(mm, from, to, floor, ceiling);
}

/** @kernel 6.12 mm/memory.c free_pte_range: faithful */
function* free_pte_range(tlb: MmuGather, pmdp: Cell, pmd: number, addr: number): Path {
  const token = current.kernel.mem_map[pfnOf(pmd)]!;
  yield* pmd_clear(pmdp);
  __tlb_adjust_range(tlb, addr, PAGE_SIZE);
  tlb.freed_tables = true;
  yield* tlb_remove_table(tlb, token);
}

/**
 * Zaps [address, address + size) of one VMA; the tables stay.
 * @context mmap_lock held, or i_mmap_rwsem
 * @kernel 6.12 mm/memory.c zap_page_range_single: faithful
 */
export function* zap_page_range_single(vma: Vma, address: number, size: number, even_cows = true): Path {
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, vma.vm_mm, address, address + size);
  yield* lru_add_drain();
  const tlb = yield* tlb_gather_mmu(vma.vm_mm);
  yield* mmu_notifier_invalidate_range_start(range);
  yield* unmap_page_range(tlb, vma, address, address + size, even_cows);
  yield* mmu_notifier_invalidate_range_end(range);
  yield* tlb_finish_mmu(tlb);
}

/**
 * Zaps what one mapping of a file maps of it: unmap_mapping_range() does it for each.
 * @context i_mmap_rwsem held for read
 * @kernel 6.12 mm/memory.c unmap_mapping_range_vma: adapted (i_mmap_rwsem is the caller's business)
 */
export function* unmap_mapping_range_vma(vma: Vma, start: number, end: number, even_cows = true): Path {
  yield* zap_page_range_single(vma, start, end - start, even_cows);
}

/**
 * Zaps pages from `first_index` to `last_index` of a file in each mapping, as far as it has them.
 * @context i_mmap_rwsem held for read
 * @kernel 6.12 mm/memory.c unmap_mapping_range_tree: faithful
 */
function* unmap_mapping_range_tree(
  file: Inode,
  first_index: number,
  last_index: number,
  even_cows: boolean,
): Path {
  let vma = yield* vma_interval_tree_iter_next(file, undefined, first_index, last_index);
  while (vma !== undefined) {
    const vba: number = yield* load(vma.vm_pgoff);
    const vm_start: number = yield* load(vma.vm_start);
    const vea = vba + (yield* load(vma.vm_end)) - vm_start - 1;
    const zba = Math.max(first_index, vba);
    const zea = Math.min(last_index, vea);
    yield* unmap_mapping_range_vma(vma, zba - vba + vm_start, zea - vba + 1 + vm_start, even_cows);
    vma = yield* vma_interval_tree_iter_next(file, vma, first_index, last_index);
  }
}

/**
 * Unmaps pages [start, start + nr) of a file from all who map it.
 * @context may sleep; takes i_mmap_rwsem for read
 * @kernel 6.12 mm/memory.c unmap_mapping_pages: faithful
 */
export function* unmap_mapping_pages(file: Inode, start: number, nr: number, even_cows: boolean): Path {
  yield* down_read(file.i_mmap_rwsem);
  yield* unmap_mapping_range_tree(file, start, start + nr - 1, even_cows);
  yield* up_read(file.i_mmap_rwsem);
}
