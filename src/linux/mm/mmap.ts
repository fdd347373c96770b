// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { current, type Kernel } from '../kernel.js';
import { load, store } from '../../core/primitives.js';
import { mmap_read_unlock, mmap_write_downgrade, mmap_write_lock } from '../include/mmap_lock.js';
import type { Mm, Vma } from '../include/mm_types.js';
import { free_pgtables, unmap_page_range } from './memory.js';
import { tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';

/**
 * Unmaps a whole VMA: detaches it under the write lock, zaps and frees tables under the downgraded lock.
 * @context may sleep; takes mmap_lock
 * @kernel 6.12 mm/mmap.c do_vmi_align_munmap: adapted (whole VMAs; neighbours' tables are not considered)
 */
export function* munmap(mm: Mm, vma: Vma): Path<number> {
  yield* mmap_write_lock(mm);
  const start = yield* load(vma.vm_start);
  const end = yield* load(vma.vm_end);
  yield* store(vma.attached, 0);
  yield* mmap_write_downgrade(mm);
  yield* unmap_region(mm, start, end);
  yield* mmap_read_unlock(mm);
  return 0;
}

/** @kernel 6.12 mm/mmap.c unmap_region: faithful */
export function* unmap_region(mm: Mm, start: number, end: number): Path {
  const tlb = yield* tlb_gather_mmu(mm);
  yield* unmap_page_range(tlb, mm, start, end);
  yield* free_pgtables(tlb, mm, start, end);
  yield* tlb_finish_mmu(tlb);
}

/** The tree of VMAs is an ordered set; a look-up is one step under mmap_lock. */
export function defineVmaOps(kernel: Kernel) {
  const { system, mms } = kernel;
  return {
    /** The VMA of mm a that contains address b: its number + 1, 0 for none. */
    findVma: system.op({
      name: 'find_vma',
      exec: (a, b) => {
        const found = mms[a]!.vmas.find(
          (vma) => vma.attached.value === 1 && vma.vm_start.value <= b && b < vma.vm_end.value,
        );
        return found === undefined ? 0 : found.number + 1;
      },
      touches: (a, _b, _c, _agent, access) => {
        for (const vma of mms[a]!.vmas) access.reads.push(vma.attached.at, vma.vm_start.at, vma.vm_end.at);
      },
    }),
  };
}

/**
 * The VMA that contains `addr`, or undefined.
 * @context mmap_lock held
 * @kernel 6.12 mm/mmap.c vma_lookup: adapted (the maple tree walk is one step)
 */
export function* find_vma(mm: Mm, addr: number): Path<Vma | undefined> {
  const found = yield* request(current.kernel.op.findVma, mm.number, addr);
  return found === 0 ? undefined : mm.vmas[found - 1]!;
}
