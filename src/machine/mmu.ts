// SPDX-License-Identifier: MIT
import type { Access } from '../core/ops.js';
import { type AddressSpace, type Frame, Use } from './frame.js';
import type { Machine } from './machine.js';
import { frameOf, makeEntry, pfnOf, PTE } from './pte.js';

/** A page and a word of its contents, as one argument of a request. */
export const pageAndWord = (page: number, word: number): number => page | (word << WORD_SHIFT);
const WORD_SHIFT = 12;
export const pageOf = (packed: number): number => packed & ((1 << WORD_SHIFT) - 1);
export const wordOf = (packed: number): number => packed >> WORD_SHIFT;
/** The page, with the word if it is not the first, for a trace. */
export const showPage = (packed: number): string =>
  `page ${pageOf(packed)}${wordOf(packed) === 0 ? '' : `[${wordOf(packed)}]`}`;

/** The walker and the accesses of user code. Space is an index of `machine.spaces`, pages are numbered from 0. */
export function defineMmuOps(machine: Machine) {
  const { system, options } = machine;
  const { ptrsPerPte } = options;

  /** Finds the PMD for a page: in the walk cache if it is there, else in memory, and caches it. */
  const walkPmd = (cpu: number, space: AddressSpace, index: number, page: number): number => {
    const at = Math.floor(page / ptrsPerPte);
    const cached = machine.pwc[cpu]![index]?.[at];
    if (cached !== undefined && cached.value !== 0) return cached.value;
    const pmd = space.pmd[at]!.value;
    if (cached !== undefined && (pmd & PTE.PRESENT) !== 0 && (pmd & PTE.PSE) === 0)
      system.set(cached.at, pmd);
    return pmd;
  };
  const touchesWalk = (a: number, b: number, writes: boolean, agent: number, access: Access): void => {
    const space = machine.spaces[a]!;
    const { cpu } = system.agents[agent]!;
    const at = Math.floor(b / ptrsPerPte);
    for (const cell of machine.leafCells(space, b))
      // The dirty bit is set in a leaf: in a PMD only where there are huge pages.
      (writes && (options.hugePages !== false || cell !== space.pmd[at]) ? access.writes : access.reads).push(
        cell.at,
      );
    access.writes.push(machine.tlb[cpu]![a]![b]!.at);
    const cached = machine.pwc[cpu]![a]?.[at];
    if (cached !== undefined) access.writes.push(cached.at);
  };
  /** The frame that this CPU's TLB has for a page, if the entry has all of `needed`. */
  const translate = (agent: number, space: number, page: number, needed: number): Frame | undefined => {
    const entry = machine.tlb[system.agents[agent]!.cpu]![space]![page]!.value;
    if (entry === 0 || (entry & needed) !== needed) return undefined;
    const frame = machine.frames[frameOf(entry)]!;
    if (frame.use.value !== Use.DATA)
      system.fail(
        'TLB-LIVE',
        `f${frame.number} is reached through the TLB, and is ${frame.use.type.show(frame.use.value)}`,
      );
    if (frame.device === 'private')
      system.fail('TLB-LIVE', `f${frame.number} is reached through the TLB, and is device memory`);
    return frame;
  };

  return {
    /**
     * A user access to page and word b of space a: c = 0 reads, c = value + 1 writes. Uses this CPU's TLB entry only. Observes 0
     * on a miss (no entry, no permission, or a first store: the walker must set the dirty bit), else 1 + the value read.
     */
    access: system.op({
      name: 'user_access',
      exec: (a, b, c, agent) => {
        const frame = translate(agent, a, pageOf(b), PTE.USER | (c === 0 ? 0 : PTE.RW | PTE.DIRTY));
        if (frame === undefined) return 0;
        const data = frame.words[wordOf(b)];
        if (c === 0) return 1 + (data?.value ?? 0);
        if (data !== undefined) system.set(data.at, c - 1);
        return 1;
      },
      touches: (a, b, c, agent, access) => {
        access.reads.push(machine.tlb[system.agents[agent]!.cpu]![a]![pageOf(b)]!.at);
        touchesContents(machine, wordOf(b), c !== 0, access);
      },
      describe: (_a, b, c, observed) =>
        observed === 0
          ? undefined
          : c === 0
            ? `load ${showPage(b)} = ${observed - 1}`
            : `store ${showPage(b)} = ${c - 1}`,
    }),
    /** A locked add of c to page b of space a: as a store of `access`. Observes 0 on a miss, else 1 + the value before. */
    accessAdd: system.op({
      name: 'user_add',
      exec: (a, b, c, agent) => {
        const frame = translate(agent, a, b, PTE.USER | PTE.RW | PTE.DIRTY);
        if (frame === undefined) return 0;
        const old = frame.data?.value ?? 0;
        if (frame.data !== undefined) system.set(frame.data.at, old + c);
        machine.countAdd(a, b, c);
        return 1 + old;
      },
      touches: (a, b, _c, agent, access) => {
        access.reads.push(machine.tlb[system.agents[agent]!.cpu]![a]![b]!.at);
        touchesContents(machine, 0, true, access);
        access.writes.push(...machine.addCounters(a, b).map(({ at }) => at));
      },
      describe: (_a, b, c, observed) =>
        observed === 0 ? undefined : `atomic add page ${b}: ${observed - 1} -> ${observed - 1 + c}`,
    }),
    /**
     * The walker looks page b of space a up for a read (c = 0) or a write, sets the dirty bit for a write with a locked
     * operation, and fills the TLB. Observes whether it found a translation with that permission.
     */
    walk: system.op({
      name: 'page_walk',
      exec: (a, b, c, agent) => {
        const { cpu } = system.agents[agent]!;
        const space = machine.spaces[a]!;
        const pmd = walkPmd(cpu, space, a, b);
        const needed = PTE.PRESENT | PTE.USER | (c === 0 ? 0 : PTE.RW);
        let entry: number;
        if ((pmd & PTE.PRESENT) === 0) return 0;
        if (pmd & PTE.PSE) {
          if ((pmd & needed) !== needed) return 0;
          if (c !== 0) system.set(space.pmd[Math.floor(b / ptrsPerPte)]!.at, pmd | PTE.DIRTY);
          entry = makeEntry(
            pfnOf(pmd) + (b % ptrsPerPte),
            (pmd & ((1 << PTE.PFN_SHIFT) - 1) & ~PTE.PSE) | (c === 0 ? 0 : PTE.DIRTY),
          );
        } else {
          const table = machine.frames[pfnOf(pmd)]!;
          const cell = table.pte[b % ptrsPerPte]!;
          system.touch(cell.at);
          entry = machine.entry(table, b % ptrsPerPte);
          if ((entry & needed) !== needed) return 0;
          if (c !== 0) {
            entry |= PTE.DIRTY;
            system.set(cell.at, cell.value | PTE.DIRTY);
          }
        }
        system.set(machine.tlb[cpu]![a]![b]!.at, entry);
        return 1;
      },
      touches: (a, b, c, agent, access) => touchesWalk(a, b, c !== 0, agent, access),
      describe: (_a, b, _c, observed) =>
        observed === 0 ? `page ${b}: page fault` : `walker fills the TLB for page ${b}`,
    }),
    /** The speculative walker of CPU a: fills any empty entry of space b from a present PTE; which one is a choice. */
    speculate: system.op({
      name: 'speculative_walk',
      enabled: (a, b) => speculable(machine, a, b).length > 0,
      choices: (a, b) => speculable(machine, a, b).length,
      exec: (a, b, _c, _agent, choice) => {
        const page = speculable(machine, a, b)[choice]!;
        system.set(machine.tlb[a]![b]![page]!.at, machine.leaf(machine.spaces[b]!, page));
        return 0;
      },
      touches: (a, b, _c, _agent, access) => {
        const space = machine.spaces[b]!;
        for (let page = 0; page < space.pages; page++) {
          for (const cell of machine.leafCells(space, page)) access.reads.push(cell.at);
          access.writes.push(machine.tlb[a]![b]![page]!.at);
        }
      },
      describe: (a) => `CPU${a} fills its TLB speculatively`,
    }),
  };
}

/** An access to a word of some frame: which frame, only the translation says. */
export function touchesContents(machine: Machine, word: number, writes: boolean, access: Access): void {
  for (const { use, words } of machine.frames) {
    access.reads.push(use.at);
    const data = words[word];
    if (data !== undefined) (writes ? access.writes : access.reads).push(data.at);
  }
}

function speculable(machine: Machine, cpu: number, space: number): number[] {
  const pages: number[] = [];
  machine.tlb[cpu]![space]!.forEach((entry, page) => {
    if (entry.value === 0 && machine.leaf(machine.spaces[space]!, page) !== 0) pages.push(page);
  });
  return pages;
}

/** TLB fill `eager`: an empty entry (and walk-cache entry) takes the value of a present PTE at once. */
export function fillEagerly(machine: Machine, index: number): void {
  const { system } = machine;
  const space = machine.spaces[index]!;
  for (const cpu of space.cpus) {
    (machine.pwc[cpu]![index] ?? []).forEach((entry, i) => {
      const pmd = space.pmd[i]!;
      system.monitors.push({
        cells: [entry, pmd],
        update: () => {
          if (entry.value === 0 && (pmd.value & (PTE.PRESENT | PTE.PSE)) === PTE.PRESENT)
            system.set(entry.at, pmd.value);
        },
      });
    });
    for (let page = 0; page < space.pages; page++) {
      const entry = machine.tlb[cpu]![index]![page]!;
      system.monitors.push({
        cells: [entry, ...machine.leafCells(space, page)],
        update: () => {
          if (entry.value === 0) system.set(entry.at, machine.leaf(space, page));
        },
      });
    }
  }
}
