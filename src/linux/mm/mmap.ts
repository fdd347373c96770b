// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, store } from '../../core/primitives.js';
import { ENOMEM } from '../include/errno.js';
import {
  mmap_read_lock,
  mmap_read_unlock,
  mmap_write_lock,
  mmap_write_unlock,
} from '../include/mmap_lock.js';
import { mmu_notifier_release } from '../include/mmu_notifier.js';
import type { Mm, Vma } from '../include/mm_types.js';
import { free_pgtables, unmap_vmas } from './memory.js';
import { tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';
import {
  do_vmi_align_munmap,
  FIRST_USER_ADDRESS,
  init_vma_munmap,
  remove_vma,
  USER_PGTABLES_CEILING,
  vms_clean_up_area,
  vms_complete_munmap_vmas,
  vms_gather_munmap_vmas,
} from './vma.js';
import { VMA, vm_area_alloc, vma_find, vma_iter_store, vma_next } from './vma-tree.js';

/** The VMA that contains `addr`, or undefined. @context mmap_lock held @kernel 6.12 mm/mmap.c find_vma: adapted (one step; as vma_lookup(), it has to contain the address) */
export function* find_vma(mm: Mm, addr: number): Path<Vma | undefined> {
  return yield* vma_find(mm, addr, addr + 1);
}

/**
 * Unmaps pages [start, start + len) of the mm.
 * @context may sleep; takes mmap_lock
 * @kernel 6.12 mm/mmap.c __vm_munmap: adapted (unlock = true, as the system call; of any mm)
 */
export function* vm_munmap(mm: Mm, start: number, len: number): Path<number> {
  yield* mmap_write_lock(mm);
  const vma = yield* vma_find(mm, start, start + len);
  if (vma !== undefined && (yield* do_vmi_align_munmap(vma, mm, start, start + len, true))) return 0;
  yield* mmap_write_unlock(mm);
  return vma === undefined ? 0 : -ENOMEM;
}

/**
 * Unmaps a whole VMA, which the caller knows: as {@link vm_munmap} without the look-up.
 * @context may sleep; takes mmap_lock
 * @kernel 6.12 mm/mmap.c SYSCALL_DEFINE2(munmap): adapted
 */
export function* munmap(mm: Mm, vma: Vma): Path<number> {
  yield* mmap_write_lock(mm);
  const start = yield* load(vma.vm_start);
  const end = yield* load(vma.vm_end);
  yield* do_vmi_align_munmap(vma, mm, start, end, true);
  return 0;
}

/**
 * Maps private anonymous memory at [addr, addr + len), in place of what is mapped there. Returns 0 or -ENOMEM.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/mmap.c mmap_region: adapted (anonymous and private; no merging with neighbours, no accounting)
 */
export function* mmap_region(mm: Mm, addr: number, len: number, vm_flags: number): Path<number> {
  const end = addr + len;
  const mapped = yield* vma_find(mm, addr, end);
  const vms = init_vma_munmap(mm, addr, end, false);
  if (mapped !== undefined && !(yield* vms_gather_munmap_vmas(vms, mapped))) return -ENOMEM;
  yield* vms_clean_up_area(vms);
  const vma = yield* vm_area_alloc(mm, addr, end);
  if (vma === undefined) {
    // What was mapped is gone: vms_abort_munmap_vmas() leaves a gap.
    yield* vms_complete_munmap_vmas(vms);
    return -ENOMEM;
  }
  yield* store(vma.vm_flags, vm_flags);
  yield* vma_iter_store(vma);
  yield* vms_complete_munmap_vmas(vms);
  return 0;
}

/**
 * Maps private anonymous memory at a fixed address, as mmap(MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS).
 * @context may sleep; takes mmap_lock
 * @kernel 6.12 mm/util.c vm_mmap_pgoff: adapted (of any mm; no populate)
 */
export function* vm_mmap(mm: Mm, addr: number, len: number, vm_flags: number): Path<number> {
  yield* mmap_write_lock(mm);
  const ret = yield* mmap_region(mm, addr, len, vm_flags);
  yield* mmap_write_unlock(mm);
  return ret;
}

/**
 * Takes an mm down whose last user has gone.
 * @context may sleep; takes mmap_lock
 * @kernel 6.12 mm/mmap.c exit_mmap: adapted (no accounting)
 */
export function* exit_mmap(mm: Mm): Path {
  yield* mmu_notifier_release(mm);
  yield* mmap_read_lock(mm);
  const vmas: { vma: Vma; vm_start: number; vm_end: number }[] = [];
  let vma = yield* vma_next(mm, 0);
  while (vma !== undefined) {
    const vm_start = yield* load(vma.vm_start);
    const vm_end = yield* load(vma.vm_end);
    vmas.push({ vma, vm_start, vm_end });
    vma = yield* vma_next(mm, vm_end);
  }
  if (vmas.length === 0) {
    yield* mmap_read_unlock(mm);
    return;
  }
  const tlb = yield* tlb_gather_mmu(mm);
  yield* unmap_vmas(tlb, mm, vmas, 0, mm.space.pages);
  yield* mmap_read_unlock(mm);
  yield* mmap_write_lock(mm);
  yield* free_pgtables(tlb, mm, vmas, FIRST_USER_ADDRESS, USER_PGTABLES_CEILING);
  yield* tlb_finish_mmu(tlb);
  for (const { vma: dead } of vmas) {
    yield* store(dead.attached, VMA.DETACHED); // __mt_destroy()
    yield* remove_vma(dead);
  }
  yield* mmap_write_unlock(mm);
}
