// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { exchange, read, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { makeEntry, pfnOf, PTE, swapType } from '../../machine/pte.js';
import { rcu_read_lock, rcu_read_unlock } from '../kernel/rcu/tree.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { current, knob } from '../kernel.js';
import type { Mm, Page, PtePointer } from './mm_types.js';

/** Values of page-table entries, as the kernel's pte_t and pmd_t. */
export type Pte = number;
export type Pmd = number;

export const PAGE_SIZE = 1;

export const pte_none = (pte: Pte): boolean => pte === 0;
export const pte_present = (pte: Pte): boolean => (pte & (PTE.PRESENT | PTE.PROTNONE)) !== 0;
export const pte_protnone = (pte: Pte): boolean => (pte & (PTE.PRESENT | PTE.PROTNONE)) === PTE.PROTNONE;
export const pte_write = (pte: Pte): boolean => (pte & PTE.RW) !== 0;
export const pte_dirty = (pte: Pte): boolean => (pte & PTE.DIRTY) !== 0;
export const pte_special = (pte: Pte): boolean => (pte & PTE.SPECIAL) !== 0;
export const pte_devmap = (pte: Pte): boolean => (pte & PTE.DEVMAP) !== 0;
export const pte_pfn = (pte: Pte): number => pfnOf(pte);
export const pte_page = (pte: Pte): Page => current.kernel.mem_map[pfnOf(pte)]!;
export const pfn_to_page = (pfn: number): Page => current.kernel.mem_map[pfn]!;
export const mk_pte = (page: Page, flags: number): Pte => makeEntry(page.pfn, flags);
export const pte_wrprotect = (pte: Pte): Pte => pte & ~PTE.RW;
export const pte_mkwrite = (pte: Pte): Pte => pte | PTE.RW;
export const pte_mkclean = (pte: Pte): Pte => pte & ~PTE.DIRTY;
export const pte_mkdirty = (pte: Pte): Pte => pte | PTE.DIRTY;
export const is_swap_pte = (pte: Pte): boolean => pte !== 0 && swapType(pte) !== 0;

/** @kernel 6.12 arch/x86/include/asm/pgtable.h pte_access_permitted: adapted (no protection keys) */
export const pte_access_permitted = (pte: Pte, write: boolean): boolean => {
  const needed = PTE.PRESENT | PTE.USER | (write ? PTE.RW : 0);
  return (pte & needed) === needed;
};

export const pmd_none = (pmd: Pmd): boolean => pmd === 0;
export const pmd_present = (pmd: Pmd): boolean => (pmd & PTE.PRESENT) !== 0;
export const pmd_leaf = (pmd: Pmd): boolean => (pmd & PTE.PSE) !== 0;
/** A PMD that points to a table. */
export const mk_pmd_table = (table: Page): Pmd => makeEntry(table.pfn, PTE.PRESENT);

/** The PMD that maps an address. */
export const pmd_offset = (mm: Mm, addr: number): Cell =>
  mm.pmd[Math.floor(addr / current.kernel.machine.options.ptrsPerPte)]!;

/** End of the range that one PMD maps, or `end` if that comes first. */
export const pmd_addr_end = (addr: number, end: number): number => {
  const { ptrsPerPte } = current.kernel.machine.options;
  return Math.min((Math.floor(addr / ptrsPerPte) + 1) * ptrsPerPte, end);
};

/** The entry for `addr` in the table that a PMD value names. */
export const pte_offset = (pmd: Pmd, addr: number): PtePointer =>
  current.kernel.pte(pfnOf(pmd), addr % current.kernel.machine.options.ptrsPerPte);

/** @kernel 6.12 include/linux/pgtable.h pmdp_get_lockless: faithful (one-word PMDs) */
export function* pmdp_get_lockless(pmdp: Cell): Path<Pmd> {
  return yield* read(pmdp);
}

/** @kernel 6.12 include/linux/pgtable.h ptep_get: faithful */
export function* ptep_get(ptep: PtePointer): Path<Pte> {
  return yield* read(ptep.cell);
}

/** @kernel 6.12 include/linux/pgtable.h ptep_get_lockless: faithful (one-word PTEs) */
export function* ptep_get_lockless(ptep: PtePointer): Path<Pte> {
  return yield* read(ptep.cell);
}

/** @context PTL held @kernel 6.12 arch/x86/include/asm/pgtable_64.h native_set_pte: faithful */
export function* set_pte(ptep: PtePointer, pte: Pte): Path {
  yield* write(ptep.cell, pte);
}

/** Clears the entry and returns what it was; the walker's dirty bit is not lost in between. @context PTL held @kernel 6.12 arch/x86/include/asm/pgtable.h ptep_get_and_clear: faithful */
export function* ptep_get_and_clear(ptep: PtePointer): Path<Pte> {
  return yield* exchange(ptep.cell, 0);
}

/** @context pmd lock held @kernel 6.12 arch/x86/include/asm/pgtable_64.h native_set_pmd: faithful */
export function* set_pmd(pmdp: Cell, pmd: Pmd): Path {
  yield* write(pmdp, pmd);
}

/** @context pmd lock held @kernel 6.12 arch/x86/include/asm/pgtable.h pmd_clear: faithful */
export function* pmd_clear(pmdp: Cell): Path {
  yield* write(pmdp, 0);
}

/**
 * Maps the page table that the PMD value names: begins an RCU read-side section that lasts until pte_unmap().
 * Returns undefined if there is no table.
 * @kernel 6.12 mm/pgtable-generic.c __pte_offset_map: faithful
 */
export function* pte_offset_map(pmdp: Cell, addr: number): Path<PtePointer | undefined> {
  const mapped = yield* __pte_offset_map(pmdp, addr);
  return mapped?.ptep;
}

function* __pte_offset_map(pmdp: Cell, addr: number): Path<{ ptep: PtePointer; pmdval: Pmd } | undefined> {
  if (knob('pte_offset_map.rcu') === 'on') yield* rcu_read_lock();
  const pmdval = yield* pmdp_get_lockless(pmdp);
  if (pmd_none(pmdval) || !pmd_present(pmdval) || pmd_leaf(pmdval)) {
    yield* pte_unmap();
    return undefined;
  }
  return { ptep: pte_offset(pmdval, addr), pmdval };
}

/** @kernel 6.12 include/linux/pgtable.h pte_unmap: faithful */
export function* pte_unmap(): Path {
  if (knob('pte_offset_map.rcu') === 'on') yield* rcu_read_unlock();
}

/**
 * Maps the page table and takes its lock; looks again whether the PMD still names it, since it may have gone before
 * the lock was taken.
 * @context may not sleep until pte_unmap_unlock()
 * @kernel 6.12 mm/pgtable-generic.c __pte_offset_map_lock: faithful
 */
export function* pte_offset_map_lock(
  pmdp: Cell,
  addr: number,
): Path<{ ptep: PtePointer; ptl: Cell } | undefined> {
  for (;;) {
    const mapped = yield* __pte_offset_map(pmdp, addr);
    if (mapped === undefined) return undefined;
    const { ptl } = current.kernel.mem_map[pfnOf(mapped.pmdval)]!;
    yield* spin_lock(ptl);
    if (mapped.pmdval === (yield* pmdp_get_lockless(pmdp))) return { ptep: mapped.ptep, ptl };
    yield* pte_unmap_unlock(ptl);
  }
}

/** @kernel 6.12 include/linux/mm.h pte_unmap_unlock: faithful */
export function* pte_unmap_unlock(ptl: Cell): Path {
  yield* spin_unlock(ptl);
  yield* pte_unmap();
}

/**
 * Maps the page table and finds its lock without taking it: the caller reads entries first and looks again under it.
 * @kernel 6.12 mm/pgtable-generic.c pte_offset_map_nolock: faithful
 */
export function* pte_offset_map_nolock(
  pmdp: Cell,
  addr: number,
): Path<{ ptep: PtePointer; ptl: Cell } | undefined> {
  const mapped = yield* __pte_offset_map(pmdp, addr);
  return mapped === undefined
    ? undefined
    : { ptep: mapped.ptep, ptl: current.kernel.mem_map[pfnOf(mapped.pmdval)]!.ptl };
}
