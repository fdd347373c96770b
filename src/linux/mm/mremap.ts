// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, store } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { flush_tlb_mm_range } from '../arch/tlb.js';
import { vmaFile } from '../fs/file_table.js';
import { EFAULT, EINVAL, ENOMEM } from '../include/errno.js';
import { mmap_write_lock, mmap_write_unlock } from '../include/mmap_lock.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { VM, type Inode, type Mm, type Vma } from '../include/mm_types.js';
import {
  PAGE_SIZE,
  pmd_addr_end,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  type Pte,
  pte_mksoft_dirty,
  pte_none,
  pte_offset_map_lock,
  pte_offset_map_nolock,
  pte_present,
  pte_unmap,
  pte_unmap_unlock,
  ptep_get,
  ptep_get_and_clear,
  set_pte,
} from '../include/pgtable.js';
import { current } from '../kernel.js';
import { down_write, up_write } from '../kernel/locking/rwsem.js';
import { SINGLE_DEPTH_NESTING, spin_lock_nested, spin_unlock } from '../kernel/locking/spinlock.js';
import { pte_alloc } from './memory-fault.js';
import { do_munmap, find_vma } from './mmap.js';
import { anon_vma_lock_write, anon_vma_unlock_write } from './rmap-anon_vma.js';
import { flush_tlb_batched_pending } from './rmap-batch.js';
import { copy_vma } from './vma-merge.js';
import { vma_next, vma_prev } from './vma-tree.js';
import { pmd_alloc } from './memory-pmd.js';

/** What an rmap walk would hold. */
interface RmapLocks {
  readonly file: Inode | undefined;
  readonly anon_vma: number;
}

/**
 * Keeps rmap walks out while entries move, since one that has passed the new place would miss them at the old one.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/mremap.c take_rmap_locks: faithful
 */
function* take_rmap_locks(vma: Vma): Path<RmapLocks> {
  const file = yield* vmaFile(vma);
  const anon_vma = yield* load(vma.anon_vma);
  if (file !== undefined) yield* down_write(file.i_mmap_rwsem);
  if (anon_vma !== 0) yield* anon_vma_lock_write(anon_vma);
  return { file, anon_vma };
}

/** @kernel 6.12 mm/mremap.c drop_rmap_locks: faithful */
function* drop_rmap_locks({ file, anon_vma }: RmapLocks): Path {
  if (anon_vma !== 0) yield* anon_vma_unlock_write(anon_vma);
  if (file !== undefined) yield* up_write(file.i_mmap_rwsem);
}

/** What is moved counts as written to. @kernel 6.12 mm/mremap.c move_soft_dirty_pte: faithful */
const move_soft_dirty_pte = (pte: Pte): Pte => pte_mksoft_dirty(pte);

/**
 * Moves the entries of [old_addr, old_end), which one table has, to another table. The TLB is flushed under both PTLs:
 * under the old one for who cleans the page, under the new one so that nobody unmaps it there while a TLB still has it
 * at the old place.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/mremap.c move_ptes: adapted (no userfaultfd)
 */
function* move_ptes(
  vma: Vma,
  old_pmd: Cell,
  old_addr: number,
  old_end: number,
  new_pmd: Cell,
  new_addr: number,
  need_rmap_locks: boolean,
): Path<boolean> {
  const mm = vma.vm_mm;
  const { kernel } = current;
  const locks = need_rmap_locks ? yield* take_rmap_locks(vma) : undefined;
  const from = yield* pte_offset_map_lock(old_pmd, old_addr);
  const to = from === undefined ? undefined : yield* pte_offset_map_nolock(new_pmd, new_addr);
  if (from !== undefined && to === undefined) yield* pte_unmap_unlock(from.ptl);
  if (from !== undefined && to !== undefined) {
    if (to.ptl !== from.ptl) yield* spin_lock_nested(to.ptl, SINGLE_DEPTH_NESTING);
    yield* flush_tlb_batched_pending(mm);
    let force_flush = false;
    for (let i = 0; i < old_end - old_addr; i += PAGE_SIZE) {
      const old_pte = kernel.pte(from.ptep.table.number, from.ptep.index + i);
      if (pte_none(yield* ptep_get(old_pte))) continue;
      const pte = yield* ptep_get_and_clear(old_pte);
      if (pte_present(pte)) force_flush = true;
      yield* set_pte(kernel.pte(to.ptep.table.number, to.ptep.index + i), move_soft_dirty_pte(pte));
    }
    if (force_flush) yield* flush_tlb_mm_range(mm, old_addr, old_end);
    if (to.ptl !== from.ptl) yield* spin_unlock(to.ptl);
    yield* pte_unmap();
    yield* pte_unmap_unlock(from.ptl);
  }
  if (locks !== undefined) yield* drop_rmap_locks(locks);
  return from !== undefined && to !== undefined;
}

/** How far one step may go without leaving either table. @kernel 6.12 mm/mremap.c get_extent: adapted (upper levels folded) */
const get_extent = (old_addr: number, old_end: number, new_addr: number): number =>
  Math.min(pmd_addr_end(old_addr, old_end) - old_addr, pmd_addr_end(new_addr, Infinity) - new_addr);

/**
 * Moves the entries of [old_addr, old_addr + len) to new_addr. Returns how far it got: less than `len` without memory.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/mremap.c move_page_tables: adapted (entry by entry, whole tables are not moved; upper levels folded)
 */
export function* move_page_tables(
  vma: Vma,
  old_addr: number,
  new_addr: number,
  len: number,
  need_rmap_locks: boolean,
): Path<number> {
  const mm = vma.vm_mm;
  const old_end = old_addr + len;
  const range = mmu_notifier_range_init(MMU_NOTIFY.UNMAP, 0, mm, old_addr, old_end);
  yield* mmu_notifier_invalidate_range_start(range);
  let extent = len;
  let done = 0;
  let failed = false;
  for (; !failed && old_addr + done < old_end; done += failed ? 0 : extent) {
    extent = get_extent(old_addr + done, old_end, new_addr + done);
    const old_pmd = pmd_offset(mm, old_addr + done);
    const new_pmd = pmd_offset(mm, new_addr + done);
    for (;;) {
      if (pmd_none(yield* pmdp_get_lockless(old_pmd))) break;
      yield* pmd_alloc(mm, new_addr + done); // alloc_new_pmd()
      failed = !(yield* pte_alloc(mm, new_pmd));
      if (failed) break;
      const from = old_addr + done;
      if (yield* move_ptes(vma, old_pmd, from, from + extent, new_pmd, new_addr + done, need_rmap_locks))
        break;
    }
  }
  yield* mmu_notifier_invalidate_range_end(range);
  return done;
}

/**
 * Moves a part of a VMA: a VMA for the new place, then the entries, then the old place is unmapped. What is left of the
 * old VMA keeps VM_ACCOUNT, which is hidden from the unmapping.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/mremap.c move_vma: adapted (same length; no MREMAP_DONTUNMAP, KSM, limits)
 */
function* move_vma(source: Vma, old_addr: number, len: number, new_addr: number): Path<number> {
  const mm = source.vm_mm;
  const vm_flags = yield* load(source.vm_flags);
  const vm_pgoff = yield* load(source.vm_pgoff);
  const new_pgoff = vm_pgoff + old_addr - (yield* load(source.vm_start));
  const copied = yield* copy_vma(source, new_addr, len, new_pgoff);
  if (copied === undefined) return -ENOMEM;
  const { vma, new_vma, need_rmap_locks } = copied;
  const moved_len = yield* move_page_tables(vma, old_addr, new_addr, len, need_rmap_locks);
  const failed = moved_len < len;
  let old_vma = vma;
  let unmapped = old_addr;
  if (failed) {
    // Back again, for which the tables are there, and then the new place goes.
    yield* move_page_tables(new_vma, new_addr, old_addr, moved_len, true);
    old_vma = new_vma;
    unmapped = new_addr;
  }
  let account_start = false;
  let account_end = false;
  if (vm_flags & VM.ACCOUNT) {
    yield* store(old_vma.vm_flags, (yield* load(old_vma.vm_flags)) & ~VM.ACCOUNT);
    account_start = (yield* load(old_vma.vm_start)) < unmapped;
    account_end = (yield* load(old_vma.vm_end)) > unmapped + len;
  }
  const prevented = yield* do_munmap(mm, unmapped, len);
  if (prevented !== 0) account_start = account_end = false;
  if (account_start) yield* account(yield* vma_prev(mm, unmapped));
  if (account_end) yield* account(yield* vma_next(mm, unmapped + len));
  return failed ? -ENOMEM : 0;
}

/** What was split off counts as accounted memory again. @context mmap_lock held for write */
function* account(vma: Vma | undefined): Path {
  if (vma !== undefined) yield* store(vma.vm_flags, (yield* load(vma.vm_flags)) | VM.ACCOUNT);
}

/**
 * Moves [addr, addr + len), a part of one VMA, to new_addr, where whatever is mapped goes first. Returns 0 or a negative
 * error number.
 * @context may sleep; takes mmap_lock for write
 * @kernel 6.12 mm/mremap.c SYSCALL_DEFINE5(mremap): adapted (MREMAP_MAYMOVE | MREMAP_FIXED, the length stays; no limits)
 */
export function* mremap(mm: Mm, addr: number, len: number, new_addr: number): Path<number> {
  if (len === 0) return -EINVAL;
  yield* mmap_write_lock(mm);
  const ret = (yield* find_vma(mm, addr)) === undefined ? -EFAULT : yield* mremap_to(mm, addr, len, new_addr);
  yield* mmap_write_unlock(mm);
  return ret;
}

/** @context mmap_lock held for write @kernel 6.12 mm/mremap.c mremap_to: adapted (the length stays; vma_to_resize() folded in; no limits) */
function* mremap_to(mm: Mm, addr: number, len: number, new_addr: number): Path<number> {
  if (addr + len > new_addr && new_addr + len > addr) return -EINVAL;
  const ret = yield* do_munmap(mm, new_addr, len);
  if (ret !== 0) return ret;
  // The unmapping may have been of a part of it: vma_to_resize() looks again.
  const vma = yield* find_vma(mm, addr);
  if (vma === undefined) return -EFAULT;
  const vm_end = yield* load(vma.vm_end);
  if (len > vm_end - addr) return -EFAULT;
  return yield* move_vma(vma, addr, len, new_addr);
}
