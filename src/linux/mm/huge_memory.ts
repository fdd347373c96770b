// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { equals, add, clearBits, exchange, read, setBits, trylock, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { makeSwapEntry, PTE, SwapType } from '../../machine/pte.js';
import { local_irq_restore, local_irq_save } from '../arch/irqflags.js';
import { EAGAIN, EBUSY } from '../include/errno.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { PG, type Folio, type Mm, type Page } from '../include/mm_types.js';
import { nth_page, PageAnonExclusive } from '../include/page-flags.js';
import { folio_ref_freeze, folio_ref_unfreeze, folio_try_get, page_folio } from '../include/page_ref.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import {
  HPAGE_PMD_NR,
  pmdOfTable,
  mk_pte,
  pmd_dirty,
  pmd_leaf,
  pmd_offset,
  pmd_page,
  pmd_write,
  pmdp_get_lockless,
  pte_mkdirty,
  pte_mkwrite,
  type Pmd,
  set_pmd,
  set_pte,
} from '../include/pgtable.js';
import { current, knob } from '../kernel.js';
import { down_write, up_write } from '../kernel/locking/rwsem.js';
import { lockdep_assert_held } from '../include/lockdep.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { remap_page, unmap_folio } from './huge_memory-unmap.js';
import { type MmuGather, __tlb_adjust_range, tlb_remove_page } from './mmu_gather.js';
import { free_unref_page } from './page_alloc.js';
import { pgtable_trans_huge_withdraw, pmdp_invalidate } from './pgtable-generic.js';
import {
  folio_add_anon_rmap_ptes,
  folio_mapcount,
  folio_remove_rmap_pmd,
  folio_try_share_anon_rmap_pmd,
} from './rmap-large.js';
import { folio_put } from './swap.js';

/**
 * Replaces a huge PMD by a table of PTEs: entries of the same pages, or with `freeze` migration entries. The PMD is
 * made not present and flushed first, so that no CPU has a huge and a small translation of one address.
 * @context pmd lock held
 * @kernel 6.12 mm/huge_memory.c __split_huge_pmd_locked: adapted (anonymous memory; no migration entry at the PMD)
 */
function* __split_huge_pmd_locked(mm: Mm, pmd: Cell, haddr: number, freeze: boolean): Path {
  const old_pmd =
    knob('thp.split_flush') === 'on' ? yield* pmdp_invalidate(mm, haddr, pmd) : yield* pmdp_get_lockless(pmd);
  const page = pmd_page(old_pmd);
  const folio = yield* page_folio(page);
  if (pmd_dirty(old_pmd)) yield* setBits(folio.flags, PG.dirty);
  const anon_exclusive = yield* PageAnonExclusive(page);
  let frozen = freeze;
  if (freeze && anon_exclusive && (yield* folio_try_share_anon_rmap_pmd(folio)) !== 0) frozen = false;
  if (!frozen) {
    yield* add(folio._refcount, HPAGE_PMD_NR() - 1);
    yield* folio_add_anon_rmap_ptes(folio, anon_exclusive);
  }
  const pgtable = yield* pgtable_trans_huge_withdraw(mm, haddr);
  for (let i = 0; i < HPAGE_PMD_NR(); i++) {
    const subpage = nth_page(page, i);
    yield* set_pte(
      current.kernel.pte(pgtable.pfn, i),
      frozen ? migrationEntry(subpage, old_pmd, anon_exclusive) : smallEntry(subpage, old_pmd),
    );
  }
  yield* folio_remove_rmap_pmd(folio);
  if (frozen) yield* folio_put(folio);
  yield* set_pmd(pmd, pmdOfTable(pgtable)); // behind the stores to the table
}

const migrationEntry = (page: Page, pmd: Pmd, anon_exclusive: boolean): number =>
  makeSwapEntry(
    pmd_write(pmd)
      ? SwapType.MIGRATION_WRITE
      : anon_exclusive
        ? SwapType.MIGRATION_READ_EXCLUSIVE
        : SwapType.MIGRATION_READ,
    page.pfn,
  );

const smallEntry = (page: Page, pmd: Pmd): number => {
  let entry = mk_pte(page, PTE.PRESENT | PTE.USER);
  if (pmd_write(pmd)) entry = pte_mkwrite(entry);
  return pmd_dirty(pmd) ? pte_mkdirty(entry) : entry;
};

/**
 * Splits the huge PMD of an address, if there is one; with a folio only if it maps that one.
 * @context folio locked if `folio` is given; mmap_lock or the anon_vma lock held; may sleep
 * @kernel 6.12 mm/huge_memory.c __split_huge_pmd: faithful
 */
export function* __split_huge_pmd(mm: Mm, address: number, freeze: boolean, folio?: Folio): Path {
  const pmd = pmd_offset(mm, address);
  const haddr = address - (address % HPAGE_PMD_NR());
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, haddr, haddr + HPAGE_PMD_NR());
  yield* mmu_notifier_invalidate_range_start(range);
  yield* spin_lock(mm.page_table_lock);
  const pmdval = yield* pmdp_get_lockless(pmd);
  if (pmd_leaf(pmdval) && (folio === undefined || folio === pmd_page(pmdval)))
    yield* __split_huge_pmd_locked(mm, pmd, haddr, freeze);
  yield* spin_unlock(mm.page_table_lock);
  yield* mmu_notifier_invalidate_range_end(range);
}

/**
 * Clears the huge PMD of an address and gathers its folio; the table that was kept for a split goes as well. Returns
 * false if the PMD is no longer huge.
 * @context mmap_lock held
 * @kernel 6.12 mm/huge_memory.c zap_huge_pmd: adapted (anonymous memory)
 */
export function* zap_huge_pmd(tlb: MmuGather, pmd: Cell, addr: number): Path<boolean> {
  const { mm } = tlb;
  yield* spin_lock(mm.page_table_lock);
  if (!pmd_leaf(yield* pmdp_get_lockless(pmd))) {
    yield* spin_unlock(mm.page_table_lock);
    return false;
  }
  const page = pmd_page(yield* exchange(pmd, 0));
  __tlb_adjust_range(tlb, addr, HPAGE_PMD_NR());
  yield* folio_remove_rmap_pmd(yield* page_folio(page));
  yield* free_unref_page(yield* pgtable_trans_huge_withdraw(mm, addr));
  yield* add(mm.anon_rss, -HPAGE_PMD_NR());
  yield* spin_unlock(mm.page_table_lock);
  tlb_remove_page(tlb, page);
  return true;
}

/** Whether only mappings and `caller_pins` hold the folio, as far as one can tell. @kernel 6.12 mm/huge_memory.c can_split_folio: adapted (anonymous, not in the swap cache) */
function* can_split_folio(folio: Folio, caller_pins: number): Path<boolean> {
  const mapcount = yield* folio_mapcount(folio);
  return yield* equals(folio._refcount, mapcount + caller_pins);
}

/**
 * Makes a folio of its own of a tail page: all that a small folio has, then the tail mark goes, and only then the count
 * leaves zero, so whoever gets a reference on it finds it complete.
 * @context IRQs off, head frozen
 * @kernel 6.12 mm/huge_memory.c __split_huge_page_tail: faithful (no LRU list, no statistics)
 */
function* __split_huge_page_tail(folio: Folio, tail: number): Path {
  const page_tail = nth_page(folio, tail);
  const cloned = PG.referenced | PG.swapbacked | PG.swapcache | PG.uptodate | PG.dirty | PG.anon | PG.lru;
  const flags = (yield* read(folio.flags)) & cloned;
  yield* setBits(page_tail.flags, flags);
  yield* trylock(page_tail.lock); // PG_locked is cloned with the flags
  yield* write(page_tail.mapping, yield* read(folio.mapping));
  yield* write(page_tail.index, (yield* read(folio.index)) + tail);
  yield* write(page_tail.compound_head, 0);
  yield* folio_ref_unfreeze(page_tail, 1);
}

/** @context IRQs off at entry, on at return; head frozen and locked, anon_vma lock held @kernel 6.12 mm/huge_memory.c __split_huge_page: adapted (anonymous, not in the swap cache, to order 0) */
function* __split_huge_page(page: Page, folio: Folio): Path {
  for (let i = HPAGE_PMD_NR() - 1; i >= 1; i--) yield* __split_huge_page_tail(folio, i);
  yield* clearBits(folio.flags, PG.head);
  yield* add(folio._refcount, 1);
  yield* local_irq_restore();
  yield* remap_page(folio);
  for (let i = 0; i < HPAGE_PMD_NR(); i++) {
    const subpage = nth_page(folio, i);
    if (subpage === page) continue;
    yield* folio_unlock(subpage);
    yield* folio_put(subpage);
  }
}

/**
 * Splits a large folio into small ones: takes it out of the page tables, freezes its count, so that nobody has or gets
 * a reference, gives each page a count of its own, and maps them again.
 * @context folio locked, one reference is the caller's; may sleep
 * @kernel 6.12 mm/huge_memory.c split_huge_page_to_list_to_order: adapted (anonymous, to order 0)
 */
export function* split_huge_page_to_list_to_order(page: Page): Path<number> {
  const folio = yield* page_folio(page);
  lockdep_assert_held(folio.lock);
  const anon_vma = yield* read(folio.mapping);
  if (anon_vma === 0) return -EBUSY;
  yield* down_write(current.kernel.anon_vmas[anon_vma]!);
  let ret = -EAGAIN;
  if (yield* can_split_folio(folio, 1)) {
    yield* unmap_folio(folio, anon_vma);
    yield* local_irq_save();
    if (yield* folio_ref_freeze(folio, 1)) {
      yield* __split_huge_page(page, folio);
      ret = 0;
    } else {
      yield* local_irq_restore();
      yield* remap_page(folio);
    }
  }
  yield* up_write(current.kernel.anon_vmas[anon_vma]!);
  return ret;
}

/**
 * The shrinker that splits large folios of which not all is in use. Returns whether it split the folio.
 * @context may sleep
 * @kernel 6.12 mm/huge_memory.c deferred_split_scan: adapted (one folio; the queue is left out)
 */
export function* deferred_split_scan(folio: Folio): Path<boolean> {
  if (!(yield* folio_try_get(folio))) return false;
  let split = false;
  if (yield* folio_trylock(folio)) {
    split = (yield* split_huge_page_to_list_to_order(folio)) === 0;
    yield* folio_unlock(folio);
  }
  yield* folio_put(folio);
  return split;
}
