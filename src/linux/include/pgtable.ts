// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { clearBits, equals, exchange, read, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { highWord, joinWords, lowWord, makeEntry, pfnOf, PTE, pteType, swapType } from '../../machine/pte.js';
import { rcu_read_lock, rcu_read_unlock } from '../kernel/rcu/tree.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { current, knob, type Kernel } from '../kernel.js';
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
/** @kernel 6.12 arch/x86/include/asm/pgtable.h pte_mkspecial: faithful */
export const pte_mkspecial = (pte: Pte): Pte => pte | PTE.SPECIAL;
export const pte_mkclean = (pte: Pte): Pte => pte & ~PTE.DIRTY;
/** Soft-dirty as well, where the kernel tracks that. @kernel 6.12 arch/x86/include/asm/pgtable.h pte_mkdirty: faithful */
export const pte_mkdirty = (pte: Pte): Pte =>
  pte | PTE.DIRTY | (current.kernel.options.softDirty === true ? PTE.SOFT_DIRTY : 0);
/** The soft-dirty bit, in present and in swap-type entries: something was written since it was last cleared. @kernel 6.12 arch/x86/include/asm/pgtable.h pte_soft_dirty, pte_swp_soft_dirty: faithful */
export const pte_soft_dirty = (pte: Pte): boolean => (pte & PTE.SOFT_DIRTY) !== 0;
/** @kernel 6.12 arch/x86/include/asm/pgtable.h pte_mksoft_dirty: adapted (no bit where the kernel does not track it) */
export const pte_mksoft_dirty = (pte: Pte): Pte =>
  current.kernel.options.softDirty === true ? pte | PTE.SOFT_DIRTY : pte;
/** @kernel 6.12 arch/x86/include/asm/pgtable.h pte_clear_soft_dirty: faithful */
export const pte_clear_soft_dirty = (pte: Pte): Pte => pte & ~PTE.SOFT_DIRTY;
export const pte_swp_soft_dirty = pte_soft_dirty;
export const pte_swp_mksoft_dirty = pte_mksoft_dirty;
export const pte_swp_clear_soft_dirty = pte_clear_soft_dirty;
export const is_swap_pte = (pte: Pte): boolean => pte !== 0 && swapType(pte) !== 0;

/** The uffd-wp bit, in present and in swap-type entries: userfaultfd serves the next store. @kernel 6.12 arch/x86/include/asm/pgtable.h pte_uffd_wp, pte_swp_uffd_wp: faithful */
export const pte_uffd_wp = (pte: Pte): boolean => (pte & PTE.UFFD_WP) !== 0;
/** @kernel 6.12 arch/x86/include/asm/pgtable.h pte_mkuffd_wp: faithful */
export const pte_mkuffd_wp = (pte: Pte): Pte => pte_wrprotect(pte) | PTE.UFFD_WP;
/** @kernel 6.12 arch/x86/include/asm/pgtable.h pte_clear_uffd_wp: faithful */
export const pte_clear_uffd_wp = (pte: Pte): Pte => pte & ~PTE.UFFD_WP;
/** @kernel 6.12 arch/x86/include/asm/pgtable.h pte_swp_mkuffd_wp: faithful */
export const pte_swp_mkuffd_wp = (pte: Pte): Pte => pte | PTE.UFFD_WP;
export const pte_swp_uffd_wp = pte_uffd_wp;
export const pte_swp_clear_uffd_wp = pte_clear_uffd_wp;

/**
 * Whether a lockless walk may take the page: the caller has no VMA to ask.
 * @kernel 6.12 arch/x86/include/asm/pgtable.h pte_access_permitted: adapted (no protection keys)
 */
export const pte_access_permitted = (pte: Pte, forWrite: boolean): boolean => {
  if (knob('arch.pte_access_permitted') === 'generic')
    return pte_present(pte) && (!forWrite || pte_write(pte));
  const needed = PTE.PRESENT | PTE.USER | (forWrite ? PTE.RW : 0);
  return (pte & needed) === needed;
};

export const pmd_none = (pmd: Pmd): boolean => pmd === 0;
/** A leaf stays pmd_present() while pmdp_invalidate() hides it from the walkers. There are no swap-type PMDs. */
export const pmd_present = (pmd: Pmd): boolean => (pmd & (PTE.PRESENT | PTE.PROTNONE | PTE.PSE)) !== 0;
export const pmd_leaf = (pmd: Pmd): boolean => (pmd & PTE.PSE) !== 0;
export const pmd_protnone = pte_protnone;
export const pmd_write = pte_write;
export const pmd_dirty = pte_dirty;
export const pmd_page = pte_page;
export const pmd_mkinvalid = (pmd: Pmd): Pmd => pmd & ~(PTE.PRESENT | PTE.PROTNONE);
/** @kernel 6.12 arch/x86/include/asm/pgtable.h pmd_access_permitted: adapted (as pte_access_permitted()) */
export const pmd_access_permitted = pte_access_permitted;
/** A PMD that points to a table. */
export const pmdOfTable = (table: Page): Pmd => makeEntry(table.pfn, PTE.PRESENT);

/** The PMD that maps an address. */
export const pmd_offset = (mm: Mm, addr: number): Cell =>
  mm.pmd[Math.floor(addr / current.kernel.machine.options.ptrsPerPte)]!;

/** Pages that one PMD table maps, where there are such tables. @kernel 6.12 arch/x86/include/asm/pgtable_64_types.h PUD_SIZE: adapted (in pages) */
export const PUD_SIZE = (): number => {
  const { machine, options } = current.kernel;
  return machine.options.ptrsPerPte * options.ptrsPerPmd!;
};

/** Whether the PMD table that maps an address is there. Undefined: upper levels are folded. @kernel 6.12 include/linux/pgtable.h pud_offset: adapted (0 is pud_none()) */
export const pud_offset = (mm: Mm, addr: number): Cell | undefined => mm.pud?.[Math.floor(addr / PUD_SIZE())];

/** End of the range that one PMD table maps, or `end` if that comes first. @kernel 6.12 include/linux/pgtable.h pud_addr_end: faithful */
export const pud_addr_end = (addr: number, end: number): number =>
  Math.min((Math.floor(addr / PUD_SIZE()) + 1) * PUD_SIZE(), end);

/** Which PMD of its mm maps an address. */
export const pmd_index = (addr: number): number => Math.floor(addr / HPAGE_PMD_NR());

/** Pages that one PMD maps, and that a large folio has. */
export const HPAGE_PMD_NR = (): number => current.kernel.machine.options.ptrsPerPte;

/** The order of such a folio. @kernel 6.12 include/linux/huge_mm.h HPAGE_PMD_ORDER: faithful */
export const HPAGE_PMD_ORDER = (): number => Math.log2(HPAGE_PMD_NR());

/** End of the range that one PMD maps, or `end` if that comes first. */
export const pmd_addr_end = (addr: number, end: number): number => {
  const { ptrsPerPte } = current.kernel.machine.options;
  return Math.min((Math.floor(addr / ptrsPerPte) + 1) * ptrsPerPte, end);
};

/** The entry for `addr` in the table that a PMD value names. */
export const pteInTable = (pmd: Pmd, addr: number): PtePointer =>
  current.kernel.pte(pfnOf(pmd), addr % current.kernel.machine.options.ptrsPerPte);

/** @kernel 6.12 include/linux/pgtable.h pmdp_get_lockless: faithful (one-word PMDs) */
export function* pmdp_get_lockless(pmdp: Cell): Path<Pmd> {
  return yield* read(pmdp);
}

/**
 * The entry as it is. With two words they are read one after the other, so the PTL must be held or the value be compared.
 * @kernel 6.12 include/linux/pgtable.h ptep_get: faithful
 */
export function* ptep_get(ptep: PtePointer): Path<Pte> {
  const low = yield* read(ptep.cell);
  if (ptep.high === undefined) return low;
  return join(low, yield* read(ptep.high));
}

/** Whether the entry still has that value: `pte_val(pte) == pte_val(ptep_get(ptep))`, observed as a boolean. @context as ptep_get() */
export function* pteUnchanged(ptep: PtePointer, pte: Pte): Path<boolean> {
  if (ptep.high === undefined) return yield* equals(ptep.cell, pte);
  return (yield* ptep_get(ptep)) === pte;
}

/** Whether the PMD still has that value: `pmd_same(pmd, pmdp_get_lockless(pmdp))`, observed as a boolean. @context any */
export function* pmdUnchanged(pmdp: Cell, pmd: Pmd): Path<boolean> {
  return yield* equals(pmdp, pmd);
}

/**
 * The entry, read without a lock. One word is read at once. With two, the low word (which has the present bit) is read
 * before and after the high one: if it is the same, and an entry never goes from present to present without a TLB flush
 * that this CPU holds off by having interrupts off, then the high word belongs to it.
 * @kernel 6.12 include/linux/pgtable.h ptep_get_lockless: adapted (marked loads; knob pae.read)
 */
export function* ptep_get_lockless(ptep: PtePointer): Path<Pte> {
  const { high: highCell } = ptep;
  if (highCell === undefined) return yield* read(ptep.cell);
  if (knob('pae.read') === 'high-low') {
    const high = yield* read(highCell);
    return join(yield* read(ptep.cell), high);
  }
  for (;;) {
    const low = yield* read(ptep.cell);
    const high = yield* read(highCell);
    if (knob('pae.read') === 'low-high' || (yield* equals(ptep.cell, low))) return join(low, high);
  }
}

const join = (low: number, high: number): Pte => joinWords(low, high, current.kernel.machine.options.pae!);

/**
 * Stores an entry. With two words the high one goes first, so that the present bit comes with a complete entry.
 * @context PTL held; the entry is not present
 * @kernel 6.12 arch/x86/include/asm/pgtable-3level.h native_set_pte: faithful
 */
export function* set_pte(ptep: PtePointer, pte: Pte): Path {
  if (ptep.high === undefined) {
    yield* write(ptep.cell, pte);
    return;
  }
  const low = lowWord(pte, current.kernel.machine.options.pae!);
  if (knob('pae.write') === 'low-high') yield* write(ptep.cell, low);
  yield* write(ptep.high, highWord(pte));
  if (knob('pae.write') === 'high-low') yield* write(ptep.cell, low);
}

/**
 * Clears the entry and returns what it was, so that the walker's dirty bit is not lost in between. Two words go at once
 * (cmpxchg64).
 * @context PTL held
 * @kernel 6.12 arch/x86/include/asm/pgtable-3level.h native_ptep_get_and_clear: faithful
 */
export function* ptep_get_and_clear(ptep: PtePointer): Path<Pte> {
  if (ptep.high === undefined) return yield* exchange(ptep.cell, 0);
  return yield* request(current.kernel.op.clearWords, ptep.cell.at, ptep.high.at);
}

/** Clears an entry that is not present, which the walker leaves alone. @context PTL held @kernel 6.12 include/linux/pgtable.h pte_clear: faithful */
export function* pte_clear(ptep: PtePointer): Path {
  yield* set_pte(ptep, 0);
}

/** Two-word entries: the locked operation over both words. */
export function definePteOps(kernel: Kernel) {
  const { system, machine } = kernel;
  return {
    /** Clears low word a and high word b; observes the entry that they were. */
    clearWords: system.op({
      name: 'cmpxchg64',
      exec: (a, b) => {
        system.touch(a);
        const entry = joinWords(system.mem[a]!, system.mem[b]!, machine.options.pae!);
        system.set(a, 0);
        system.set(b, 0);
        return entry;
      },
      args: ['cell', 'cell', 'plain'],
      result: pteType,
      touches: (a, b, _c, _agent, access) => void access.writes.push(a, b),
    }),
  };
}

/** Takes the write permission away; the walker's dirty bit is not lost. @context PTL held @kernel 6.12 arch/x86/include/asm/pgtable.h ptep_set_wrprotect: faithful */
export function* ptep_set_wrprotect(ptep: PtePointer): Path {
  yield* clearBits(ptep.cell, PTE.RW);
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

/** Also says what the PMD was. @kernel 6.12 mm/pgtable-generic.c __pte_offset_map: faithful */
function* __pte_offset_map(pmdp: Cell, addr: number): Path<{ ptep: PtePointer; pmdval: Pmd } | undefined> {
  if (knob('pte_offset_map.rcu') === 'on') yield* rcu_read_lock();
  const pmdval = yield* pmdp_get_lockless(pmdp);
  if (pmd_none(pmdval) || !pmd_present(pmdval) || pmd_leaf(pmdval)) {
    yield* pte_unmap();
    return undefined;
  }
  return { ptep: pteInTable(pmdval, addr), pmdval };
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
    if (yield* pmdUnchanged(pmdp, mapped.pmdval)) return { ptep: mapped.ptep, ptl };
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
