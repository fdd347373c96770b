// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add } from '../../core/primitives.js';
import { flush_tlb_mm_range } from '../arch/tlb.js';
import type { Mm, Page } from '../include/mm_types.js';
import { page_folio } from '../include/page_ref.js';
import { smp_call_function } from '../kernel/smp.js';
import { call_rcu } from '../kernel/rcu/tree.js';
import { current, knob } from '../kernel.js';
import { free_unref_page } from './page_alloc.js';
import { folio_put, lru_add_drain } from './swap.js';
import { free_swap_cache } from './swap_state.js';

/**
 * struct mmu_gather: what a teardown has unlinked and still has to flush and free, in that order.
 * @kernel 6.12 include/asm-generic/tlb.h struct mmu_gather: adapted (one batch without bound; on the caller's stack)
 */
export interface MmuGather {
  readonly mm: Mm;
  /** Pages to put after the flush. */
  pages: Page[];
  /** Page tables that wait for the RCU batch. */
  tables: Page[];
  /** Range that the flush covers; empty if start >= end. */
  start: number;
  end: number;
  freed_tables: boolean;
}

/** @context mmap_lock held @kernel 6.12 mm/mmu_gather.c tlb_gather_mmu: faithful */
export function* tlb_gather_mmu(mm: Mm): Path<MmuGather> {
  yield* add(mm.tlb_flush_pending, 1);
  return { mm, pages: [], tables: [], start: Infinity, end: 0, freed_tables: false };
}

/** Widens the range to flush. @kernel 6.12 include/asm-generic/tlb.h __tlb_adjust_range: faithful */
export function __tlb_adjust_range(tlb: MmuGather, addr: number, size: number): void {
  tlb.start = Math.min(tlb.start, addr);
  tlb.end = Math.max(tlb.end, addr + size);
}

/** The page is put after the flush. @kernel 6.12 mm/mmu_gather.c __tlb_remove_folio_pages: adapted (the batch never fills) */
export function tlb_remove_page(tlb: MmuGather, page: Page): void {
  tlb.pages.push(page);
}

/** @kernel 6.12 include/asm-generic/tlb.h tlb_flush_mmu_tlbonly: faithful */
export function* tlb_flush_mmu_tlbonly(tlb: MmuGather): Path {
  if (tlb.end === 0) return;
  yield* flush_tlb_mm_range(tlb.mm, tlb.start, tlb.end);
  tlb.start = Infinity;
  tlb.end = 0;
  tlb.freed_tables = false;
}

/**
 * Interrupts every CPU: walkers that keep interrupts off have left when it returns. It is no RCU grace period, so
 * walkers that only hold rcu_read_lock may still be inside.
 * @kernel 6.12 mm/mmu_gather.c tlb_remove_table_sync_one: faithful
 */
export function* tlb_remove_table_sync_one(): Path {
  yield* smp_call_function();
}

/** Frees a page table. @kernel 6.12 arch/x86/mm/pgtable.c __tlb_remove_table: adapted (the swap cache has no tables) */
export function* __tlb_remove_table(table: Page): Path {
  yield* free_unref_page(table);
}

/**
 * Hands a page table over that was unlinked from its PMD. Where tables are freed by RCU it waits in the batch; if there
 * is no memory for the batch, it goes now, after an IPI. Without RCU freeing it goes with the pages, after the flush.
 * @kernel 6.12 mm/mmu_gather.c tlb_remove_table: faithful
 */
export function* tlb_remove_table(tlb: MmuGather, table: Page): Path {
  switch (knob('mmu_gather.table_free')) {
    case 'rcu':
      tlb.tables.push(table);
      return;
    case 'rcu-failed-batch':
      yield* tlb_flush_mmu_tlbonly(tlb);
      yield* tlb_remove_table_one(table);
      return;
    case 'with-flush':
      tlb_remove_page(tlb, table);
  }
}

/** @kernel 6.12 mm/mmu_gather.c tlb_remove_table_one: faithful */
export function* tlb_remove_table_one(table: Page): Path {
  yield* tlb_remove_table_sync_one();
  yield* __tlb_remove_table(table);
}

/** The RCU batch: flushes what the hardware may have cached, then frees after a grace period. @kernel 6.12 mm/mmu_gather.c tlb_table_flush: adapted (one callback for each table) */
function* tlb_table_flush(tlb: MmuGather): Path {
  if (tlb.tables.length === 0) return;
  yield* tlb_flush_mmu_tlbonly(tlb);
  const { tables } = tlb;
  tlb.tables = [];
  for (const table of tables) yield* call_rcu('tlb_remove_table_rcu', table.pfn);
}

/** @kernel 6.12 mm/mmu_gather.c tlb_batch_pages_flush: adapted (one batch, freed in one go) */
function* tlb_batch_pages_flush(tlb: MmuGather): Path {
  const { pages } = tlb;
  tlb.pages = [];
  if (pages.length > 0) yield* lru_add_drain(); // free_pages_and_swap_cache()
  for (const page of pages) {
    const folio = current.kernel.options.thp ? yield* page_folio(page) : page;
    yield* free_swap_cache(folio);
    yield* folio_put(folio);
  }
}

/** Flush, then free: in this order, or a CPU still reaches a page through its TLB after it was given away. @kernel 6.12 mm/mmu_gather.c tlb_flush_mmu: faithful */
export function* tlb_flush_mmu(tlb: MmuGather): Path {
  yield* tlb_flush_mmu_tlbonly(tlb);
  yield* tlb_table_flush(tlb);
  yield* tlb_batch_pages_flush(tlb);
}

/** @kernel 6.12 mm/mmu_gather.c tlb_finish_mmu: adapted (no nested-flush check) */
export function* tlb_finish_mmu(tlb: MmuGather): Path {
  yield* tlb_flush_mmu(tlb);
  yield* add(tlb.mm.tlb_flush_pending, -1);
}
