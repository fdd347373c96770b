// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { clearBits, equals, setBits, testAndClearBits, testBits } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { mmap_assert_locked } from '../include/lockdep.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { PG, type Folio, type Mm, type Vma } from '../include/mm_types.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import {
  PAGE_SIZE,
  pmd_addr_end,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  pte_dirty,
  pte_mkclean,
  pte_offset_map_lock,
  pte_page,
  pte_present,
  pte_unmap_unlock,
  ptep_get,
  ptep_get_and_clear,
  set_pte,
} from '../include/pgtable.js';
import { current, knob } from '../kernel.js';
import { zap_page_range_single } from './memory.js';
import { type MmuGather, tlb_adjust_range, tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';
import { flush_tlb_batched_pending } from './rmap-batch.js';

/**
 * Makes an anonymous folio lazyfree: clean and without backing store, so reclaim throws it away unless it is written
 * to again.
 * @context PTL held
 * @kernel 6.12 mm/swap.c folio_mark_lazyfree: adapted (at once, not in a per-CPU batch)
 */
function* folio_mark_lazyfree(folio: Folio): Path {
  if (!(yield* testBits(folio.flags, PG.swapbacked))) return;
  if (!(yield* testAndClearBits(folio.flags, PG.lru))) return;
  if (!(yield* testBits(folio.flags, PG.swapcache))) yield* clearBits(folio.flags, PG.swapbacked);
  yield* setBits(folio.flags, PG.lru);
}

/**
 * Cleans folio and PTEs of [addr, end).
 * @context mmap_lock held for read
 * @kernel 6.12 mm/madvise.c madvise_free_pte_range: adapted (present entries; no accessed bit; small folios)
 */
function* madvise_free_pte_range(tlb: MmuGather, pmdp: Cell, start: number, end: number): Path {
  const mapped = yield* pte_offset_map_lock(pmdp, start);
  if (mapped === undefined) return;
  yield* flush_tlb_batched_pending(tlb.mm);
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const ptep = current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + addr - start);
    const ptent = yield* ptep_get(ptep);
    if (!pte_present(ptent)) continue;
    const folio = pte_page(ptent);
    if (yield* testBits(folio.flags, PG.dirty)) {
      if (!(yield* folio_trylock(folio))) continue;
      if (!(yield* equals(folio._mapcount, 1))) {
        yield* folio_unlock(folio);
        continue;
      }
      yield* clearBits(folio.flags, PG.dirty);
      yield* folio_unlock(folio);
    }
    if (pte_dirty(ptent)) {
      const old = yield* ptep_get_and_clear(ptep);
      yield* set_pte(ptep, pte_mkclean(old));
      tlb_adjust_range(tlb, addr, PAGE_SIZE);
    }
    yield* folio_mark_lazyfree(folio);
  }
  yield* pte_unmap_unlock(mapped.ptl);
}

/**
 * MADV_FREE: reclaim may throw the pages of [start, end) away, unless they are written to after this returns.
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 mm/madvise.c madvise_free_single_vma: adapted (the range is inside one VMA)
 */
export function* madvise_free(mm: Mm, start: number, end: number): Path {
  yield* mmap_read_lock(mm);
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, start, end);
  const tlb = yield* tlb_gather_mmu(mm);
  yield* mmu_notifier_invalidate_range_start(range);
  mmap_assert_locked(mm); // walk_page_range()
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pmdp = pmd_offset(mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (!pmd_none(pmd)) yield* madvise_free_pte_range(tlb, pmdp, addr, next);
  }
  yield* mmu_notifier_invalidate_range_end(range);
  if (knob('madvise.free_flush') === 'off') tlb.end = 0;
  yield* tlb_finish_mmu(tlb);
  yield* mmap_read_unlock(mm);
}

/**
 * MADV_DONTNEED: the pages are gone when it returns; the next access finds a zero page.
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 mm/madvise.c madvise_dontneed_single_vma: faithful
 */
export function* madvise_dontneed(vma: Vma, start: number, end: number): Path {
  yield* mmap_read_lock(vma.vm_mm);
  yield* zap_page_range_single(vma, start, end - start);
  yield* mmap_read_unlock(vma.vm_mm);
}
