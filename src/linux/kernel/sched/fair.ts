// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import { load } from '../../../core/primitives.js';
import { mmap_read_trylock, mmap_read_unlock } from '../../include/mmap_lock.js';
import { VM } from '../../include/mm_types.js';
import { current } from '../../kernel.js';
import { change_prot_numa } from '../../mm/mempolicy.js';
import { vma_next } from '../../mm/vma-tree.js';

/**
 * The NUMA scan: what a task does now and then on its way to user mode. Gives up if mmap_lock is taken.
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 kernel/sched/fair.c task_numa_work: adapted (one pass over all VMAs; no offset, no statistics, no rate limit)
 */
export function* task_numa_work(): Path {
  const { mm } = current;
  if (!(yield* mmap_read_trylock(mm))) return;
  let vma = yield* vma_next(mm, 0);
  while (vma !== undefined) {
    const vm_flags = yield* load(vma.vm_flags);
    const end = yield* load(vma.vm_end);
    const skipped = (vm_flags & (VM.READ | VM.WRITE)) === 0 || (vm_flags & VM.MIXEDMAP) !== 0;
    if (!skipped) yield* change_prot_numa(vma, yield* load(vma.vm_start), end);
    vma = yield* vma_next(mm, end);
  }
  yield* mmap_read_unlock(mm);
}
