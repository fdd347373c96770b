// SPDX-License-Identifier: GPL-2.0-only
/** mm/mmap.c: exec moves the stack down. */
import type { Path } from '../../core/path.js';
import { load, write } from '../../core/primitives.js';
import { EFAULT, ENOMEM } from '../include/errno.js';
import { mmap_assert_write_locked } from '../include/lockdep.js';
import type { Vma } from '../include/mm_types.js';
import { free_pgd_range } from './memory.js';
import { tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';
import { move_page_tables } from './mremap.js';
import { anon_vma_lock_write, anon_vma_unlock_write } from './rmap-anon_vma.js';
import { USER_PGTABLES_CEILING } from './vma.js';
import { vma_next } from './vma-tree.js';

/**
 * Moves a VMA down by `shift` pages: it is made to cover both places, the entries are moved without the rmap locks, and
 * it is shrunk to the new place. Meanwhile rmap walks look at the new place for what may still be at the old one.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/mmap.c relocate_vma_down: adapted (vma_expand() and vma_shrink() folded in)
 */
export function* relocate_vma_down(vma: Vma, shift: number): Path<number> {
  const mm = vma.vm_mm;
  mmap_assert_write_locked(mm); // vma_expand()
  const old_start = yield* load(vma.vm_start);
  const old_end = yield* load(vma.vm_end);
  const length = old_end - old_start;
  const new_start = old_start - shift;
  const new_end = old_end - shift;
  if ((yield* vma_next(mm, new_start)) !== vma) return -EFAULT;
  const anon_vma = yield* load(vma.anon_vma);
  yield* anon_vma_lock_write(anon_vma);
  yield* write(vma.vm_start, new_start);
  yield* anon_vma_unlock_write(anon_vma);
  if ((yield* move_page_tables(vma, old_start, new_start, length, false)) !== length) return -ENOMEM;
  const next = yield* vma_next(mm, old_end);
  const ceiling = next === undefined ? USER_PGTABLES_CEILING : yield* load(next.vm_start);
  const tlb = yield* tlb_gather_mmu(mm);
  yield* free_pgd_range(tlb, mm, Math.max(new_end, old_start), old_end, new_end, ceiling);
  yield* tlb_finish_mmu(tlb);
  yield* anon_vma_lock_write(anon_vma);
  yield* write(vma.vm_end, new_end);
  yield* anon_vma_unlock_write(anon_vma);
  return 0;
}
