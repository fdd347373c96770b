// SPDX-License-Identifier: GPL-2.0-only
/** mm/gup.c: pages are faulted in ahead, for mlock() and MADV_POPULATE. */
import type { Path } from '../../core/path.js';
import { load } from '../../core/primitives.js';
import { EFAULT } from '../include/errno.js';
import { mmap_assert_locked } from '../include/lockdep.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import { VM, VM_ACCESS_FLAGS, type Mm, type Vma } from '../include/mm_types.js';
import { FOLL } from './gup.js';
import { __get_user_pages } from './gup-slow.js';
import { lru_add_drain } from './swap.js';
import { vma_find } from './vma-tree.js';

/**
 * Has the pages of [start, end) of a VMA faulted in, for writing if that breaks COW. Returns how many, or a negative error
 * number if not even the first.
 * @context mmap_lock held; may sleep
 * @kernel 6.12 mm/gup.c populate_vma_page_range: adapted (the lock is never dropped)
 */
export function* populate_vma_page_range(vma: Vma, start: number, end: number): Path<number> {
  const mm = vma.vm_mm;
  mmap_assert_locked(mm);
  const vm_flags = yield* load(vma.vm_flags);
  if (!(vm_flags & VM_ACCESS_FLAGS)) return -EFAULT;
  const how = (vm_flags & (VM.WRITE | VM.SHARED)) === VM.WRITE ? FOLL.WRITE : FOLL.FORCE;
  const { pages, err } = yield* __get_user_pages(mm, start, end - start, FOLL.TOUCH | how);
  yield* lru_add_drain();
  return pages.length > 0 ? pages.length : err;
}

/**
 * Has the pages of [start, end) faulted in, as a load or a store would. Returns how many, or a negative error number if
 * not even the first.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/gup.c faultin_page_range: adapted (the lock is never dropped)
 */
export function* faultin_page_range(mm: Mm, start: number, end: number, write: boolean): Path<number> {
  const gup_flags = FOLL.TOUCH | FOLL.MADV_POPULATE | (write ? FOLL.WRITE : 0);
  const { pages, err } = yield* __get_user_pages(mm, start, end - start, gup_flags);
  yield* lru_add_drain();
  return pages.length > 0 ? pages.length : err;
}

/**
 * Has the pages of [start, start + len) faulted in, up to the first that can't be. Returns 0 or a negative error number.
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 mm/gup.c __mm_populate: adapted (stops at the first error; the lock is never dropped)
 */
export function* __mm_populate(mm: Mm, start: number, len: number): Path<number> {
  const end = start + len;
  yield* mmap_read_lock(mm);
  let ret = 0;
  let nstart = start;
  while (nstart < end) {
    const vma = yield* vma_find(mm, nstart, end);
    if (vma === undefined) break;
    const vm_end = yield* load(vma.vm_end);
    const nend = Math.min(end, vm_end);
    const vm_start = yield* load(vma.vm_start);
    if ((yield* load(vma.vm_flags)) & (VM.IO | VM.PFNMAP)) {
      nstart = nend;
      continue;
    }
    nstart = Math.max(nstart, vm_start);
    ret = yield* populate_vma_page_range(vma, nstart, nend);
    if (ret < 0) break;
    nstart += ret;
    ret = 0;
  }
  yield* mmap_read_unlock(mm);
  return ret;
}
