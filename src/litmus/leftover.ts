// SPDX-License-Identifier: MIT
import type { Kernel } from '../linux/kernel.js';
import type { FolioBatch } from '../linux/include/pagevec.js';
import { VMA } from '../linux/mm/vma-tree.js';
import { Use } from '../machine/machine.js';

/** What is in use though no process is there: frames but for those in per-CPU batches, inodes, anon_vmas, VMAs. */
export function leftover({
  mem_map,
  zero_page,
  cpu_fbatches,
  inodes = [],
  anon_vma_pool = [],
  mms,
}: Kernel): string[] {
  const free: readonly number[] = [Use.FREE, Use.DEVICE];
  const batched = new Set<number>();
  for (const batches of cpu_fbatches ?? [])
    for (const { folios } of Object.values(batches) as FolioBatch[])
      for (const { value } of folios) batched.add(value - 1);
  return [
    ...mem_map
      .filter((page) => page !== zero_page && !free.includes(page.frame.use.value) && !batched.has(page.pfn))
      .map(({ pfn, frame: { use } }) => `f${pfn} is ${use.type.show(use.value)}`),
    ...inodes
      .filter((inode) => inode !== undefined && inode.f_count.value !== (inode.f_op === undefined ? 0 : 1))
      .map(({ f_count }) => `${f_count.name} is ${f_count.value}`),
    ...anon_vma_pool
      .filter((anon_vma) => anon_vma !== undefined && anon_vma.refcount.value !== 0)
      .map(({ refcount }) => `${refcount.name} is ${refcount.value}`),
    ...mms
      .flatMap(({ vmas }) => vmas)
      .filter(({ attached }) => attached.value !== VMA.FREE)
      .map(({ attached }) => `${attached.name} is ${attached.value}`),
  ];
}
