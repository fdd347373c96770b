// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { clearBits, equals, load, testBits, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { SwapType, swapType } from '../../machine/pte.js';
import { blk_finish_plug, blk_start_plug, type BlkPlug } from '../block/blk-core.js';
import { mmap_assert_locked } from '../include/lockdep.js';
import { EACCES, EAGAIN, EFAULT, EINVAL, ENOMEM } from '../include/errno.js';
import { vma_is_anonymous } from '../include/mm.js';
import {
  mmap_read_lock,
  mmap_read_unlock,
  mmap_write_lock,
  mmap_write_unlock,
} from '../include/mmap_lock.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { folio_is_zone_device } from '../include/memremap.js';
import { PG, VM, VM_SPECIAL, type Folio, type Mm, type Vma } from '../include/mm_types.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import {
  PAGE_SIZE,
  pmd_addr_end,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  pte_dirty,
  pte_clear,
  pte_mkclean,
  pte_offset_map_lock,
  pte_present,
  pte_unmap_unlock,
  ptep_get,
  ptep_get_and_clear,
  set_pte,
} from '../include/pgtable.js';
import { current, knob } from '../kernel.js';
import { fput, get_file, vmaFile } from '../fs/file_table.js';
import { linear_page_index } from './memory-file.js';
import { shmem_fallocate } from './shmem.js';
import { faultin_page_range } from './gup-populate.js';
import { vm_normal_page, zap_page_range_single } from './memory.js';
import { type MmuGather, __tlb_adjust_range, tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';
import { flush_tlb_batched_pending } from './rmap-batch.js';
import { folio_mark_lazyfree, lru_add_drain } from './swap.js';
import { folio_deactivate } from './swap-activate.js';
import { folio_free_swap, free_swap_and_cache } from './swapfile.js';
import { folio_isolate_lru, folio_putback_lru, reclaim_pages } from './vmscan.js';
import { vma_modify_flags } from './vma-merge.js';
import { vma_next, vma_prev } from './vma-tree.js';

/**
 * Cleans folio and PTEs of [addr, end).
 * @context mmap_lock held for read
 * @kernel 6.12 mm/madvise.c madvise_free_pte_range: adapted (no accessed bit; small folios)
 */
function* madvise_free_pte_range(tlb: MmuGather, pmdp: Cell, start: number, end: number): Path {
  const mapped = yield* pte_offset_map_lock(pmdp, start);
  if (mapped === undefined) return;
  yield* flush_tlb_batched_pending(tlb.mm);
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const ptep = current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + addr - start);
    const ptent = yield* ptep_get(ptep);
    if (!pte_present(ptent)) {
      if (current.kernel.swap === undefined || swapType(ptent) !== SwapType.SWAP) continue;
      yield* free_swap_and_cache(ptent);
      yield* pte_clear(ptep);
      continue;
    }
    const folio = vm_normal_page(ptent);
    if (folio === undefined || (yield* folio_is_zone_device(folio))) continue;
    const swapcache = current.kernel.swap !== undefined && (yield* testBits(folio.flags, PG.swapcache));
    if (swapcache || (yield* testBits(folio.flags, PG.dirty))) {
      if (!(yield* folio_trylock(folio))) continue;
      if (!(yield* equals(folio._mapcount, 1))) {
        yield* folio_unlock(folio);
        continue;
      }
      if (swapcache && !(yield* folio_free_swap(folio))) {
        yield* folio_unlock(folio);
        continue;
      }
      yield* clearBits(folio.flags, PG.dirty);
      yield* folio_unlock(folio);
    }
    if (pte_dirty(ptent)) {
      const old = yield* ptep_get_and_clear(ptep);
      yield* set_pte(ptep, pte_mkclean(old));
      __tlb_adjust_range(tlb, addr, PAGE_SIZE);
    }
    yield* folio_mark_lazyfree(folio);
  }
  yield* pte_unmap_unlock(mapped.ptl);
}

/**
 * MADV_FREE: reclaim may throw the pages of [start, end) away, unless they are written to after this returns.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/madvise.c madvise_free_single_vma: adapted (the range is inside one VMA, which is anonymous)
 */
function* madvise_free_single_vma(mm: Mm, start: number, end: number): Path {
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, start, end);
  yield* lru_add_drain();
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
}

/** MADV_FREE of a range that the caller knows to be in one VMA. @context may sleep; takes mmap_lock for read @kernel 6.12 mm/madvise.c do_madvise: adapted (one VMA, without the look-up) */
export function* madvise_free(mm: Mm, start: number, end: number): Path {
  yield* mmap_read_lock(mm);
  yield* madvise_free_single_vma(mm, start, end);
  yield* mmap_read_unlock(mm);
}

/**
 * MADV_DONTNEED of a range that the caller knows to be in one VMA: the pages are gone when it returns; the next access
 * finds a zero page.
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 mm/madvise.c do_madvise: adapted (one VMA, without the look-up)
 */
export function* madvise_dontneed(vma: Vma, start: number, end: number): Path {
  yield* mmap_read_lock(vma.vm_mm);
  yield* zap_page_range_single(vma, start, end - start);
  yield* mmap_read_unlock(vma.vm_mm);
}

/** What is advised. @kernel 6.12 include/uapi/asm-generic/mman-common.h MADV_*: adapted (those that have an effect here) */
export const MADV = {
  DONTNEED: 4,
  FREE: 8,
  REMOVE: 9,
  DONTFORK: 10,
  DOFORK: 11,
  MERGEABLE: 12,
  UNMERGEABLE: 13,
  HUGEPAGE: 14,
  NOHUGEPAGE: 15,
  WIPEONFORK: 18,
  KEEPONFORK: 19,
  COLD: 20,
  PAGEOUT: 21,
  POPULATE_READ: 22,
  POPULATE_WRITE: 23,
  DONTNEED_LOCKED: 24,
  COLLAPSE: 25,
} as const;

/** What reads the VMAs, and does not change them. @kernel 6.12 mm/madvise.c madvise_need_mmap_write: faithful */
const READS: readonly number[] = [
  MADV.REMOVE,
  MADV.COLD,
  MADV.PAGEOUT,
  MADV.FREE,
  MADV.DONTNEED,
  MADV.DONTNEED_LOCKED,
  MADV.POPULATE_READ,
  MADV.POPULATE_WRITE,
  MADV.COLLAPSE,
];

/** @context mmap_lock held for read; may sleep @kernel 6.12 mm/madvise.c madvise_dontneed_free: adapted (no userfaultfd, no huge pages) */
function* madvise_dontneed_free(vma: Vma, start: number, end: number, behavior: number): Path<number> {
  const forbidden = VM.PFNMAP | (behavior === MADV.DONTNEED_LOCKED ? 0 : VM.LOCKED);
  if ((yield* load(vma.vm_flags)) & forbidden) return -EINVAL;
  if (behavior !== MADV.FREE) yield* zap_page_range_single(vma, start, end - start);
  else if (yield* vma_is_anonymous(vma)) yield* madvise_free_single_vma(vma.vm_mm, start, end);
  else return -EINVAL;
  return 0;
}

/**
 * Finds the folios of [start, end), in one table, that only this mapping has and that are on the LRU. For reclaim they
 * are isolated; else nothing that shows is done to them.
 * @context mmap_lock held for read
 * @kernel 6.12 mm/madvise.c madvise_cold_or_pageout_pte_range: adapted (no accessed bit; small folios)
 */
function* madvise_cold_or_pageout_pte_range(
  mm: Mm,
  pmdp: Cell,
  start: number,
  end: number,
  pageout: boolean,
  plug: BlkPlug | undefined,
): Path {
  const mapped = yield* pte_offset_map_lock(pmdp, start);
  if (mapped === undefined) return;
  yield* flush_tlb_batched_pending(mm);
  const isolated: Folio[] = [];
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const ptent = yield* ptep_get(
      current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + addr - start),
    );
    const folio = pte_present(ptent) ? vm_normal_page(ptent) : undefined;
    if (folio === undefined || !(yield* testBits(folio.flags, PG.lru))) continue;
    if (!(yield* equals(folio._mapcount, 1))) continue;
    yield* clearBits(folio.flags, PG.referenced);
    if (!pageout) yield* folio_deactivate(folio);
    if (!pageout || !(yield* folio_isolate_lru(folio))) continue;
    if (yield* testBits(folio.flags, PG.unevictable)) yield* folio_putback_lru(folio);
    else isolated.push(folio);
  }
  yield* pte_unmap_unlock(mapped.ptl);
  yield* reclaim_pages(isolated, plug);
}

/** @context mmap_lock held for read; may sleep @kernel 6.12 mm/madvise.c madvise_cold, madvise_pageout: adapted (the caller may write to all files) */
function* madviseColdOrPageout(
  vma: Vma,
  start: number,
  end: number,
  pageout: boolean,
  plug: BlkPlug | undefined,
): Path<number> {
  if ((yield* load(vma.vm_flags)) & (VM.LOCKED | VM.PFNMAP)) return -EINVAL;
  const mm = vma.vm_mm;
  yield* lru_add_drain();
  const tlb = yield* tlb_gather_mmu(mm);
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pmdp = pmd_offset(mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (!pmd_none(pmd)) yield* madvise_cold_or_pageout_pte_range(mm, pmdp, addr, next, pageout, plug);
  }
  yield* tlb_finish_mmu(tlb);
  return 0;
}

/** @context mmap_lock held for read; may sleep @kernel 6.12 mm/madvise.c madvise_populate: adapted (the lock is never dropped) */
function* madvise_populate(mm: Mm, start: number, end: number, behavior: number): Path<number> {
  let at = start;
  while (at < end) {
    const pages = yield* faultin_page_range(mm, at, end, behavior === MADV.POPULATE_WRITE);
    if (pages < 0) return pages === -EINVAL || pages === -EFAULT ? pages : -ENOMEM;
    at += pages * PAGE_SIZE;
  }
  return 0;
}

/** vm_flags after the advice, or a negative error number. @kernel 6.12 mm/madvise.c madvise_vma_behavior: adapted (the advice that only changes flags; ksmd does not run) */
function advisedFlags(vm_flags: number, file: boolean, behavior: number): number {
  switch (behavior) {
    case MADV.DONTFORK:
      return vm_flags | VM.DONTCOPY;
    case MADV.DOFORK:
      return vm_flags & VM.IO ? -EINVAL : vm_flags & ~VM.DONTCOPY;
    case MADV.WIPEONFORK:
      return file || vm_flags & VM.SHARED ? -EINVAL : vm_flags | VM.WIPEONFORK;
    case MADV.KEEPONFORK:
      return vm_flags & ~VM.WIPEONFORK;
    case MADV.HUGEPAGE:
      return (vm_flags & ~VM.NOHUGEPAGE) | VM.HUGEPAGE;
    case MADV.MERGEABLE:
      return vm_flags & (VM.SHARED | VM_SPECIAL) ? vm_flags : vm_flags | VM.MERGEABLE;
    case MADV.UNMERGEABLE:
      return vm_flags & ~VM.MERGEABLE;
    case MADV.NOHUGEPAGE:
      return (vm_flags & ~VM.HUGEPAGE) | VM.NOHUGEPAGE;
    default:
      return -EINVAL;
  }
}

/** Follows an advice that changes flags; returns the VMA that has them, or a negative error number. @context mmap_lock held for write; may sleep @kernel 6.12 mm/madvise.c madvise_update_vma: adapted (no names) */
function* madvise_update_vma(
  vma: Vma,
  prev: Vma | undefined,
  start: number,
  end: number,
  behavior: number,
): Path<Vma | number> {
  const vm_flags = yield* load(vma.vm_flags);
  const new_flags = advisedFlags(vm_flags, !(yield* vma_is_anonymous(vma)), behavior);
  if (new_flags < 0) return new_flags;
  if (new_flags === vm_flags) return vma;
  const modified = yield* vma_modify_flags(prev, vma, start, end, new_flags);
  if (typeof modified === 'number') return -EAGAIN;
  yield* write(modified.vm_flags, new_flags);
  return modified;
}

/**
 * Follows an advice for [start, start + len), VMA by VMA; holes are passed over, and are -ENOMEM at the end. Returns 0 or
 * a negative error number.
 * @context may sleep; takes mmap_lock
 * @kernel 6.12 mm/madvise.c do_madvise, madvise_walk_vmas, madvise_vma_behavior: adapted (ksmd does not run)
 */
export function* do_madvise(mm: Mm, start: number, len: number, behavior: number): Path<number> {
  if (len === 0) return 0;
  const end = start + len;
  const writes = !READS.includes(behavior);
  yield* writes ? mmap_write_lock(mm) : mmap_read_lock(mm);
  const plug = blk_start_plug();
  const error =
    behavior === MADV.POPULATE_READ || behavior === MADV.POPULATE_WRITE
      ? yield* madvise_populate(mm, start, end, behavior)
      : yield* madvise_walk_vmas(mm, start, end, behavior, plug);
  yield* blk_finish_plug(plug);
  yield* writes ? mmap_write_unlock(mm) : mmap_read_unlock(mm);
  return error;
}

/**
 * MADV_REMOVE: punches a hole in the file. The lock is dropped meanwhile, so the VMA may be another one afterwards.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/madvise.c madvise_remove: adapted (the file allows it)
 */
function* madvise_remove(vma: Vma, start: number, end: number): Path<number> {
  const vm_flags = yield* load(vma.vm_flags);
  if (vm_flags & VM.LOCKED) return -EINVAL;
  const file = yield* vmaFile(vma);
  if (file === undefined) return -EINVAL;
  if (!(vm_flags & VM.SHARED)) return -EACCES;
  const offset = yield* linear_page_index(vma, start);
  yield* get_file(file);
  yield* mmap_read_unlock(vma.vm_mm);
  const error = yield* shmem_fallocate(file, offset, end - start);
  yield* fput(file);
  yield* mmap_read_lock(vma.vm_mm);
  return error;
}

/** Follows an advice that does not change the VMA. @context mmap_lock held for read; may sleep @kernel 6.12 mm/madvise.c madvise_vma_behavior: adapted (no mapping is large enough to be collapsed) */
function* adviceThatReads(
  vma: Vma,
  start: number,
  end: number,
  behavior: number,
  plug: BlkPlug | undefined,
): Path<number> {
  switch (behavior) {
    case MADV.COLLAPSE:
      return -EINVAL;
    case MADV.REMOVE:
      return yield* madvise_remove(vma, start, end);
    case MADV.COLD:
    case MADV.PAGEOUT:
      return yield* madviseColdOrPageout(vma, start, end, behavior === MADV.PAGEOUT, plug);
    default:
      return yield* madvise_dontneed_free(vma, start, end, behavior);
  }
}

/**
 * Does it VMA by VMA. A hole is an error at the end; the VMAs behind it have their turn all the same.
 * @context mmap_lock held
 * @kernel 6.12 mm/madvise.c madvise_walk_vmas: adapted (the visitor is madvise_vma_behavior())
 */
function* madvise_walk_vmas(
  mm: Mm,
  first: number,
  end: number,
  behavior: number,
  plug: BlkPlug | undefined,
): Path<number> {
  let unmapped_error = 0;
  let start = first;
  let vma = yield* vma_next(mm, start);
  let prev = yield* vma_prev(mm, start);
  if (vma !== undefined && start > (yield* load(vma.vm_start))) prev = vma;
  for (;;) {
    if (vma === undefined) return -ENOMEM;
    const vm_start: number = yield* load(vma.vm_start);
    if (start < vm_start) {
      unmapped_error = -ENOMEM;
      start = vm_start;
      if (start >= end) return unmapped_error;
    }
    const tmp: number = Math.min(yield* load(vma.vm_end), end);
    if (READS.includes(behavior)) {
      const error = yield* adviceThatReads(vma, start, tmp, behavior, plug);
      if (error !== 0) return error;
      // madvise_remove() has dropped the lock: what is there now is found anew.
      prev = behavior === MADV.REMOVE ? undefined : vma;
    } else {
      const modified: Vma | number = yield* madvise_update_vma(vma, prev, start, tmp, behavior);
      if (typeof modified === 'number') return modified;
      prev = modified;
    }
    const prev_end: number = prev === undefined ? tmp : yield* load(prev.vm_end);
    start = Math.max(tmp, prev_end);
    if (start >= end) return unmapped_error;
    vma = yield* vma_next(mm, prev_end);
  }
}
