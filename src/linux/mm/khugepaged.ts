// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { claim, read, setBits, testAndClearBits, testBits, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { PTE } from '../../machine/pte.js';
import { mmap_write_lock, mmap_write_unlock } from '../include/mmap_lock.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { folio_is_zone_device } from '../include/memremap.js';
import { PG, type Folio, type Mm, type PtePointer, type Vma } from '../include/mm_types.js';
import { page_folio, folio_get } from '../include/page_ref.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import {
  HPAGE_PMD_NR,
  mk_pte,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmd_page,
  pmd_present,
  pmdp_get_lockless,
  pte_mkdirty,
  pte_mkwrite,
  pte_none,
  pteInTable,
  pte_page,
  pte_present,
  pte_special,
  pte_unmap,
  pte_write,
  ptep_get,
  set_pmd,
} from '../include/pgtable.js';
import { current, knob } from '../kernel.js';
import { down_write, up_write } from '../kernel/locking/rwsem.js';
import { call_rcu, rcu_read_lock } from '../kernel/rcu/tree.js';
import { lockdep_assert_held } from '../include/lockdep.js';
import {
  SINGLE_DEPTH_NESTING,
  spin_lock,
  spin_lock_nested,
  spin_unlock,
} from '../kernel/locking/spinlock.js';
import { copy_user_page } from './memory-fault.js';
import { tlb_remove_table_sync_one } from './mmu_gather.js';
import { alloc_charge_folio } from './page_alloc.js';
import { pgtable_trans_huge_deposit, pmdp_collapse_flush } from './pgtable-generic.js';
import { folio_add_new_anon_rmap, folio_remove_rmap_pte } from './rmap.js';
import { is_refcount_suitable } from './rmap-large.js';
import { folio_put } from './swap.js';
import { find_vma } from './mmap.js';

/**
 * Locks the page of an entry and takes it off the LRU. Fails if somebody but the mapping refers to it: the table is
 * unlinked and every CPU flushed, so from here on nobody can get at it through this mm, unless a lockless walker is
 * still inside the table and does not look at the PMD again.
 * @context PTL held
 * @kernel 6.12 mm/khugepaged.c __collapse_huge_page_isolate: adapted (one PTE, small folios, no shared pages)
 */
function* __collapse_huge_page_isolate(ptep: PtePointer): Path<Folio | undefined> {
  const pteval = yield* ptep_get(ptep);
  if (pte_none(pteval) || !pte_present(pteval) || pte_special(pteval) || !pte_write(pteval)) return undefined;
  const folio = yield* page_folio(pte_page(pteval));
  if (yield* folio_is_zone_device(folio)) return undefined;
  if (!(yield* folio_trylock(folio))) return undefined;
  if (!(yield* is_refcount_suitable(folio))) {
    yield* folio_unlock(folio);
    return undefined;
  }
  if (!(yield* testAndClearBits(folio.flags, PG.lru))) {
    yield* folio_unlock(folio);
    return undefined;
  }
  yield* folio_get(folio); // folio_isolate_lru()
  lockdep_assert_held(folio.lock);
  const lru = yield* testBits(folio.flags, PG.lru);
  yield* claim(!lru, 'BUG-ON', 'VM_BUG_ON_FOLIO(folio_test_lru(folio)) in __collapse_huge_page_isolate()');
  return folio;
}

/** @kernel 6.12 mm/khugepaged.c release_pte_folio: faithful */
function* release_pte_folio(folio: Folio): Path {
  yield* folio_unlock(folio);
  yield* setBits(folio.flags, PG.lru);
  yield* folio_put(folio);
}

/** The old page goes: nothing maps it any more. @kernel 6.12 mm/khugepaged.c __collapse_huge_page_copy_succeeded: adapted (one PTE) */
function* __collapse_huge_page_copy_succeeded(ptep: PtePointer, ptl: Cell, src: Folio): Path {
  yield* release_pte_folio(src);
  yield* spin_lock(ptl);
  yield* write(ptep.cell, 0);
  yield* folio_remove_rmap_pte(src);
  yield* spin_unlock(ptl);
  yield* folio_put(src);
}

/** @context mmap_lock held @kernel 6.12 mm/khugepaged.c hugepage_vma_revalidate: adapted (range only) */
function* hugepage_vma_revalidate(mm: Mm, address: number): Path<Vma | undefined> {
  const vma = yield* find_vma(mm, address);
  if (vma === undefined || (yield* read(vma.vm_end)) < address + HPAGE_PMD_NR()) return undefined;
  return vma;
}

/**
 * Replaces a table of small pages by one huge page. The table is unlinked before the reference counts are looked at,
 * and the huge PMD comes when the contents have been copied. Returns whether it did.
 * @context may sleep; takes mmap_lock for write
 * @kernel 6.12 mm/khugepaged.c collapse_huge_page: adapted (HPAGE_PMD_NR is 1; no swap-in, no machine checks; begins after the scan)
 */
export function* collapse_huge_page(mm: Mm, address: number): Path<boolean> {
  if (HPAGE_PMD_NR() !== 1) throw new Error('expected ptrsPerPte = 1: collapse_huge_page() takes one page');
  const folio = yield* alloc_charge_folio();
  if (folio === undefined) return false;
  yield* mmap_write_lock(mm);
  const vma = yield* hugepage_vma_revalidate(mm, address);
  const pmdp = pmd_offset(mm, address);
  const pmdval = yield* pmdp_get_lockless(pmdp);
  const valid = vma !== undefined && !pmd_none(pmdval) && pmd_present(pmdval) && !pmd_leaf(pmdval);
  const done = valid && (yield* collapseLocked(mm, vma, pmdp, address, folio));
  yield* mmap_write_unlock(mm);
  if (!done) yield* folio_put(folio);
  return done;
}

/** collapse_huge_page(), the part under mmap_lock. */
function* collapseLocked(mm: Mm, vma: Vma, pmdp: Cell, address: number, folio: Folio): Path<boolean> {
  const anon_vma = current.kernel.anon_vmas[yield* read(vma.anon_vma)]!;
  yield* down_write(anon_vma);
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, address, address + HPAGE_PMD_NR());
  yield* mmu_notifier_invalidate_range_start(range);
  yield* spin_lock(mm.page_table_lock);
  const old_pmd = yield* pmdp_collapse_flush(mm, address, pmdp);
  yield* spin_unlock(mm.page_table_lock);
  yield* mmu_notifier_invalidate_range_end(range);
  // The flush waits for walkers with interrupts off only where it is an interrupt.
  if (knob('khugepaged.sync_one') === 'on') yield* tlb_remove_table_sync_one();

  yield* rcu_read_lock(); // pte_offset_map_lock(&_pmd): the value, not the PMD, so it can't fail
  const { ptl } = pmd_page(old_pmd);
  const ptep = pteInTable(old_pmd, address);
  yield* spin_lock(ptl);
  const src = yield* __collapse_huge_page_isolate(ptep);
  yield* spin_unlock(ptl);
  if (src === undefined) {
    yield* pte_unmap();
    yield* spin_lock(mm.page_table_lock);
    yield* set_pmd(pmdp, old_pmd);
    yield* spin_unlock(mm.page_table_lock);
    yield* up_write(anon_vma);
    return false;
  }
  yield* up_write(anon_vma);
  yield* copy_user_page(folio, src);
  yield* __collapse_huge_page_copy_succeeded(ptep, ptl, src);
  yield* pte_unmap();

  yield* spin_lock(mm.page_table_lock);
  yield* folio_add_new_anon_rmap(folio, vma, address);
  yield* pgtable_trans_huge_deposit(mm, address, pmd_page(old_pmd));
  yield* set_pmd(pmdp, pte_mkwrite(pte_mkdirty(mk_pte(folio, PTE.PRESENT | PTE.USER | PTE.PSE))));
  yield* spin_unlock(mm.page_table_lock);
  return true;
}

/**
 * Takes the empty page table of one VMA away, without mmap_lock: who looks entries up in it meanwhile finds none. Returns
 * whether it did. A VMA with an anon_vma is left alone, so that only mappings of files see this.
 * @context i_mmap_rwsem held for read; may sleep
 * @kernel 6.12 mm/khugepaged.c retract_page_tables: adapted (one VMA; no uffd-wp; knob retract_page_tables.anon_vma)
 */
export function* retract_page_tables(vma: Vma, addr: number): Path<boolean> {
  const skips = knob('retract_page_tables.anon_vma') === 'skipped';
  if (skips && (yield* read(vma.anon_vma)) !== 0) return false;
  const mm = vma.vm_mm;
  const pmd = pmd_offset(mm, addr);
  const pmdval = yield* pmdp_get_lockless(pmd);
  if (pmd_none(pmdval) || !pmd_present(pmdval) || pmd_leaf(pmdval)) return false;
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, addr, addr + HPAGE_PMD_NR());
  yield* mmu_notifier_invalidate_range_start(range);
  const table = pmd_page(pmdval);
  yield* spin_lock(mm.page_table_lock);
  yield* spin_lock_nested(table.ptl, SINGLE_DEPTH_NESTING);
  let removed = !skips || (yield* read(vma.anon_vma)) === 0;
  for (let i = 0; i < HPAGE_PMD_NR() && removed; i++)
    removed = pte_none(yield* ptep_get(pteInTable(pmdval, addr + i)));
  if (removed) yield* pmdp_collapse_flush(mm, addr, pmd);
  yield* spin_unlock(table.ptl);
  yield* spin_unlock(mm.page_table_lock);
  yield* mmu_notifier_invalidate_range_end(range);
  if (removed) yield* call_rcu('tlb_remove_table_rcu', table.pfn); // pte_free_defer()
  return removed;
}
