// SPDX-License-Identifier: GPL-2.0-only
/** mm/memory.c: PMD tables, where the model has them: of one only whether it is there. */
import type { Path } from '../../core/path.js';
import { load, store } from '../../core/primitives.js';
import type { Mm } from '../include/mm_types.js';
import { pud_addr_end, pud_offset, PUD_SIZE } from '../include/pgtable.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';

/**
 * Puts a PMD table under an empty PUD. Not a step where upper levels are folded.
 * @context may sleep; mmap_lock held
 * @kernel 6.12 mm/memory.c __pmd_alloc: adapted (it is there or not; memory for it does not run out)
 */
export function* pmd_alloc(mm: Mm, address: number): Path {
  const pud = pud_offset(mm, address);
  if (pud === undefined || (yield* load(pud)) !== 0) return;
  yield* spin_lock(mm.page_table_lock);
  yield* store(pud, 1);
  yield* spin_unlock(mm.page_table_lock);
}

/**
 * Takes away the PMD tables of [addr, end), but for one that reaches below `floor` or above `ceiling`.
 * @context mmap_lock held for write, or the VMAs are detached
 * @kernel 6.12 mm/memory.c free_pmd_range: adapted (what comes after its page tables; the table itself is no page)
 */
export function* freePmdTables(mm: Mm, addr: number, end: number, floor: number, ceiling: number): Path {
  if (mm.pud === undefined) return;
  const tableStart = (at: number): number => Math.floor(at / PUD_SIZE()) * PUD_SIZE();
  // The end of user space is above all tables.
  const last = ceiling < mm.space.pages ? tableStart(ceiling) : Infinity;
  let next: number;
  for (let at = addr; at < end; at = next) {
    next = pud_addr_end(at, end);
    if (tableStart(at) >= floor && next <= last) yield* store(pud_offset(mm, at)!, 0);
  }
}
