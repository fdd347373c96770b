// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import { add, clearBits, load, testBits } from '../../../core/primitives.js';
import type { Cell } from '../../../core/system.js';
import { flush_tlb_mm } from '../../arch/tlb.js';
import { is_cow_mapping } from '../../include/mm.js';
import { mmap_write_lock, mmap_write_unlock } from '../../include/mmap_lock.js';
import { MMF_HAS_PINNED, type Mm, type PtePointer, VM, type Vma } from '../../include/mm_types.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../../include/mmu_notifier.js';
import { folio_maybe_dma_pinned, page_folio } from '../../include/page_ref.js';
import {
  is_swap_pte,
  PAGE_SIZE,
  pmd_addr_end,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  type Pte,
  pte_clear_soft_dirty,
  pte_offset_map_lock,
  pte_page,
  pte_present,
  pte_special,
  pte_swp_clear_soft_dirty,
  pte_unmap_unlock,
  pte_wrprotect,
  ptep_get,
  ptep_get_and_clear,
  set_pte,
} from '../../include/pgtable.js';
import { current, knob } from '../../kernel.js';
import { vma_next } from '../../mm/vma-tree.js';

/** @kernel 6.12 fs/proc/task_mmu.c pte_is_pinned: adapted (anonymous pages) */
function* pte_is_pinned(vma: Vma, pte: Pte): Path<boolean> {
  if (!is_cow_mapping(yield* load(vma.vm_flags))) return false;
  if (!(yield* testBits(vma.vm_mm.flags, MMF_HAS_PINNED))) return false;
  if (pte_special(pte)) return false;
  return yield* folio_maybe_dma_pinned(yield* page_folio(pte_page(pte)));
}

/**
 * The next store is to be noticed: write-protects a present entry, and takes the soft-dirty bit off either kind.
 * @context PTL held; mmap_lock held for write
 * @kernel 6.12 fs/proc/task_mmu.c clear_soft_dirty: faithful
 */
function* clear_soft_dirty(vma: Vma, ptep: PtePointer): Path {
  const ptent = yield* ptep_get(ptep);
  if (pte_present(ptent)) {
    if (yield* pte_is_pinned(vma, ptent)) return;
    const old_pte = yield* ptep_get_and_clear(ptep);
    yield* set_pte(ptep, pte_clear_soft_dirty(pte_wrprotect(old_pte)));
  } else if (is_swap_pte(ptent)) yield* set_pte(ptep, pte_swp_clear_soft_dirty(ptent));
}

/** @context mmap_lock held for write @kernel 6.12 fs/proc/task_mmu.c clear_refs_pte_range: adapted (CLEAR_REFS_SOFT_DIRTY; no huge PMDs) */
function* clear_refs_pte_range(pmdp: Cell, start: number, end: number, vma: Vma): Path {
  const mapped = yield* pte_offset_map_lock(pmdp, start);
  if (mapped === undefined) return;
  for (let addr = start; addr < end; addr += PAGE_SIZE)
    yield* clear_soft_dirty(
      vma,
      current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + addr - start),
    );
  yield* pte_unmap_unlock(mapped.ptl);
}

/**
 * `echo 4 > /proc/PID/clear_refs`: nothing counts as written to any more, and what is written from now on will. All TLBs
 * are flushed before it returns: a store through an entry that was writable would not be noticed.
 * @context may sleep; takes mmap_lock for write
 * @kernel 6.12 fs/proc/task_mmu.c clear_refs_write: adapted (CLEAR_REFS_SOFT_DIRTY)
 */
export function* clear_refs_write(mm: Mm): Path {
  yield* mmap_write_lock(mm);
  let vma = yield* vma_next(mm, 0);
  while (vma !== undefined) {
    if ((yield* load(vma.vm_flags)) & VM.SOFTDIRTY) yield* clearBits(vma.vm_flags, VM.SOFTDIRTY);
    vma = yield* vma_next(mm, yield* load(vma.vm_end));
  }
  yield* add(mm.tlb_flush_pending, 1); // inc_tlb_flush_pending()
  const range = mmu_notifier_range_init(MMU_NOTIFY.SOFT_DIRTY, 0, mm, 0, mm.space.pages);
  const tells = knob('clear_refs.notifier') === 'on';
  if (tells) yield* mmu_notifier_invalidate_range_start(range);
  vma = yield* vma_next(mm, 0);
  while (vma !== undefined) {
    const vm_end = yield* load(vma.vm_end);
    let next: number;
    for (let addr = yield* load(vma.vm_start); addr < vm_end; addr = next) {
      next = pmd_addr_end(addr, vm_end);
      const pmdp = pmd_offset(mm, addr);
      const pmd = yield* pmdp_get_lockless(pmdp);
      if (!pmd_none(pmd) && !pmd_leaf(pmd)) yield* clear_refs_pte_range(pmdp, addr, next, vma);
    }
    vma = yield* vma_next(mm, vm_end);
  }
  if (tells) yield* mmu_notifier_invalidate_range_end(range);
  yield* flush_tlb_mm(mm);
  yield* add(mm.tlb_flush_pending, -1); // dec_tlb_flush_pending()
  yield* mmap_write_unlock(mm);
}
