// SPDX-License-Identifier: MIT
import type { Cell } from '../core/system.js';
import type { Kernel } from '../linux/kernel.js';
import type { Mm } from '../linux/include/mm_types.js';
import { flushBatchedIsPending } from '../linux/mm/rmap-batch.js';
import { frameOf, PTE, pfnOf, showEntry } from '../machine/pte.js';

/**
 * TLB-PERM: a TLB entry names the frame that the page table names, with no more permission, unless a flush is still to
 * come. One is to come while somebody holds mmap_lock, the page table's lock or the PMD's, has a gather open
 * (tlb_flush_pending) or a batched flush outstanding (tlb_flush_batched): who changed an entry flushes before he lets
 * the last of these go.
 */
export function tlbPermission(kernel: Kernel): void {
  const { machine, system, mms, mem_map } = kernel;
  const flushToCome = (mm: Mm): boolean =>
    mm.mmap_lock.count.value !== 0 ||
    mm.page_table_lock.value !== 0 ||
    mm.tlb_flush_pending.value !== 0 ||
    flushBatchedIsPending(mm.tlb_flush_batched.value);

  for (const mm of mms) {
    const entries = mm.space.cpus.flatMap((cpu) =>
      (machine.tlb[cpu]?.[mm.number] ?? []).map((cell, page) => ({ cell, page })),
    );
    if (entries.length === 0) continue;
    const { ptrsPerPte } = machine.options;
    const watched: Cell[] = [
      ...entries.map(({ cell }) => cell),
      mm.mmap_lock.count,
      mm.page_table_lock,
      mm.tlb_flush_pending,
      mm.tlb_flush_batched,
      ...mm.pmd,
      ...mem_map.flatMap(({ ptl, frame }) => [ptl, ...frame.pte, ...frame.pteHigh]),
    ];
    system.invariants.push({
      property: 'TLB-PERM',
      when: 'always',
      cells: watched,
      excuses: [
        mm.mmap_lock.count,
        mm.page_table_lock,
        mm.tlb_flush_pending,
        ...mem_map.map(({ ptl }) => ptl),
      ],
      check() {
        if (flushToCome(mm)) return undefined;
        for (const { cell, page } of entries) {
          const cached = cell.value;
          if (cached === 0) continue;
          const pmd = mm.pmd[Math.floor(page / ptrsPerPte)]!.value;
          if ((pmd & (PTE.PRESENT | PTE.PSE)) === PTE.PRESENT && mem_map[pfnOf(pmd)]!.ptl.value !== 0)
            continue;
          const leaf = machine.leaf(mm.space, page);
          const more =
            leaf === 0 ||
            frameOf(leaf) !== frameOf(cached) ||
            ((cached & PTE.RW) !== 0 && (leaf & PTE.RW) === 0);
          if (more)
            return `${cell.name} = ${showEntry(cached)}, the page table says ${showEntry(leaf)}, and nobody is about to flush`;
        }
        return undefined;
      },
    });
  }
}
