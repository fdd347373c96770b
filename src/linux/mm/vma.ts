// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, store } from '../../core/primitives.js';
import { mmap_read_unlock, mmap_write_downgrade } from '../include/mmap_lock.js';
import type { Mm, Vma } from '../include/mm_types.js';
import { fput, vmaFile } from '../fs/file_table.js';
import { free_pgtables, unmap_vmas } from './memory.js';
import { tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';
import { lru_add_drain } from './swap.js';
import { __split_vma } from './vma-merge.js';
import { VMA, vm_area_free, vma_next, vma_prev } from './vma-tree.js';

/** No VMA follows: page tables may be freed up to the end. @kernel 6.12 include/linux/pgtable.h USER_PGTABLES_CEILING: faithful */
export const USER_PGTABLES_CEILING = Infinity;
export const FIRST_USER_ADDRESS = 0;

/** @context may sleep @kernel 6.12 mm/vma.c remove_vma: adapted (no policy) */
export function* remove_vma(vma: Vma): Path {
  const file = yield* vmaFile(vma);
  if (file !== undefined) yield* fput(file);
  yield* vm_area_free(vma);
}

/**
 * struct vma_munmap_struct: one munmap.
 * @kernel 6.12 mm/vma.h struct vma_munmap_struct: adapted (holds the detached VMAs, with their ranges, by itself)
 */
export interface VmaMunmap {
  readonly mm: Mm;
  readonly start: number;
  readonly end: number;
  /** Drop the write lock to a read lock for the teardown, and release it. */
  readonly unlock: boolean;
  /** Page tables may be freed between these: where the neighbours end and begin. */
  unmap_start: number;
  unmap_end: number;
  clear_ptes: boolean;
  /** The detached VMAs, in order. */
  detached: Range[];
}
interface Range {
  readonly vma: Vma;
  readonly vm_start: number;
  readonly vm_end: number;
}

/** @kernel 6.12 mm/vma.h init_vma_munmap: faithful */
export function init_vma_munmap(mm: Mm, start: number, end: number, unlock: boolean): VmaMunmap {
  return {
    mm,
    start,
    end,
    unlock,
    unmap_start: FIRST_USER_ADDRESS,
    unmap_end: USER_PGTABLES_CEILING,
    clear_ptes: false,
    detached: [],
  };
}

/**
 * Takes all VMAs of the range out of the tree, splitting those that reach beyond it. `vma` is the first one. Returns
 * false if there is no record for a split: then nothing is detached.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/vma.c vms_gather_munmap_vmas: adapted (vma_iter_clear() folded in: `attached` is the tree)
 */
export function* vms_gather_munmap_vmas(vms: VmaMunmap, vma: Vma): Path<boolean> {
  const { mm, start, end } = vms;
  let vm_start = yield* load(vma.vm_start);
  if (start > vm_start) {
    if (!(yield* __split_vma(vma, start, true))) return false;
    vm_start = start;
  }
  const prev = yield* vma_prev(mm, start);
  if (prev !== undefined) vms.unmap_start = yield* load(prev.vm_end);
  let next: Vma | undefined = vma;
  while (next !== undefined && vm_start < end) {
    let vm_end: number = yield* load(next.vm_end);
    if (vm_end > end) {
      if (!(yield* __split_vma(next, end, false))) {
        yield* reattach_vmas(vms);
        return false;
      }
      vm_end = end;
    }
    yield* store(next.attached, VMA.DETACHED); // vma_mark_detached()
    vms.detached.push({ vma: next, vm_start, vm_end });
    next = yield* vma_next(mm, vm_end);
    if (next !== undefined) vm_start = yield* load(next.vm_start);
  }
  if (next !== undefined) vms.unmap_end = vm_start;
  vms.clear_ptes = true;
  return true;
}

/** @kernel 6.12 mm/vma.c reattach_vmas: faithful */
function* reattach_vmas(vms: VmaMunmap): Path {
  for (const { vma } of vms.detached) yield* store(vma.attached, VMA.ATTACHED);
  vms.detached = [];
}

/**
 * Zaps the detached VMAs and frees the page tables that no neighbour needs. They are detached, so no lock keeps faults
 * and mmap() of other ranges out, and the read lock is enough.
 * @context mmap_lock held
 * @kernel 6.12 mm/vma.c vms_clear_ptes: faithful
 */
function* vms_clear_ptes(vms: VmaMunmap): Path {
  if (!vms.clear_ptes) return;
  const { mm, detached } = vms;
  yield* lru_add_drain();
  const tlb = yield* tlb_gather_mmu(mm);
  yield* unmap_vmas(tlb, mm, detached, vms.start, vms.end);
  yield* free_pgtables(tlb, mm, detached, vms.unmap_start, vms.unmap_end);
  yield* tlb_finish_mmu(tlb);
  vms.clear_ptes = false;
}

/** Clears the area before something else is mapped there. @context mmap_lock held for write @kernel 6.12 mm/vma.c vms_clean_up_area: faithful */
export function* vms_clean_up_area(vms: VmaMunmap): Path {
  yield* vms_clear_ptes(vms);
}

/**
 * The part of munmap that can't fail any more.
 * @context mmap_lock held for write; at return held for write, or not at all (`unlock`)
 * @kernel 6.12 mm/vma.c vms_complete_munmap_vmas: adapted (no accounting)
 */
export function* vms_complete_munmap_vmas(vms: VmaMunmap): Path {
  if (vms.unlock) yield* mmap_write_downgrade(vms.mm);
  yield* vms_clear_ptes(vms);
  for (const { vma } of vms.detached) yield* remove_vma(vma);
  if (vms.unlock) yield* mmap_read_unlock(vms.mm);
}

/**
 * Unmaps [start, end), of which `vma` is the first VMA. Returns false if it could not; then the lock is still held.
 * @context mmap_lock held for write; at return as before, or not held (`unlock`)
 * @kernel 6.12 mm/vma.c do_vmi_align_munmap: faithful
 */
export function* do_vmi_align_munmap(
  vma: Vma,
  mm: Mm,
  start: number,
  end: number,
  unlock: boolean,
): Path<boolean> {
  const vms = init_vma_munmap(mm, start, end, unlock);
  if (!(yield* vms_gather_munmap_vmas(vms, vma))) return false;
  yield* vms_complete_munmap_vmas(vms);
  return true;
}
