// SPDX-License-Identifier: GPL-2.0-only
import { lockdep_assert_held } from '../include/lockdep.js';
import type { Path } from '../../core/path.js';
import { exchange, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { flush_tlb_mm_range } from '../arch/tlb.js';
import type { Mm, Page } from '../include/mm_types.js';
import { HPAGE_PMD_NR, type Pmd, pmd_index, pmd_mkinvalid, pmdp_get_lockless } from '../include/pgtable.js';
import { current } from '../kernel.js';

/**
 * Hides a huge PMD from walkers, keeping what it maps, and flushes: when it returns no CPU reaches the folio through it.
 * @context pmd lock held
 * @kernel 6.12 mm/pgtable-generic.c pmdp_invalidate: faithful
 */
export function* pmdp_invalidate(mm: Mm, address: number, pmdp: Cell): Path<Pmd> {
  const old = yield* exchange(pmdp, pmd_mkinvalid(yield* pmdp_get_lockless(pmdp)));
  yield* flush_tlb_mm_range(mm, address, address + HPAGE_PMD_NR());
  return old;
}

/**
 * As {@link pmdp_invalidate}, for who only wants the accessed and dirty bits to stay as they are: what is not present the
 * hardware leaves alone, so there is no flush. CPUs may go on with what their TLBs have.
 * @context pmd lock held
 * @kernel 6.12 arch/x86/mm/pgtable.c pmdp_invalidate_ad: faithful
 */
export function* pmdp_invalidate_ad(pmdp: Cell): Path<Pmd> {
  return yield* exchange(pmdp, pmd_mkinvalid(yield* pmdp_get_lockless(pmdp)));
}

/**
 * Unlinks a page table and flushes what it maps, so that the table can be taken to pieces.
 * @context pmd lock held
 * @kernel 6.12 mm/pgtable-generic.c pmdp_collapse_flush: faithful
 */
export function* pmdp_collapse_flush(mm: Mm, address: number, pmdp: Cell): Path<Pmd> {
  const pmd = yield* exchange(pmdp, 0);
  yield* flush_tlb_mm_range(mm, address, address + HPAGE_PMD_NR());
  return pmd;
}

/** Keeps a page table for the day when the huge PMD is split. @context pmd lock held @kernel 6.12 mm/pgtable-generic.c pgtable_trans_huge_deposit: adapted (one for each PMD) */
export function* pgtable_trans_huge_deposit(mm: Mm, address: number, pgtable: Page): Path {
  lockdep_assert_held(mm.page_table_lock);
  yield* write(mm.pmd_huge_pte[pmd_index(address)]!, pgtable.pfn + 1);
}

/** @context pmd lock held @kernel 6.12 mm/pgtable-generic.c pgtable_trans_huge_withdraw: adapted (one for each PMD) */
export function* pgtable_trans_huge_withdraw(mm: Mm, address: number): Path<Page> {
  lockdep_assert_held(mm.page_table_lock);
  const deposited = yield* exchange(mm.pmd_huge_pte[pmd_index(address)]!, 0);
  return current.kernel.mem_map[deposited - 1]!;
}
