// SPDX-License-Identifier: MIT
import type { ValueType } from '../core/system.js';

/**
 * Page-table entries as one word. The same layout serves PTEs and PMDs:
 *
 *     bit  0  PRESENT   the walker uses the entry
 *     bit  1  RW        stores allowed
 *     bit  2  USER      access from user mode allowed
 *     bit  3  DIRTY     set by the walker when it stores
 *     bit  4  PSE       PMD only: a leaf that maps a whole PMD
 *     bit  5  SPECIAL   software: no struct page behind it
 *     bit  6  DEVMAP    software: ZONE_DEVICE page that takes a pgmap reference first
 *     bit  7  PROTNONE  software: PROT_NONE mapping (hardware-wise not present)
 *     bit  8  SOFT_DIRTY, bit 9  UFFD_WP, bit 10  ANON_EXCLUSIVE (swap-type entries)
 *     bit  11 ATOMIC    device entries only: the device may do atomic operations
 *     bits 12-          frame number
 *
 * An entry without PRESENT and PROTNONE that is not 0 is a swap-type entry: its type is in bits 3-6, its offset (a
 * frame, or a swap slot) in bits 12-.
 */
export const PTE = {
  PRESENT: 1 << 0,
  RW: 1 << 1,
  USER: 1 << 2,
  DIRTY: 1 << 3,
  PSE: 1 << 4,
  SPECIAL: 1 << 5,
  DEVMAP: 1 << 6,
  PROTNONE: 1 << 7,
  SOFT_DIRTY: 1 << 8,
  UFFD_WP: 1 << 9,
  EXCLUSIVE: 1 << 10,
  ATOMIC: 1 << 11,
  PFN_SHIFT: 12,
} as const;

/** Types of swap-type entries. All but SWAP and MARKER carry a frame. */
export const SwapType = {
  SWAP: 1,
  MIGRATION_READ: 2,
  MIGRATION_READ_EXCLUSIVE: 3,
  MIGRATION_WRITE: 4,
  DEVICE_READ: 5,
  DEVICE_WRITE: 6,
  DEVICE_EXCLUSIVE_READ: 7,
  DEVICE_EXCLUSIVE_WRITE: 8,
  HWPOISON: 9,
  MARKER: 10,
} as const;
const SWAP_TYPE_SHIFT = 3;
const SWAP_TYPE_MASK = 15;

const FLAG_MASK = (1 << PTE.PFN_SHIFT) - 1;

/** The frame that an entry names, or the swap offset of a swap entry. */
export function pfnOf(entry: number): number {
  return entry >> PTE.PFN_SHIFT;
}

/** Makes an entry. */
export function makeEntry(pfn: number, flags: number): number {
  return (pfn << PTE.PFN_SHIFT) | flags;
}

/** Makes a swap-type entry; `flags` may hold SOFT_DIRTY, UFFD_WP, EXCLUSIVE. */
export function makeSwapEntry(type: number, offset: number, flags = 0): number {
  return (offset << PTE.PFN_SHIFT) | (type << SWAP_TYPE_SHIFT) | flags;
}

/** The type of a swap-type entry, 0 if the entry is none, present or PROT_NONE. */
export function swapType(entry: number): number {
  return entry === 0 || (entry & (PTE.PRESENT | PTE.PROTNONE)) !== 0
    ? 0
    : (entry >> SWAP_TYPE_SHIFT) & SWAP_TYPE_MASK;
}

/** The frame that an entry names, -1 for none. */
export function frameOf(entry: number): number {
  if (entry === 0) return -1;
  const type = swapType(entry);
  return type === SwapType.SWAP || type === SwapType.MARKER ? -1 : entry >> PTE.PFN_SHIFT;
}

const SWAP_NAMES: Record<number, string> = Object.fromEntries(
  Object.entries(SwapType).map(([name, type]) => [type, name]),
);

/** As in a kernel diagram: `f1,W`, `f1,R,d` (d = dirty), `swap(0,x)` (x = exclusive), `excl(f1,W)` (device-exclusive), `none`. */
export function showEntry(entry: number): string {
  if (entry === 0) return 'none';
  const type = swapType(entry);
  if (type === SwapType.DEVICE_EXCLUSIVE_WRITE) return `excl(f${pfnOf(entry)},W)`;
  if (type === SwapType.DEVICE_EXCLUSIVE_READ) return `excl(f${pfnOf(entry)},R)`;
  if (type === SwapType.SWAP) return `swap(${pfnOf(entry)}${entry & PTE.EXCLUSIVE ? ',x' : ''})`;
  if (type !== 0) return `${SWAP_NAMES[type] ?? '?'}(f${pfnOf(entry)})`;
  const marks = [
    entry & PTE.RW ? 'W' : 'R',
    ...(entry & PTE.PROTNONE ? ['protnone'] : []),
    ...(entry & PTE.DIRTY ? ['d'] : []),
    ...(entry & PTE.PSE ? ['huge'] : []),
    ...(entry & PTE.SPECIAL ? ['special'] : []),
    ...(entry & PTE.DEVMAP ? ['devmap'] : []),
    ...(entry & PTE.ATOMIC ? ['A'] : []),
  ];
  return `f${pfnOf(entry)},${marks.join(',')}`;
}

/** A page-table entry that names a frame. */
export const pteType: ValueType = {
  name: 'pte',
  show: showEntry,
  rename: (entry, to) => {
    const frame = frameOf(entry);
    return frame < 0 || to[frame] === undefined ? entry : (to[frame] << PTE.PFN_SHIFT) | (entry & FLAG_MASK);
  },
  frameOf,
};

/** A PMD: a table (PRESENT without PSE), or a leaf. */
export const pmdType: ValueType = {
  ...pteType,
  name: 'pmd',
  show: (entry) => {
    if (entry !== 0 && (entry & (PTE.PRESENT | PTE.PSE)) === PTE.PRESENT) return `table f${pfnOf(entry)}`;
    return (entry & (PTE.PRESENT | PTE.PSE)) === PTE.PSE
      ? `${showEntry(entry | PTE.PRESENT)},invalid`
      : showEntry(entry);
  },
};

/**
 * How a two-word entry (x86 PAE) spreads a frame number over its words. `equal-low`: all frames differ in the high word
 * only. `different-low`: both words tell frames apart.
 */
export type PaeLayout = 'equal-low' | 'different-low';

/** The low word of an entry: flags, and the low part of the frame number. It holds the PRESENT bit. */
export function lowWord(entry: number, layout: PaeLayout): number {
  return layout === 'equal-low' ? entry & FLAG_MASK : entry;
}

/** The high word of an entry. */
export function highWord(entry: number): number {
  return entry >> PTE.PFN_SHIFT;
}

/** Frame numbers from here on name no frame: what a torn pair of words adds up to. */
export const NO_FRAME = 1024;

/** What a pair of words says. A pair that no entry was ever made of names another frame, or none. */
export function joinWords(low: number, high: number, layout: PaeLayout): number {
  if (low === 0) return 0;
  if (layout === 'equal-low') return (high << PTE.PFN_SHIFT) | low;
  const lowFrame = low >> PTE.PFN_SHIFT;
  return lowFrame === high ? low : ((NO_FRAME + 16 * high + lowFrame) << PTE.PFN_SHIFT) | (low & FLAG_MASK);
}
