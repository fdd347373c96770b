// SPDX-License-Identifier: MIT
import type { Cell } from '../core/system.js';
import { type Mm, PG } from '../linux/include/mm_types.js';
import type { Kernel } from '../linux/kernel.js';
import { Use } from '../machine/machine.js';
import { frameOf, PTE, pfnOf, showEntry } from '../machine/pte.js';

/**
 * ANON-EXCL: an entry that allows stores to an anonymous page implies that the page is exclusive, and an exclusive page
 * is mapped once. Judged for pages none of whose page tables is locked: fork changes entries and pages under both locks.
 */
export function anonExclusive(kernel: Kernel): void {
  const { system, machine, mem_map, mms } = kernel;
  const check = (): string | undefined => {
    const entries = mem_map.map(() => 0);
    /** The last writable entry of each frame. */
    const writable: ({ readonly mm: Mm; readonly cell: Cell; readonly entry: number } | undefined)[] = [];
    const locked = new Set<number>();
    for (const mm of mms) {
      for (const { value: pmd } of mm.pmd) {
        if ((pmd & (PTE.PRESENT | PTE.PSE)) !== PTE.PRESENT) continue;
        const table = machine.frames[pfnOf(pmd)]!;
        if (table.use.value !== Use.TABLE) continue;
        const held = mem_map[table.number]!.ptl.value !== 0;
        for (let index = 0; index < table.pte.length; index++) {
          const entry = machine.entry(table, index);
          if ((entry & PTE.PRESENT) === 0 || (entry & PTE.SPECIAL) !== 0) continue;
          const frame = frameOf(entry);
          if (held) locked.add(frame);
          entries[frame]!++;
          if (entry & PTE.RW) writable[frame] = { mm, cell: table.pte[index]!, entry };
        }
      }
    }
    for (const { pfn, flags, frame } of mem_map) {
      if (entries[pfn] === 0 || locked.has(pfn) || frame.use.value !== Use.DATA) continue;
      if ((flags.value & PG.anon) === 0) continue;
      const exclusive = (flags.value & PG.anon_exclusive) !== 0;
      const stores = writable[pfn];
      if (!exclusive && stores !== undefined)
        return `${stores.mm.name}: ${stores.cell.name} = ${showEntry(stores.entry)}, and f${pfn} may be shared (not anon_exclusive)`;
      if (exclusive && entries[pfn]! > 1)
        return `f${pfn} is anon_exclusive, and ${entries[pfn]} entries map it`;
    }
    return undefined;
  };
  system.invariants.push({
    property: 'ANON-EXCL',
    when: 'always',
    cells: [
      ...mem_map.flatMap(({ flags, ptl, frame }) => [flags, ptl, ...frame.pte, ...frame.pteHigh]),
      ...mms.flatMap((mm) => mm.pmd),
    ],
    excuses: mem_map.map(({ ptl }) => ptl),
    check,
  });
}
