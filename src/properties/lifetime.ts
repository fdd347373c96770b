// SPDX-License-Identifier: MIT
import type { Cell } from '../core/system.js';
import type { Kernel } from '../linux/kernel.js';
import { Use } from '../machine/machine.js';
import { frameOf, PTE, showEntry, swapType, SwapType } from '../machine/pte.js';

/**
 * TLB-LIVE: a TLB entry names a frame that is still allocated. A frame is freed only after the flush, so in a sound
 * kernel an entry that outlives its PTE still finds its frame in use.
 */
export function tlbLive(kernel: Kernel): void {
  const { machine, system } = kernel;
  const entries = machine.tlb.flat(2).filter((cell): cell is Cell => cell !== undefined);
  if (entries.length === 0) return;
  system.invariants.push({
    property: 'TLB-LIVE',
    when: 'always',
    cells: [...entries, ...machine.frames.map((frame) => frame.use)],
    check() {
      for (const entry of entries) {
        const value = system.mem[entry.at]!;
        if (value === 0) continue;
        const frame = machine.frames[frameOf(value)];
        if (frame === undefined) return `${entry.name} = ${showEntry(value)}, and there is no such frame`;
        if (system.mem[frame.use.at] !== Use.DATA)
          return `${entry.name} = ${showEntry(value)}, and f${frame.number} is ${frame.use.type.show(frame.use.value)}`;
      }
      return undefined;
    },
  });
}

/**
 * FRAME-REUSE, seen from the page tables: a present entry of a live table names a frame in use.
 */
export function pteLive(kernel: Kernel): void {
  const { machine, system } = kernel;
  system.invariants.push({
    property: 'FRAME-REUSE',
    when: 'always',
    cells: machine.frames.flatMap((frame) => [frame.use, ...frame.pte, ...frame.pteHigh]),
    check() {
      for (const table of machine.frames) {
        if (system.mem[table.use.at] !== Use.TABLE) continue;
        for (let index = 0; index < table.pte.length; index++) {
          const value = machine.entry(table, index);
          if ((value & PTE.PRESENT) === 0 || (value & PTE.SPECIAL) !== 0) continue;
          const frame = machine.frames[frameOf(value)];
          if (frame !== undefined && system.mem[frame.use.at] !== Use.DATA)
            return `${table.pte[index]!.name} = ${showEntry(value)}, and f${frame.number} is ${frame.use.type.show(frame.use.value)}`;
        }
      }
      return undefined;
    },
  });
}

/**
 * FRAME-REUSE, seen from the entries that are for devices: each holds a reference, so it names a frame in use. Judged
 * while the table is not locked: who takes the entry away drops the reference first.
 */
export function deviceSwapEntryLive(kernel: Kernel): void {
  const { machine, system, mem_map } = kernel;
  const held = new Set<number>([
    SwapType.DEVICE_READ,
    SwapType.DEVICE_WRITE,
    SwapType.DEVICE_EXCLUSIVE_READ,
    SwapType.DEVICE_EXCLUSIVE_WRITE,
  ]);
  system.invariants.push({
    property: 'FRAME-REUSE',
    when: 'always',
    cells: [
      ...machine.frames.flatMap((frame) => [frame.use, ...frame.pte]),
      ...mem_map.map(({ ptl }) => ptl),
    ],
    check() {
      for (const table of machine.frames) {
        if (system.mem[table.use.at] !== Use.TABLE || mem_map[table.number]!.ptl.value !== 0) continue;
        for (const { name, value } of table.pte) {
          if (!held.has(swapType(value))) continue;
          const frame = machine.frames[frameOf(value)];
          if (frame === undefined) return `${name} = ${showEntry(value)}, and there is no such frame`;
          if (system.mem[frame.use.at] !== Use.DATA)
            return `${name} = ${showEntry(value)}, and f${frame.number} is ${frame.use.type.show(frame.use.value)}`;
        }
      }
      return undefined;
    },
  });
}

/** TABLE-ALIVE for the hardware: what a walk cache names is still a page table. */
export function walkCacheLive(kernel: Kernel): void {
  const { machine, system } = kernel;
  const entries = machine.pwc.flat(2).filter((cell): cell is Cell => cell !== undefined);
  if (entries.length === 0) return;
  system.invariants.push({
    property: 'TABLE-ALIVE',
    when: 'always',
    cells: [...entries, ...machine.frames.map((frame) => frame.use)],
    check() {
      for (const entry of entries) {
        const value = system.mem[entry.at]!;
        if (value === 0) continue;
        const { use, number } = machine.frames[frameOf(value)]!;
        if (system.mem[use.at] !== Use.TABLE)
          return `${entry.name} names f${number}, which is ${use.type.show(use.value)}`;
      }
      return undefined;
    },
  });
}

/** FRAME-REUSE, seen from a device: an entry of its page table names a frame in use. */
export function deviceEntryLive(kernel: Kernel, entry: Cell): void {
  const { machine, system } = kernel;
  system.invariants.push({
    property: 'FRAME-REUSE',
    when: 'always',
    cells: [entry, ...machine.frames.map((frame) => frame.use)],
    check() {
      const value = system.mem[entry.at]!;
      if (value === 0) return undefined;
      const { use, number } = machine.frames[frameOf(value)]!;
      if (system.mem[use.at] === Use.DATA) return undefined;
      return `${entry.name} = ${showEntry(value)}, and f${number} is ${use.type.show(use.value)}`;
    },
  });
}
