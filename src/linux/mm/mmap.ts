// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, setBits, store } from '../../core/primitives.js';
import { EEXIST, EINVAL, ENOMEM } from '../include/errno.js';
import {
  mmap_read_lock,
  mmap_read_unlock,
  mmap_write_lock,
  mmap_write_unlock,
} from '../include/mmap_lock.js';
import { mmu_notifier_release } from '../include/mmu_notifier.js';
import { MMF_OOM_SKIP, VM, type Inode, type Mm, type Vma } from '../include/mm_types.js';
import { get_file } from '../fs/file_table.js';
import { current } from '../kernel.js';
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
import { calc_vm_prot_bits } from './mprotect.js';
import { shmem_zero_setup } from './shmem.js';
import { lru_add_drain } from './swap.js';
import { type VmaMerge, vma_merge_new_range } from './vma-merge.js';
import {
  VMA,
  vm_area_alloc,
  vm_area_free,
  vma_find,
  vma_iter_store,
  vma_next,
  vma_prev,
} from './vma-tree.js';

/** The VMA that contains `addr`, or undefined. @context mmap_lock held @kernel 6.12 mm/mmap.c find_vma: adapted (one step; as vma_lookup(), it has to contain the address) */
export function* find_vma(mm: Mm, addr: number): Path<Vma | undefined> {
  return yield* vma_find(mm, addr, addr + 1);
}

/**
 * Unmaps pages [start, start + len) of the mm.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/mmap.c do_munmap: adapted (takes the write lock as it is, and keeps it)
 */
export function* do_munmap(mm: Mm, start: number, len: number): Path<number> {
  if (len === 0) return -EINVAL;
  const vma = yield* vma_find(mm, start, start + len);
  if (vma === undefined) return 0;
  return (yield* do_vmi_align_munmap(vma, mm, start, start + len, false)) ? 0 : -ENOMEM;
}

/**
 * Unmaps pages [start, start + len) of the mm.
 * @context may sleep; takes mmap_lock
 * @kernel 6.12 mm/mmap.c __vm_munmap: adapted (unlock = true, as the system call; of any mm)
 */
export function* vm_munmap(mm: Mm, start: number, len: number): Path<number> {
  if (len === 0) return -EINVAL;
  yield* mmap_write_lock(mm);
  const vma = yield* vma_find(mm, start, start + len);
  if (vma !== undefined && (yield* do_vmi_align_munmap(vma, mm, start, start + len, true))) return 0;
  yield* mmap_write_unlock(mm);
  return vma === undefined ? 0 : -ENOMEM;
}

/**
 * Unmaps a whole VMA, which the caller knows: as {@link vm_munmap} without the look-up.
 * @context may sleep; takes mmap_lock
 * @kernel 6.12 mm/mmap.c SYSCALL_DEFINE2(munmap): adapted (all of one VMA)
 */
export function* munmap(mm: Mm, vma: Vma): Path<number> {
  yield* mmap_write_lock(mm);
  const start = yield* load(vma.vm_start);
  const end = yield* load(vma.vm_end);
  yield* do_vmi_align_munmap(vma, mm, start, end, true);
  return 0;
}

/**
 * Takes away what a driver has mapped into a VMA that comes to nothing.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/vma.c unmap_region: adapted (the neighbours are given)
 */
function* unmap_region(
  vma: Vma,
  start: number,
  end: number,
  prev: Vma | undefined,
  next: Vma | undefined,
): Path {
  const mm = vma.vm_mm;
  const floor = prev === undefined ? FIRST_USER_ADDRESS : yield* load(prev.vm_end);
  const ceiling = next === undefined ? USER_PGTABLES_CEILING : yield* load(next.vm_start);
  const vmas = [{ vma, vm_start: start, vm_end: end }];
  const tlb = yield* tlb_gather_mmu(mm);
  yield* unmap_vmas(tlb, mm, vmas, start, end);
  yield* free_pgtables(tlb, mm, vmas, floor, ceiling);
  yield* tlb_finish_mmu(tlb);
}

/**
 * Maps a file, or anonymous memory, at [addr, addr + len), in place of what is mapped there. Returns 0 or -ENOMEM.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/mmap.c mmap_region: adapted (no limits)
 */
export function* mmap_region(
  mm: Mm,
  file: Inode | undefined,
  addr: number,
  len: number,
  flags: number,
  pgoff: number,
): Path<number> {
  const end = addr + len;
  const mapped = yield* vma_find(mm, addr, end);
  const vms = init_vma_munmap(mm, addr, end, false);
  if (mapped !== undefined && !(yield* vms_gather_munmap_vmas(vms, mapped))) return -ENOMEM;
  // accountable_mapping(): what is private and writable counts against the memory that may be promised
  const vm_flags = (flags & (VM.SHARED | VM.WRITE)) === VM.WRITE ? flags | VM.ACCOUNT : flags;
  yield* vms_clean_up_area(vms);
  const prev = yield* vma_prev(mm, addr);
  const next = yield* vma_next(mm, end);
  const vmg: VmaMerge = {
    mm,
    prev,
    next,
    vma: undefined,
    start: addr,
    end,
    pgoff,
    flags: vm_flags,
    file: file?.number ?? 0,
    anon_vma: 0,
    uffd_ctx: undefined,
  };
  let vma = yield* vma_merge_new_range(vmg);
  if (vma === undefined) {
    vma = yield* vm_area_alloc(mm, addr, end);
    let failed = vma === undefined;
    let err = 0;
    if (vma !== undefined) {
      yield* store(vma.vm_pgoff, pgoff);
      yield* store(vma.vm_flags, vm_flags);
      if (file !== undefined) {
        yield* get_file(file);
        yield* store(vma.vm_file, file.number);
        if (file.f_op !== undefined) err = yield* file.f_op.mmap(vma);
        if (err !== 0) yield* unmap_region(vma, addr, end, prev, next);
      } else if (vm_flags & VM.SHARED) failed = !(yield* shmem_zero_setup(vma, len));
    }
    if (vma === undefined || failed || err !== 0) {
      if (vma !== undefined) yield* err === 0 ? vm_area_free(vma) : remove_vma(vma);
      // What was mapped is gone: vms_abort_munmap_vmas() leaves a gap.
      yield* vms_complete_munmap_vmas(vms);
      return err === 0 ? -ENOMEM : err;
    }
    yield* vma_iter_store(vma);
  }
  yield* vms_complete_munmap_vmas(vms);
  // What is mapped anew counts as written to, or whoever tracks stores would take it for what was there before.
  if (current.kernel.options.softDirty === true)
    yield* store(vma.vm_flags, (yield* load(vma.vm_flags)) | VM.SOFTDIRTY);
  return 0;
}

/** @kernel 6.12 include/uapi/asm-generic/mman-common.h MAP_*: adapted (those that paths here read) */
export const MAP = { SHARED: 1, PRIVATE: 2, FIXED_NOREPLACE: 0x100000 } as const;

/**
 * Maps a file, or anonymous memory, at [addr, addr + len). Returns 0 or a negative error number.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/mmap.c do_mmap: adapted (of any mm, at a fixed address; the file allows everything; no limits)
 */
export function* do_mmap(
  mm: Mm,
  file: Inode | undefined,
  addr: number,
  len: number,
  prot: number,
  flags: number,
): Path<number> {
  if (len === 0) return -EINVAL;
  let vm_flags = calc_vm_prot_bits(prot);
  if (flags & MAP.FIXED_NOREPLACE && (yield* vma_find(mm, addr, addr + len)) !== undefined) return -EEXIST;
  if (flags & MAP.SHARED) vm_flags |= VM.SHARED;
  const pgoff = file !== undefined || flags & MAP.SHARED ? 0 : addr;
  return yield* mmap_region(mm, file, addr, len, vm_flags, pgoff);
}

/** mmap() of a file, or of anonymous memory. @context may sleep; takes mmap_lock @kernel 6.12 mm/util.c vm_mmap_pgoff: adapted (of any mm; no populate) */
export function* vm_mmap_pgoff(
  mm: Mm,
  file: Inode | undefined,
  addr: number,
  len: number,
  prot: number,
  flags: number,
): Path<number> {
  yield* mmap_write_lock(mm);
  const ret = yield* do_mmap(mm, file, addr, len, prot, flags);
  yield* mmap_write_unlock(mm);
  return ret;
}

/**
 * Maps private anonymous memory at a fixed address, as mmap(MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS).
 * @context may sleep; takes mmap_lock
 * @kernel 6.12 mm/util.c vm_mmap_pgoff: adapted (of any mm; no populate; takes vm_flags)
 */
export function* vm_mmap(mm: Mm, addr: number, len: number, vm_flags: number): Path<number> {
  yield* mmap_write_lock(mm);
  const ret = yield* mmap_region(mm, undefined, addr, len, vm_flags, addr);
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
  yield* lru_add_drain();
  const tlb = yield* tlb_gather_mmu(mm);
  yield* unmap_vmas(tlb, mm, vmas, 0, mm.space.pages);
  yield* mmap_read_unlock(mm);
  if (mm.oom_victim) yield* setBits(mm.flags, MMF_OOM_SKIP);
  yield* mmap_write_lock(mm);
  yield* free_pgtables(tlb, mm, vmas, FIRST_USER_ADDRESS, USER_PGTABLES_CEILING);
  yield* tlb_finish_mmu(tlb);
  for (const { vma: dead } of vmas) {
    yield* store(dead.attached, VMA.DETACHED); // __mt_destroy()
    yield* remove_vma(dead);
  }
  yield* mmap_write_unlock(mm);
}
