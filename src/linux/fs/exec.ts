// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { mmap_write_lock, mmap_write_unlock } from '../include/mmap_lock.js';
import type { Vma } from '../include/mm_types.js';
import { relocate_vma_down } from '../mm/mmap-relocate.js';

/**
 * exec() has written the arguments to a temporary stack, and moves it to where it belongs, `shift` pages below.
 * @context may sleep; takes mmap_lock for write
 * @kernel 6.12 fs/exec.c setup_arg_pages: adapted (the relocation; flags and size stay)
 */
export function* setup_arg_pages(vma: Vma, shift: number): Path<number> {
  yield* mmap_write_lock(vma.vm_mm);
  const ret = yield* relocate_vma_down(vma, shift);
  yield* mmap_write_unlock(vma.vm_mm);
  return ret;
}
