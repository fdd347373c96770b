// SPDX-License-Identifier: MIT
import type { Kernel } from '../linux/kernel.js';
import { VMA } from '../linux/mm/vma-tree.js';

/**
 * ANON-VMA-SUM at the end, where there are chains: an anon_vma counts the links to it, the VMAs that it is the own one of,
 * and the anon_vmas with links whose parent it is.
 */
export function anonVmaBalance({ system, mms, anon_vma_pool: pool }: Kernel): string[] {
  if (pool === undefined) return [];
  system.invariants.push({
    property: 'ANON-VMA-SUM',
    when: 'end',
    kind: 'leak',
    cells: [],
    check() {
      const links = pool.map(() => 0);
      const owned = pool.map(() => 0);
      const children = pool.map(() => 0);
      for (const { vmas } of mms)
        for (const { attached, anon_vma, anon_vma_chain: chain } of vmas) {
          if (attached.value === VMA.FREE) continue;
          if (anon_vma.value !== 0) owned[anon_vma.value]!++;
          for (let i = 0; i < chain!.length.value; i++) links[chain!.anon_vma[i]!.value]!++;
        }
      for (const anon_vma of pool)
        if (anon_vma !== undefined && anon_vma.rb_root.value > 0) children[anon_vma.parent.value]!++;
      for (const anon_vma of pool) {
        if (anon_vma === undefined || anon_vma.refcount.value === 0) continue;
        const { number, rb_root, num_active_vmas, num_children } = anon_vma;
        for (const [cell, count] of [
          [rb_root, links[number]],
          [num_active_vmas, owned[number]],
          [num_children, children[number]],
        ] as const)
          if (cell.value !== count) return `${cell.name} is ${cell.value}, and it should be ${count}`;
      }
      return undefined;
    },
  });
  return ['ANON-VMA-SUM'];
}
