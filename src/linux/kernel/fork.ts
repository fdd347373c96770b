// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, store, subAndTest } from '../../core/primitives.js';
import { flush_tlb_mm } from '../arch/tlb.js';
import { ENOMEM } from '../include/errno.js';
import { mmap_write_lock, mmap_write_lock_nested, mmap_write_unlock } from '../include/mmap_lock.js';
import { mmu_notifier_subscriptions_destroy } from '../include/mmu_notifier-hooks.js';
import { mmdrop } from '../include/sched/mm.js';
import { VM, type Mm } from '../include/mm_types.js';
import { get_file, vmaFile } from '../fs/file_table.js';
import { knob } from '../kernel.js';
import { exit_mmap } from '../mm/mmap.js';
import { copy_page_range } from '../mm/memory-fork.js';
import { anon_vma_fork } from '../mm/rmap.js';
import { vm_area_dup, vma_iter_store, vma_next } from '../mm/vma-tree.js';
import { SINGLE_DEPTH_NESTING } from './locking/spinlock.js';

/**
 * fork(): makes the empty `mm` a copy of `oldmm`. The parent's TLBs are flushed once, at the end: until then a CPU may
 * still write through an entry that was writable. Returns 0 or -ENOMEM; then the caller takes `mm` down.
 * @context may sleep; takes mmap_lock of both
 * @kernel 6.12 kernel/fork.c dup_mmap: adapted (VMAs are linked one by one; no policies, accounting)
 */
export function* dup_mmap(mm: Mm, oldmm: Mm): Path<number> {
  yield* mmap_write_lock(oldmm);
  yield* mmap_write_lock_nested(mm, SINGLE_DEPTH_NESTING);
  let retval = 0;
  let mpnt = yield* vma_next(oldmm, 0);
  while (mpnt !== undefined) {
    const vm_flags = yield* load(mpnt.vm_flags);
    if (!(vm_flags & VM.DONTCOPY)) {
      const tmp = yield* vm_area_dup(mpnt, mm);
      if (tmp === undefined) {
        retval = -ENOMEM;
        break;
      }
      if (vm_flags & VM.WIPEONFORK) yield* store(tmp.anon_vma, 0);
      else yield* anon_vma_fork(tmp, mpnt);
      if (vm_flags & VM.LOCKED) yield* store(tmp.vm_flags, vm_flags & ~VM.LOCKED);
      const file = yield* vmaFile(tmp);
      if (file !== undefined) yield* get_file(file);
      yield* vma_iter_store(tmp);
      if (!(vm_flags & VM.WIPEONFORK)) retval = yield* copy_page_range(tmp, mpnt);
      if (retval !== 0) break;
    }
    mpnt = yield* vma_next(oldmm, yield* load(mpnt.vm_end));
  }
  yield* mmap_write_unlock(mm);
  if (knob('fork.flush_tlb') === 'on') yield* flush_tlb_mm(oldmm);
  yield* mmap_write_unlock(oldmm);
  return retval;
}

/**
 * fork() and exec(): makes an mm that has no VMAs a new one.
 * @kernel 6.12 kernel/fork.c mm_init: adapted (what an earlier process leaves behind in the record)
 */
export function* mm_init(mm: Mm): Path {
  const { mm_users, freed, notifier_subscriptions } = mm;
  yield* store(mm.flags, 0); // MMF_HAS_PINNED is not inherited
  if (freed !== undefined) yield* store(freed, 0);
  if (mm_users !== undefined) yield* store(mm_users, 1);
  if (mm_users !== undefined && notifier_subscriptions !== undefined)
    yield* store(notifier_subscriptions.mm_count, 1);
}

/**
 * Drops a user of the mm; the last one takes it down.
 * @context may sleep
 * @kernel 6.12 kernel/fork.c mmput: faithful
 */
export function* mmput(mm: Mm): Path {
  if (yield* subAndTest(mm.mm_users!, 1)) yield* __mmput(mm);
}

/** @context may sleep @kernel 6.12 kernel/fork.c __mmput: adapted (exit_mmap(), and the reference that all users had together where the scenario counts it) */
function* __mmput(mm: Mm): Path {
  yield* exit_mmap(mm);
  if (mm.notifier_subscriptions !== undefined) yield* mmdrop(mm);
}

/**
 * Nobody has the mm any more: it is freed.
 * @context any
 * @kernel 6.12 kernel/fork.c __mmdrop: adapted (what notifiers have of it; the page tables went before)
 */
export function* __mmdrop(mm: Mm): Path {
  yield* mmu_notifier_subscriptions_destroy(mm);
}
