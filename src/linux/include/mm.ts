// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, testBits } from '../../core/primitives.js';
import { current } from '../kernel.js';
import { folio_is_device_coherent, MEMORY_DEVICE } from './memremap.js';
import { MMF_HAS_PINNED, VM, type Folio, type Mm, type Vma } from './mm_types.js';
import { folio_maybe_dma_pinned } from './page_ref.js';

/** A private mapping: what is written is copied first. @kernel 6.12 include/linux/mm.h is_cow_mapping: adapted (VM_MAYWRITE is always set) */
export const is_cow_mapping = (vm_flags: number): boolean => (vm_flags & VM.SHARED) === 0;

/** Whether any access is allowed. @kernel 6.12 include/linux/mm.h vma_is_accessible: faithful */
export const vma_is_accessible = (vm_flags: number): boolean => (vm_flags & (VM.READ | VM.WRITE)) !== 0;

/**
 * Whether fork has to copy an anonymous folio of `mm` now: pinned pages must stay with the one who pinned them. An mm
 * that never pinned anything does not look at the count.
 * @context PTL held, write_protect_seq odd
 * @kernel 6.12 include/linux/mm.h folio_needs_cow_for_dma: adapted (no VM_BUG_ON on the sequence, it would be one more access)
 */
export function* folio_needs_cow_for_dma(mm: Mm, folio: Folio): Path<boolean> {
  if (!(yield* testBits(mm.flags, MMF_HAS_PINNED))) return false;
  return yield* folio_maybe_dma_pinned(folio);
}

/** Not a step where there are no files. @context mmap_lock held @kernel 6.12 include/linux/mm.h vma_is_anonymous: adapted (no vm_ops: a mapping of no file) */
export function* vma_is_anonymous(vma: Vma): Path<boolean> {
  return current.kernel.inodes === undefined || (yield* load(vma.vm_file)) === 0;
}

/** Whether a pin that is held for long may stay on the folio: device memory must be free to be taken back. Not a step where there is none. @kernel 6.12 include/linux/mm.h folio_is_longterm_pinnable: adapted (no CMA, no movable zone) */
export function* folio_is_longterm_pinnable(folio: Folio): Path<boolean> {
  if (!current.kernel.pgmaps.some(({ type }) => type === MEMORY_DEVICE.COHERENT)) return true;
  return is_zero_pfn(folio.pfn) || !(yield* folio_is_device_coherent(folio));
}

/** Whether a page frame is the zero page. @kernel 6.12 include/linux/pgtable.h is_zero_pfn: faithful */
export const is_zero_pfn = (pfn: number): boolean => current.kernel.zero_page?.pfn === pfn;
