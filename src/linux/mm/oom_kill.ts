// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, setBits, testBits } from '../../core/primitives.js';
import { EAGAIN } from '../include/errno.js';
import { vma_is_anonymous } from '../include/mm.js';
import { mmap_read_lock, mmap_read_trylock, mmap_read_unlock } from '../include/mmap_lock.js';
import { MMF_OOM_SKIP, MMF_UNSTABLE, VM, type Mm } from '../include/mm_types.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start_nonblock,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { unmap_page_range } from './memory.js';
import { tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';
import { vma_next } from './vma-tree.js';

/**
 * Takes the pages of a victim, VMA by VMA, without waiting for anybody: a VMA whose subscribers can't be had at once is
 * left alone. Returns whether there was none.
 * @context mmap_lock held for read
 * @kernel 6.12 mm/oom_kill.c __oom_reap_task_mm: adapted (no hugetlb)
 */
export function* __oom_reap_task_mm(mm: Mm): Path<boolean> {
  let ret = true;
  yield* setBits(mm.flags, MMF_UNSTABLE);
  let vma = yield* vma_next(mm, 0);
  while (vma !== undefined) {
    const vm_flags = yield* load(vma.vm_flags);
    const vm_end = yield* load(vma.vm_end);
    if (!(vm_flags & VM.PFNMAP) && ((yield* vma_is_anonymous(vma)) || !(vm_flags & VM.SHARED))) {
      const range = mmu_notifier_range_init(MMU_NOTIFY.UNMAP, 0, mm, yield* load(vma.vm_start), vm_end);
      const tlb = yield* tlb_gather_mmu(mm);
      if ((yield* mmu_notifier_invalidate_range_start_nonblock(range)) !== 0) {
        yield* tlb_finish_mmu(tlb);
        ret = false;
      } else {
        yield* unmap_page_range(tlb, vma, range.start, range.end);
        yield* mmu_notifier_invalidate_range_end(range);
        yield* tlb_finish_mmu(tlb);
      }
    }
    vma = yield* vma_next(mm, vm_end);
  }
  return ret;
}

/**
 * Reaps an mm if that needs no waiting. Returns false if something is left to be tried again.
 * @context does not wait for mmap_lock
 * @kernel 6.12 mm/oom_kill.c oom_reap_task_mm: faithful
 */
export function* oom_reap_task_mm(mm: Mm): Path<boolean> {
  if (!(yield* mmap_read_trylock(mm))) return false;
  let ret = true;
  // Under mmap_lock: exit_mmap() sets it before it takes that for write.
  if (!(yield* testBits(mm.flags, MMF_OOM_SKIP))) ret = yield* __oom_reap_task_mm(mm);
  yield* mmap_read_unlock(mm);
  return ret;
}

/** @kernel 6.12 mm/oom_kill.c MAX_OOM_REAP_RETRIES: faithful */
export const MAX_OOM_REAP_RETRIES = 10;

/**
 * What the oom_reaper thread does for one victim: a few attempts, then it is left to itself and another one is looked
 * for. Returns whether all of it was reaped.
 * @context may sleep, but waits for nobody
 * @kernel 6.12 mm/oom_kill.c oom_reap_task: adapted (the number of attempts is given; no time passes between them)
 */
export function* oom_reap_task(mm: Mm, retries = MAX_OOM_REAP_RETRIES): Path<boolean> {
  let attempts = 0;
  let reaped = false;
  while (attempts++ < retries && !reaped) reaped = yield* oom_reap_task_mm(mm);
  yield* setBits(mm.flags, MMF_OOM_SKIP);
  return reaped;
}

/**
 * process_mrelease(): user space has what the reaper would do done for a process that was killed. Returns 0 or -EAGAIN.
 * @context may sleep
 * @kernel 6.12 mm/oom_kill.c process_mrelease: adapted (the mm of a process that was killed is given)
 */
export function* process_mrelease(mm: Mm): Path<number> {
  let ret = 0;
  yield* mmap_read_lock(mm);
  if (!(yield* testBits(mm.flags, MMF_OOM_SKIP)) && !(yield* __oom_reap_task_mm(mm))) ret = -EAGAIN;
  yield* mmap_read_unlock(mm);
  return ret;
}
