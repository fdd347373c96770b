// SPDX-License-Identifier: MIT
import type { Cell, CellOptions, System, ValueType } from '../core/system.js';

/** What a page frame is used for. */
export const Use = { FREE: 0, DATA: 1, TABLE: 2, OFFLINE: 3, GONE: 4, DEVICE: 5 } as const;
const USE_NAMES = ['free', 'data', 'page table', 'offline', 'gone', 'free device memory'];
export const useType: ValueType = { name: 'use', show: (value) => USE_NAMES[value] ?? String(value) };

/** Makes record fields of frame `n`: all frames have the same ones, so that they can be renamed. */
export function frameCell(
  system: System,
  number: number,
  slot: string,
  options: Omit<CellOptions, 'frame'> & { name?: string } = {},
): Cell {
  const { name, ...rest } = options;
  return system.cell(name ?? `f${number}.${slot}`, 0, { ...rest, frame: { number, slot } });
}

/** A page frame: memory that is either free, data, or a page table. */
export interface Frame {
  readonly number: number;
  readonly use: Cell;
  /** Its entries while it is a page table; touching them at any other time breaks TABLE-ALIVE. With PAE, the low words. */
  readonly pte: readonly Cell[];
  /** PAE: the high words. */
  readonly pteHigh: readonly Cell[];
  /** Contents, while it is data; where they are more than one word, the first. */
  readonly data: Cell | undefined;
  /** All words of the contents. */
  readonly words: readonly Cell[];
  /** Memory of a device, no RAM: the allocator does not have it. `private`: no CPU reaches it. */
  readonly device: 'private' | 'coherent' | undefined;
}

/** What the walker starts from: the upper levels folded into one row of PMDs. */
export interface AddressSpace {
  readonly name: string;
  readonly pmd: readonly Cell[];
  /** Virtual pages. */
  readonly pages: number;
  /** CPUs that run it: mm_cpumask. */
  readonly cpus: number[];
}
