// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load } from '../../core/primitives.js';
import { EAGAIN, EINVAL, ENOENT, ENOMEM } from '../include/errno.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import { type Mm, VM, type Vma } from '../include/mm_types.js';
import { PAGE_SIZE, pmd_none, pmd_offset, pmdp_get_lockless } from '../include/pgtable.js';
import { type UserfaultfdCtx, userfaultfd_wp } from '../include/userfaultfd_k.js';

import { pte_alloc } from './memory-fault.js';
import { find_vma } from './mmap.js';
import { tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';
import { change_protection, MM_CP, vma_wants_manual_pte_write_upgrade } from './mprotect.js';
import { move_pages_pte } from './userfaultfd-move.js';
import { vma_find } from './vma-tree.js';

/**
 * Write-protects the entries of a range for userfaultfd, or gives them free.
 * @context mmap_lock held for read
 * @kernel 6.12 mm/userfaultfd.c uffd_wp_range: faithful
 */
function* uffd_wp_range(dst_vma: Vma, start: number, len: number, enable_wp: boolean): Path {
  const vm_flags = yield* load(dst_vma.vm_flags);
  let mm_cp_flags: number = enable_wp ? MM_CP.UFFD_WP : MM_CP.UFFD_WP_RESOLVE;
  if (!enable_wp && vma_wants_manual_pte_write_upgrade(vm_flags)) mm_cp_flags |= MM_CP.TRY_CHANGE_WRITABLE;
  const tlb = yield* tlb_gather_mmu(dst_vma.vm_mm);
  yield* change_protection(tlb, dst_vma, start, start + len, vm_flags, mm_cp_flags);
  yield* tlb_finish_mmu(tlb);
}

/**
 * UFFDIO_WRITEPROTECT: as {@link uffd_wp_range}, for the VMAs of [start, start + len).
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 mm/userfaultfd.c mwriteprotect_range: adapted (mappings do not change meanwhile: no map_changing_lock)
 */
export function* mwriteprotect_range(
  ctx: UserfaultfdCtx,
  start: number,
  len: number,
  enable_wp: boolean,
): Path<number> {
  const { mm } = ctx;
  const end = start + len;
  yield* mmap_read_lock(mm);
  let err = -ENOENT;
  let addr = start;
  while (addr < end) {
    const dst_vma = yield* vma_find(mm, addr, end);
    if (dst_vma === undefined) break;
    if (!userfaultfd_wp(dst_vma)) {
      err = -ENOENT;
      break;
    }
    const vm_start = yield* load(dst_vma.vm_start);
    const vm_end = yield* load(dst_vma.vm_end);
    const from = Math.max(vm_start, start);
    addr = Math.min(vm_end, end);
    yield* uffd_wp_range(dst_vma, from, addr - from, enable_wp);
    err = 0;
  }
  yield* mmap_read_unlock(mm);
  return err;
}

/**
 * Both VMAs, with what keeps them.
 * @context takes mmap_lock for read, and holds it if it finds them
 * @kernel 6.12 mm/userfaultfd.c uffd_move_lock: adapted (mmap_lock, as without per-VMA locks)
 */
function* uffd_move_lock(
  mm: Mm,
  dst_start: number,
  src_start: number,
): Path<{ dst_vma: Vma; src_vma: Vma } | undefined> {
  yield* mmap_read_lock(mm);
  const dst_vma = yield* find_vma(mm, dst_start);
  const src_vma = yield* find_vma(mm, src_start);
  if (dst_vma !== undefined && src_vma !== undefined) return { dst_vma, src_vma };
  yield* mmap_read_unlock(mm);
  return undefined;
}

const VM_ACCESS_FLAGS = VM.READ | VM.WRITE;

/** @context mmap_lock held @kernel 6.12 mm/userfaultfd.c validate_move_areas: adapted (anonymous memory) */
function* validate_move_areas(ctx: UserfaultfdCtx, src_vma: Vma, dst_vma: Vma): Path<boolean> {
  const src_flags = yield* load(src_vma.vm_flags);
  const dst_flags = yield* load(dst_vma.vm_flags);
  const differ = src_flags ^ dst_flags;
  if ((differ & (VM_ACCESS_FLAGS | VM.LOCKED)) !== 0) return false;
  if ((src_flags & VM.WRITE) === 0 || ((src_flags | dst_flags) & VM.SHARED) !== 0) return false;
  return dst_vma.vm_userfaultfd_ctx === ctx;
}

/**
 * UFFDIO_MOVE: moves the pages of [src_start, src_start + len) to dst_start, without a copy: they must be exclusive, and
 * nothing may be mapped there. Returns how many it moved, or a negative error number if the first could not be.
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 mm/userfaultfd.c move_pages: adapted (small folios; no holes; both ranges lie in one VMA each)
 */
export function* move_pages(
  ctx: UserfaultfdCtx,
  dst_start: number,
  src_start: number,
  len: number,
): Path<number> {
  const { mm } = ctx;
  const vmas = yield* uffd_move_lock(mm, dst_start, src_start);
  if (vmas === undefined) return -ENOENT;
  const { dst_vma, src_vma } = vmas;
  let err = 0;
  let moved = 0;
  if (!(yield* validate_move_areas(ctx, src_vma, dst_vma))) err = -EINVAL;
  while (err === 0 && moved < len) {
    const src_pmd = pmd_offset(mm, src_start + moved);
    const dst_pmd = pmd_offset(mm, dst_start + moved);
    if (pmd_none(yield* pmdp_get_lockless(src_pmd))) err = -ENOENT;
    else if (!(yield* pte_alloc(mm, dst_pmd))) err = -ENOMEM;
    else err = yield* move_pages_pte(mm, dst_pmd, src_pmd, dst_vma, dst_start + moved, src_start + moved);
    if (err === -EAGAIN) err = 0;
    else if (err === 0) moved += PAGE_SIZE;
  }
  yield* mmap_read_unlock(mm);
  return moved > 0 ? moved : err;
}
