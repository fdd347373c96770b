// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add, clearBits, load, setBits, store, testAndSetBits, testBits, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { EFAULT, EAGAIN, EINVAL, ENOMEM } from '../include/errno.js';
import { mmap_write_lock, mmap_write_unlock } from '../include/mmap_lock.js';
import { PG, VM, VM_SPECIAL, type Folio, type Mm, type Vma } from '../include/mm_types.js';
import {
  PAGE_SIZE,
  pmd_addr_end,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  pte_offset_map_lock,
  pte_present,
  pte_unmap_unlock,
  ptep_get,
} from '../include/pgtable.js';
import { current } from '../kernel.js';
import { __mm_populate } from './gup-populate.js';
import { vm_normal_page } from './memory.js';
import { vma_modify_flags } from './vma-merge.js';
import { vma_find, vma_next, vma_prev } from './vma-tree.js';

/**
 * One VM_LOCKED mapping more of a folio: reclaim leaves it alone from the first one on.
 * @context PTL held
 * @kernel 6.12 mm/mlock.c mlock_folio: adapted (__mlock_folio() folded in: at once, not in a per-CPU batch)
 */
export function* mlock_folio(folio: Folio): Path {
  yield* testAndSetBits(folio.flags, PG.mlocked);
  if (yield* testBits(folio.flags, PG.unevictable)) {
    yield* add(folio.mlock_count!, 1);
    return;
  }
  yield* setBits(folio.flags, PG.unevictable);
  yield* store(folio.mlock_count!, 1);
}

/** As {@link mlock_folio}, of a folio that nobody else knows. @context PTL held @kernel 6.12 mm/mlock.c mlock_new_folio: adapted (at once, not in a per-CPU batch) */
export function* mlock_new_folio(folio: Folio): Path {
  yield* setBits(folio.flags, PG.mlocked);
  yield* setBits(folio.flags, PG.unevictable);
  yield* store(folio.mlock_count!, 1);
}

/**
 * One VM_LOCKED mapping less.
 * @context PTL held
 * @kernel 6.12 mm/mlock.c munlock_folio: adapted (__munlock_folio() folded in: at once, not in a per-CPU batch)
 */
export function* munlock_folio(folio: Folio): Path {
  const unevictable = yield* testBits(folio.flags, PG.unevictable);
  if (unevictable) {
    const count = yield* load(folio.mlock_count!);
    if (count > 0) yield* store(folio.mlock_count!, count - 1);
    if (count > 1) return;
  }
  yield* clearBits(folio.flags, PG.mlocked | PG.unevictable);
}

/** A mapping was added. Not a step where nothing is locked. @context PTL held @kernel 6.12 mm/internal.h mlock_vma_folio: faithful */
export function* mlock_vma_folio(folio: Folio, vma: Vma): Path {
  if (current.kernel.options.mlock !== true) return;
  if (((yield* load(vma.vm_flags)) & (VM.LOCKED | VM_SPECIAL)) === VM.LOCKED) yield* mlock_folio(folio);
}

/** A mapping was removed. Not a step where nothing is locked. @context PTL held @kernel 6.12 mm/internal.h munlock_vma_folio: faithful */
export function* munlock_vma_folio(folio: Folio, vma: Vma): Path {
  if (current.kernel.options.mlock !== true) return;
  if ((yield* load(vma.vm_flags)) & VM.LOCKED) yield* munlock_folio(folio);
}

/** @context mmap_lock held for write @kernel 6.12 mm/mlock.c mlock_pte_range: adapted (small folios) */
function* mlock_pte_range(pmdp: Cell, start: number, end: number, locks: boolean): Path {
  const mapped = yield* pte_offset_map_lock(pmdp, start);
  if (mapped === undefined) return;
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const ptent = yield* ptep_get(
      current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + addr - start),
    );
    if (!pte_present(ptent)) continue;
    const folio = vm_normal_page(ptent);
    if (folio === undefined) continue;
    if (locks) yield* mlock_folio(folio);
    else yield* munlock_folio(folio);
  }
  yield* pte_unmap_unlock(mapped.ptl);
}

/**
 * Counts the lock of the VMA in the pages that it maps already, or takes it off them. Meanwhile the VMA is VM_IO as well,
 * which tells rmap walks and migration not to count the lock a second time.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/mlock.c mlock_vma_pages_range: faithful
 */
function* mlock_vma_pages_range(vma: Vma, start: number, end: number, newflags: number): Path {
  const locks = (newflags & VM.LOCKED) !== 0;
  yield* write(vma.vm_flags, locks ? newflags | VM.IO : newflags);
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pmdp = pmd_offset(vma.vm_mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (!pmd_none(pmd) && !pmd_leaf(pmd)) yield* mlock_pte_range(pmdp, addr, next, locks);
  }
  if (locks) yield* write(vma.vm_flags, newflags);
}

/**
 * Locks or unlocks a part of a VMA; returns the VMA that has it then, or a negative error number.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/mlock.c mlock_fixup: adapted (no accounting)
 */
function* mlock_fixup(
  vma: Vma,
  prev: Vma | undefined,
  start: number,
  end: number,
  newflags: number,
): Path<Vma | number> {
  const oldflags = yield* load(vma.vm_flags);
  if (newflags === oldflags || oldflags & VM_SPECIAL) return vma;
  const modified = yield* vma_modify_flags(prev, vma, start, end, newflags);
  if (typeof modified === 'number') return modified;
  if (newflags & oldflags & VM.LOCKED) yield* write(modified.vm_flags, newflags);
  else yield* mlock_vma_pages_range(modified, start, end, newflags);
  return modified;
}

/** @context mmap_lock held for write @kernel 6.12 mm/mlock.c apply_vma_lock_flags: faithful */
function* apply_vma_lock_flags(mm: Mm, start: number, len: number, flags: number): Path<number> {
  const end = start + len;
  if (end < start) return -EINVAL;
  if (end === start) return 0;
  let vma = yield* vma_find(mm, start, start + 1);
  if (vma === undefined) return -ENOMEM;
  const vm_start = yield* load(vma.vm_start);
  let prev: Vma | undefined = start > vm_start ? vma : yield* vma_prev(mm, vm_start);
  let nstart = start;
  let tmp = vm_start;
  while (vma !== undefined) {
    const from: number = yield* load(vma.vm_start);
    if (from >= end) break;
    if (from !== tmp) return -ENOMEM;
    const newflags: number = ((yield* load(vma.vm_flags)) & ~VM.LOCKED) | flags;
    tmp = Math.min(yield* load(vma.vm_end), end);
    const fixed: Vma | number = yield* mlock_fixup(vma, prev, nstart, tmp, newflags);
    if (typeof fixed === 'number') return fixed;
    prev = fixed;
    tmp = yield* load(fixed.vm_end); // vma_iter_end()
    nstart = tmp;
    vma = yield* vma_next(mm, tmp);
  }
  return tmp < end ? -ENOMEM : 0;
}

/** What POSIX wants of mlock(). @kernel 6.12 mm/mlock.c __mlock_posix_error_return: faithful */
function __mlock_posix_error_return(retval: number): number {
  if (retval === -EFAULT) return -ENOMEM;
  return retval === -ENOMEM ? -EAGAIN : retval;
}

/**
 * Locks [start, start + len): its pages are there when this returns, and stay. Returns 0 or a negative error number.
 * @context may sleep; takes mmap_lock
 * @kernel 6.12 mm/mlock.c do_mlock: adapted (no limits)
 */
export function* do_mlock(mm: Mm, start: number, len: number): Path<number> {
  yield* mmap_write_lock(mm);
  const error = yield* apply_vma_lock_flags(mm, start, len, VM.LOCKED);
  yield* mmap_write_unlock(mm);
  if (error !== 0) return error;
  return __mlock_posix_error_return(yield* __mm_populate(mm, start, len));
}

/** Takes the lock off [start, start + len). @context may sleep; takes mmap_lock @kernel 6.12 mm/mlock.c SYSCALL_DEFINE2(munlock): adapted (of any mm) */
export function* munlock(mm: Mm, start: number, len: number): Path<number> {
  yield* mmap_write_lock(mm);
  const ret = yield* apply_vma_lock_flags(mm, start, len, 0);
  yield* mmap_write_unlock(mm);
  return ret;
}
