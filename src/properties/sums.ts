// SPDX-License-Identifier: MIT
import type { Cell } from '../core/system.js';
import { Use } from '../machine/machine.js';
import { frameOf, PTE, pfnOf, swapType, SwapType } from '../machine/pte.js';
import { PG } from '../linux/include/mm_types.js';
import type { FolioBatch } from '../linux/include/pagevec.js';
import type { Kernel } from '../linux/kernel.js';
import { GP } from '../linux/kernel/rcu/sync.js';
import { PAGE_MAPPING_KSM } from '../linux/mm/ksm.js';
import { countBacking } from './device-memory.js';
import { SWAP_HAS_CACHE } from '../linux/mm/swapfile.js';

/** How often page tables name each frame, by what the entry holds for it. */
export interface Mapped {
  /** Entries that hold a reference: present ones, device-private and device-exclusive ones; what links a page table. */
  readonly references: number[];
  /** Entries that count in _mapcount. */
  readonly mappings: number[];
  /** By mm: present entries and entries that count as resident. */
  readonly resident: number[];
}

/** Walks all page tables of all mms. A present PTE of a special page (zero page, PFN map, DAX) holds nothing. */
export function countMappings(kernel: Kernel): Mapped {
  const { machine, mem_map, mms } = kernel;
  const references = mem_map.map(() => 0);
  const mappings = mem_map.map(() => 0);
  const resident = mms.map(() => 0);
  const count = (mm: number, entry: number): void => {
    if (entry === 0 || ((entry & (PTE.PRESENT | PTE.PROTNONE)) !== 0 && (entry & PTE.SPECIAL) !== 0)) return;
    if ((entry & (PTE.PRESENT | PTE.DEVMAP)) === (PTE.PRESENT | PTE.DEVMAP)) return;
    const frame = frameOf(entry);
    if (frame < 0) return;
    const type = swapType(entry);
    const migrating =
      type === SwapType.MIGRATION_READ ||
      type === SwapType.MIGRATION_READ_EXCLUSIVE ||
      type === SwapType.MIGRATION_WRITE;
    if (type === SwapType.HWPOISON) return;
    resident[mm]!++;
    if (migrating) return;
    references[frame]!++;
    const exclusive = type === SwapType.DEVICE_EXCLUSIVE_READ || type === SwapType.DEVICE_EXCLUSIVE_WRITE;
    if (!exclusive || kernel.knobs['exclusive.mapcount'] === 'kept') mappings[frame]!++;
  };
  mms.forEach((mm, number) => {
    mm.pmd.forEach(({ value: pmd }) => {
      if ((pmd & PTE.PRESENT) === 0) return;
      if (pmd & PTE.PSE) {
        for (let i = 0; i < machine.options.ptrsPerPte; i++)
          count(number, ((pfnOf(pmd) + i) << PTE.PFN_SHIFT) | PTE.PRESENT);
        // One reference, and one mapping at the head, stand for the whole folio.
        references[pfnOf(pmd)]! -= machine.options.ptrsPerPte - 1;
      } else {
        const table = machine.frames[pfnOf(pmd)]!;
        references[table.number]!++;
        table.pte.forEach((_, index) => count(number, machine.entry(table, index)));
      }
    });
  });
  for (const mm of mms)
    for (const { value: deposited } of mm.pmd_huge_pte) if (deposited !== 0) references[deposited - 1]!++;
  // Tables that are unlinked and wait for a grace period.
  for (const { func, arg } of kernel.rcu.callbacks)
    if (func.value !== 0 && arg.value !== 0) references[arg.value - 1]!++;
  return { references, mappings, resident };
}

/**
 * REF-SUM, MAP-SUM, RSS-SUM at the end: when all agents have returned, each count equals what is there to be counted.
 * `kernel.holders` lists references that the set-up or an agent keeps on purpose. LOCK: nobody has left a lock held.
 */
export function balances(kernel: Kernel): string[] {
  const { system, mem_map, mms } = kernel;
  const end = (property: string, check: () => string | undefined): void =>
    void system.invariants.push({ property, when: 'end', kind: 'leak', cells: [], check });
  end('REF-SUM', () => {
    const { references } = countMappings(kernel);
    countBacking(kernel, references);
    const inFiles: number[] = [];
    for (const batches of kernel.cpu_fbatches ?? [])
      for (const batch of Object.values(batches) as FolioBatch[])
        for (const { value } of batch.folios) if (value !== 0) references[value - 1]!++;
    for (const inode of kernel.inodes ?? [])
      for (const { value } of inode?.i_pages ?? [])
        if (value > 0) inFiles[value - 1] = (inFiles[value - 1] ?? 0) + 1;
    for (const { cache } of kernel.swap?.slots ?? []) if (cache.value !== 0) references[cache.value - 1]!++;
    // A large folio is counted at its head.
    for (const { pfn, compound_head } of mem_map)
      if (compound_head.value !== 0) references[compound_head.value - 1]! += references[pfn]!;
    for (const page of mem_map) {
      if (page.meta !== undefined && page.meta.value !== 0) continue;
      const counted = page.compound_head.value !== 0 ? 0 : references[page.pfn]!;
      // memory_failure() keeps its reference: the page is never used again.
      const poisoned = (page.flags.value & PG.hwpoison) !== 0 ? 1 : 0;
      const expected = counted + poisoned + (inFiles[page.pfn] ?? 0) + kernel.held(page.pfn);
      const pins = page.large?.pincount.value ?? 0;
      if (pins !== 0 && kernel.held(page.pfn) === 0)
        return `f${page.pfn} has a _pincount of ${pins}, and nobody pins it`;
      if (
        page._refcount.value === 0 &&
        page.compound_head.value === 0 &&
        page.frame.use.value === Use.DATA &&
        expected === 0
      )
        return `f${page.pfn} has no reference left, and is not free`;
      if (page._refcount.value !== expected)
        return `f${page.pfn} is ${page.frame.use.type.show(page.frame.use.value)} with _refcount ${page._refcount.type.show(page._refcount.value)}, and ${expected} references are known`;
    }
    return undefined;
  });
  const locks: Cell[] = [];
  let known = 0;
  end('LOCK', () => {
    // Pools grow where there is no search.
    for (; known < system.cells.length; known++)
      if (system.lockClasses[system.cells[known]!.at] !== undefined) locks.push(system.cells[known]!);
    const held = locks.find((cell) => cell.value !== 0);
    if (held !== undefined) return `${held.name} is still ${held.type.show(held.value)}`;
    const reader = kernel.rcu.nesting.find((nesting) => nesting !== undefined && nesting.value !== 0);
    if (reader !== undefined) return `${reader.name} is not 0`;
    const pending = mms.find(({ tlb_flush_pending }) => tlb_flush_pending.value !== 0);
    if (pending !== undefined) return `${pending.name}.tlb_flush_pending is not 0`;
    const odd = mms.find(({ write_protect_seq }) => (write_protect_seq.value & 1) !== 0);
    return odd === undefined ? undefined : `${odd.name}.write_protect_seq is still odd`;
  });
  end('MAP-SUM', () => {
    const { mappings } = countMappings(kernel);
    for (const page of mem_map) {
      const { value: use } = page.frame.use;
      if (use !== Use.DATA && use !== Use.DEVICE) continue;
      if (page.large !== undefined && (page.flags.value & PG.head) !== 0) {
        const pages = mem_map.filter(
          ({ pfn, compound_head }) => pfn === page.pfn || compound_head.value === page.pfn + 1,
        );
        const all = pages.reduce((sum, each) => sum + each._mapcount.value, page.large.entire_mapcount.value);
        if (page.large.mapcount.value !== all)
          return `f${page.pfn}._large_mapcount is ${page.large.mapcount.value}, and its pages are mapped ${all} times`;
      }
      const { value: head } = page.compound_head;
      const large = mem_map[head === 0 ? page.pfn : head - 1]!.large?.entire_mapcount.value ?? 0;
      const counted = page._mapcount.value + large;
      if (counted !== mappings[page.pfn])
        return `f${page.pfn}._mapcount is ${counted}, and ${mappings[page.pfn]} entries map it`;
    }
    return undefined;
  });
  end('RSS-SUM', () => {
    const { resident } = countMappings(kernel);
    for (const mm of mms) {
      const counted = mm.anon_rss.value + mm.file_rss.value + (mm.shmem_rss?.value ?? 0);
      if (counted !== resident[mm.number])
        return `${mm.name} counts ${counted} resident pages and has ${resident[mm.number]}`;
    }
    return undefined;
  });
  end('LOCK', () => {
    const rss = kernel.hotplug?.mem_hotplug_lock.rss;
    return rss === undefined || rss.gp_state.value === GP.IDLE
      ? undefined
      : 'mem_hotplug_lock does not let its readers be fast again';
  });
  const { swap, ksm_nodes } = kernel;
  if (ksm_nodes.length > 0)
    end('KSM-NODE', () => {
      for (const page of mem_map) {
        const node = ksm_nodes[page.mapping.value - PAGE_MAPPING_KSM];
        if (page.frame.use.value === Use.DATA && node !== undefined && node.linked.value === 0)
          return `f${page.pfn} is the page of stable node ${node.number}, which is not in the tree any more`;
      }
      return undefined;
    });
  const sums = ['REF-SUM', 'MAP-SUM', 'RSS-SUM', ...(ksm_nodes.length > 0 ? ['KSM-NODE'] : [])];
  if (swap === undefined) return sums;
  end('SWAP-SUM', () => {
    const entries = countSwapEntries(kernel);
    for (const { number, map, cache } of swap.slots) {
      const counted = map.value & ~SWAP_HAS_CACHE;
      if (counted !== entries[number])
        return `swap_map[${number}] counts ${counted} entries, and ${entries[number]} name the slot`;
      if ((map.value & SWAP_HAS_CACHE) === 0 && cache.value !== 0)
        return `swap slot ${number} has a folio in the swap cache, and swap_map does not say so`;
      if ((map.value & SWAP_HAS_CACHE) !== 0 && cache.value === 0)
        return `swap_map[${number}] says that the swap cache has a folio, and there is none`;
    }
    return undefined;
  });
  return [...sums, 'SWAP-SUM'];
}

/** How often page tables, and pages of files, name each slot of swap. */
function countSwapEntries({ machine, mms, swap, inodes }: Kernel): number[] {
  const entries = swap!.slots.map(() => 0);
  for (const inode of inodes ?? [])
    for (const { value } of inode?.i_pages ?? []) if (value < 0) entries[-1 - value]!++;
  for (const { space } of mms)
    for (const pmd of space.pmd) {
      if ((pmd.value & (PTE.PRESENT | PTE.PSE)) !== PTE.PRESENT) continue;
      for (const { value } of machine.frames[pfnOf(pmd.value)]!.pte)
        if (swapType(value) === SwapType.SWAP) entries[pfnOf(value)]!++;
    }
  return entries;
}
