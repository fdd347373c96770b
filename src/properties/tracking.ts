// SPDX-License-Identifier: MIT
import type { Kernel } from '../linux/kernel.js';
import { PTE, pfnOf, showEntry } from '../machine/pte.js';
import { Use } from '../machine/machine.js';

/**
 * UFFDWP: where the page table of a process says that userfaultfd serves the next store, no device may store: its page
 * table and its TLB do not allow it, and no atomic is under way. Judged while the table is not locked.
 */
export function uffdWriteProtected(kernel: Kernel): void {
  const { system, machine, mms, mem_map, devices } = kernel;
  const { ptrsPerPte } = machine.options;
  system.invariants.push({
    property: 'UFFDWP',
    when: 'always',
    cells: [
      ...devices.flatMap(({ pte, tlb, inFlight }) => [...pte, ...tlb, ...inFlight]),
      ...mms.flatMap(({ pmd }) => pmd),
      ...mem_map.flatMap(({ ptl, frame }) => [ptl, ...frame.pte]),
    ],
    check() {
      for (const { name, space, pte, tlb, inFlight } of devices)
        for (let page = 0; page < pte.length; page++) {
          const pmd = mms[space]!.pmd[Math.floor(page / ptrsPerPte)]!.value;
          if ((pmd & (PTE.PRESENT | PTE.PSE)) !== PTE.PRESENT) continue;
          const table = machine.frames[pfnOf(pmd)]!;
          if (table.use.value !== Use.TABLE || mem_map[table.number]!.ptl.value !== 0) continue;
          const entry = machine.entry(table, page % ptrsPerPte);
          if ((entry & PTE.UFFD_WP) === 0) continue;
          const open = [pte[page]!, tlb[page]!].find(({ value }) => (value & PTE.RW) !== 0);
          if (open !== undefined)
            return `${open.name} = ${showEntry(open.value)}, and the entry of ${mms[space]!.name} is uffd-wp`;
          if (inFlight[page]!.value !== 0)
            return `an atomic of ${name} is under way on page ${page}, and the entry of ${mms[space]!.name} is uffd-wp`;
        }
      return undefined;
    },
  });
}
