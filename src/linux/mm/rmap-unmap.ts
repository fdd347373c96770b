// SPDX-License-Identifier: GPL-2.0-only
/** mm/rmap.c: reclaim unmaps. */
import { folio_test_anon } from '../include/page-flags.js';
import type { Path } from '../../core/path.js';
import { add, claim, read, setBits, testBits, write } from '../../core/primitives.js';
import { makeSwapEntry, PTE, SwapType } from '../../machine/pte.js';
import { ptep_clear_flush } from '../arch/tlb.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { PG, VM, type Folio, type PtePointer, type Vma } from '../include/mm_types.js';
import { folio_ref_count } from '../include/page_ref.js';
import {
  PAGE_SIZE,
  pte_clear,
  pte_dirty,
  pte_present,
  ptep_get,
  ptep_get_and_clear,
  type Pte,
  set_pte,
} from '../include/pgtable.js';
import { carriedBits, make_hwpoison_entry } from '../include/swapops.js';
import { knob } from '../kernel.js';
import { fileRss } from './memory-file.js';
import { folio_mark_dirty } from './page-writeback.js';
import { DEFINE_FOLIO_VMA_WALK, page_vma_mapped_walk, page_vma_mapped_walk_done } from './page_vma_mapped.js';
import {
  folio_mapped,
  folio_remove_rmap_pte,
  folio_try_share_anon_rmap_pte,
  rmapWalkBegin,
  rmapWalkEnd,
} from './rmap.js';
import {
  lockedUnmap,
  set_tlb_ubc_flush_pending,
  should_defer_flush,
  type TlbflushUnmapBatch,
  TTU,
  unmapBarrier,
} from './rmap-batch.js';
import { drainIfLocked } from './mlock.js';
import { folio_put } from './swap.js';
import { slotOfFolio, swap_duplicate, swap_free } from './swapfile.js';

/** Clears a present entry whose flush is put off. */
export function* clearDeferred(ptep: PtePointer): Path<Pte> {
  if (lockedUnmap()) return yield* ptep_get_and_clear(ptep);
  const pteval = yield* ptep_get(ptep);
  yield* write(ptep.cell, 0);
  return pteval;
}

/**
 * Whether a lazyfree folio may be thrown away: nobody but the caller and the mapping refers to it, and it was not
 * written to. The reference count is read after the PTE was cleared, behind a full barrier, and GUP-fast reads the PTE
 * after it took its reference: so a new user is seen here, or sees that the PTE has changed. The dirty flag is read
 * after the count, since a user that has gone by then has set it before.
 * @context PTL held, PTE cleared
 */
function* lazyfreeDiscardable(folio: Folio): Path<boolean> {
  const test = knob('rmap.lazyfree_test');
  if (test === 'dirty-only') return !(yield* testBits(folio.flags, PG.dirty));
  let dirty = false;
  if (test === 'dirty-then-ref') dirty = yield* testBits(folio.flags, PG.dirty);
  yield* unmapBarrier();
  const ref_count = yield* folio_ref_count(folio);
  const map_count = yield* read(folio._mapcount);
  if (ref_count !== 1 + map_count) return false;
  if (test === 'ref-then-dirty') dirty = yield* testBits(folio.flags, PG.dirty);
  return !dirty;
}

/**
 * Takes the folio out of one VMA. Returns false if it had to leave it there.
 * @context folio locked and referenced, anon_vma lock held; may not be called under a PTL
 * @kernel 6.12 mm/rmap.c try_to_unmap_one: adapted (small folios; no hugetlb, userfaultfd)
 */
function* try_to_unmap_one(
  folio: Folio,
  vma: Vma,
  address: number,
  flags: number,
  ubc: TlbflushUnmapBatch,
): Path<boolean> {
  const mm = vma.vm_mm;
  const pvmw = DEFINE_FOLIO_VMA_WALK(folio, vma, address, flags & TTU.SYNC ? 1 : 0);
  let ret = true;
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, address, address + PAGE_SIZE);
  yield* mmu_notifier_invalidate_range_start(range);
  while (yield* page_vma_mapped_walk(pvmw)) {
    const ptep = pvmw.ptep!;
    // Plain in the kernel. Only mlock() changes the bit, so what else is written with it does not matter.
    if (!(flags & TTU.IGNORE_MLOCK) && (yield* testBits(vma.vm_flags, VM.LOCKED))) {
      yield* page_vma_mapped_walk_done(pvmw);
      ret = false;
      break;
    }
    let pteval = yield* ptep_get(ptep);
    const anon = yield* folio_test_anon(folio);
    if (pte_present(pteval)) {
      if (should_defer_flush(mm, flags)) {
        pteval = yield* clearDeferred(ptep);
        yield* set_tlb_ubc_flush_pending(ubc, mm, pteval);
      } else pteval = yield* ptep_clear_flush(mm, address, ptep);
      if (pte_dirty(pteval)) yield* folio_mark_dirty(folio);
    } else yield* pte_clear(ptep);
    if (flags & TTU.HWPOISON && (yield* testBits(folio.flags, PG.hwpoison))) {
      yield* add(anon ? mm.anon_rss : fileRss(mm), -1);
      yield* set_pte(ptep, make_hwpoison_entry(folio));
    } else if (!anon) yield* add(fileRss(mm), -1);
    else if (!(yield* unmapAnon(folio, vma, ptep, pteval))) {
      yield* page_vma_mapped_walk_done(pvmw);
      ret = false;
      break;
    }
    yield* folio_remove_rmap_pte(folio, vma);
    yield* drainIfLocked(vma);
    yield* folio_put(folio);
  }
  yield* mmu_notifier_invalidate_range_end(range);
  return ret;
}

/** try_to_unmap_one(), the part for anonymous folios: the PTE is cleared, and gets a swap entry or is put back. */
function* unmapAnon(folio: Folio, vma: Vma, ptep: PtePointer, pteval: Pte): Path<boolean> {
  const mm = vma.vm_mm;
  const swapbacked = yield* testBits(folio.flags, PG.swapbacked);
  const swapcache = yield* testBits(folio.flags, PG.swapcache);
  yield* claim(swapbacked === swapcache, 'WARN-ON', 'try_to_unmap_one: swapbacked and swapcache differ');
  if (!swapbacked) {
    if (!(yield* lazyfreeDiscardable(folio))) {
      yield* set_pte(ptep, pteval);
      yield* setBits(folio.flags, PG.swapbacked);
      return false;
    }
    yield* add(mm.anon_rss, -1);
    return true;
  }
  const slot = yield* slotOfFolio(folio);
  yield* swap_duplicate(slot);
  const anon_exclusive = yield* testBits(folio.flags, PG.anon_exclusive);
  if (anon_exclusive && (yield* folio_try_share_anon_rmap_pte(folio, folio)) !== 0) {
    yield* swap_free(slot);
    yield* set_pte(ptep, pteval);
    return false;
  }
  yield* add(mm.anon_rss, -1);
  const bits = (anon_exclusive ? PTE.EXCLUSIVE : 0) | carriedBits(pteval);
  yield* set_pte(ptep, makeSwapEntry(SwapType.SWAP, slot.number, bits));
  return true;
}

/**
 * Takes a folio out of all page tables.
 * @context folio locked and referenced; may sleep
 * @kernel 6.12 mm/rmap.c try_to_unmap: faithful
 */
export function* try_to_unmap(folio: Folio, flags: number, ubc: TlbflushUnmapBatch): Path {
  const walk = yield* rmapWalkBegin(folio);
  for (const { vma, address } of walk.targets) {
    if (!(yield* try_to_unmap_one(folio, vma, address, flags, ubc))) break;
    if (!(yield* folio_mapped(folio))) break;
  }
  yield* rmapWalkEnd(walk);
}
