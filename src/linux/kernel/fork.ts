// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load } from '../../core/primitives.js';
import { flush_tlb_mm } from '../arch/tlb.js';
import { ENOMEM } from '../include/errno.js';
import { mmap_write_lock, mmap_write_lock_nested, mmap_write_unlock } from '../include/mmap_lock.js';
import { VM, type Mm } from '../include/mm_types.js';
import { knob } from '../kernel.js';
import { copy_page_range } from '../mm/memory-fork.js';
import { anon_vma_fork } from '../mm/rmap.js';
import { vm_area_dup, vma_iter_store, vma_next } from '../mm/vma-tree.js';
import { SINGLE_DEPTH_NESTING } from './locking/spinlock.js';

/**
 * fork(): makes the empty `mm` a copy of `oldmm`. The parent's TLBs are flushed once, at the end: until then a CPU may
 * still write through an entry that was writable. Returns 0 or -ENOMEM; then the caller takes `mm` down.
 * @context may sleep; takes mmap_lock of both
 * @kernel 6.12 kernel/fork.c dup_mmap: adapted (VMAs are linked one by one; no files, policies, accounting)
 */
export function* dup_mmap(mm: Mm, oldmm: Mm): Path<number> {
  yield* mmap_write_lock(oldmm);
  yield* mmap_write_lock_nested(mm, SINGLE_DEPTH_NESTING);
  let retval = 0;
  let mpnt = yield* vma_next(oldmm, 0);
  while (mpnt !== undefined) {
    if (!((yield* load(mpnt.vm_flags)) & VM.DONTCOPY)) {
      const tmp = yield* vm_area_dup(mpnt, mm);
      if (tmp === undefined) {
        retval = -ENOMEM;
        break;
      }
      yield* anon_vma_fork(mpnt);
      yield* vma_iter_store(tmp);
      retval = yield* copy_page_range(tmp, mpnt);
      if (retval !== 0) break;
    }
    mpnt = yield* vma_next(oldmm, yield* load(mpnt.vm_end));
  }
  yield* mmap_write_unlock(mm);
  if (knob('fork.flush_tlb') === 'on') yield* flush_tlb_mm(oldmm);
  yield* mmap_write_unlock(oldmm);
  return retval;
}
