// SPDX-License-Identifier: GPL-2.0-only
/** mm/migrate_device.c: what is mapped in a range is collected, and migration entries take its place. */
import type { Path } from '../../core/path.js';
import { equals, testBits } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { pfnOf } from '../../machine/pte.js';
import { flush_tlb_mm_range, ptep_clear_flush } from '../arch/tlb.js';
import { is_device_coherent_page, is_zone_device_page, pgmapOf } from '../include/memremap.js';
import {
  lockedByFault,
  MIGRATE_PFN,
  MIGRATE_VMA_SELECT,
  migrate_pfn,
  type MigrateVma,
} from '../include/migrate.js';
import { is_zero_pfn, vma_is_anonymous } from '../include/mm.js';
import { mmap_assert_locked } from '../include/lockdep.js';
import { PG, type Folio, type Page, type PtePointer, type Vma } from '../include/mm_types.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init_owner,
} from '../include/mmu_notifier.js';
import { folio_test_anon, PageAnonExclusive } from '../include/page-flags.js';
import { folio_get, page_folio } from '../include/page_ref.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import {
  PAGE_SIZE,
  pmd_addr_end,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmd_page,
  pmdp_get_lockless,
  type Pte,
  pte_dirty,
  pte_none,
  pte_offset_map_lock,
  pte_present,
  pte_unmap_unlock,
  pte_write,
  ptep_get,
  ptep_get_and_clear,
  set_pte,
} from '../include/pgtable.js';
import {
  is_device_private_entry,
  is_writable_device_private_entry,
  migrationEntry,
  pfn_swap_entry_to_page,
} from '../include/swapops.js';
import { current, knob } from '../kernel.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { split_huge_page_to_list_to_order } from './huge_memory.js';
import { vm_normal_page } from './memory.js';
import { folio_mark_dirty } from './page-writeback.js';
import { folio_remove_rmap_pte, folio_try_share_anon_rmap_pte } from './rmap.js';
import { folio_put } from './swap.js';

/** Writes down what was found at the next page. */
function collected(migrate: MigrateVma, mpfn: number): void {
  migrate.src[migrate.npages] = mpfn;
  migrate.dst[migrate.npages] = 0;
  migrate.npages++;
}

/** @kernel 6.12 mm/migrate_device.c migrate_vma_collect_skip: faithful */
function migrate_vma_collect_skip(start: number, end: number, migrate: MigrateVma): void {
  for (let addr = start; addr < end; addr += PAGE_SIZE) collected(migrate, 0);
}

/** Nothing is there: in anonymous memory a device may have a page made there. @context mmap_lock held @kernel 6.12 mm/migrate_device.c migrate_vma_collect_hole: faithful */
function* migrate_vma_collect_hole(start: number, end: number, migrate: MigrateVma): Path {
  if (!(yield* vma_is_anonymous(migrate.vma!))) {
    migrate_vma_collect_skip(start, end, migrate);
    return;
  }
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    collected(migrate, MIGRATE_PFN.MIGRATE);
    migrate.cpages++;
  }
}

/**
 * A PMD maps a folio: splits it into small ones. Returns whether that went well; the PMD may be another by then.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/migrate_device.c migrate_vma_collect_pmd: adapted (the part for huge PMDs; no huge zero page)
 */
function* splitHuge(vma: Vma, pmdp: Cell): Path<boolean> {
  const { page_table_lock } = vma.vm_mm;
  yield* spin_lock(page_table_lock);
  const pmd = yield* pmdp_get_lockless(pmdp);
  if (!pmd_leaf(pmd)) {
    yield* spin_unlock(page_table_lock);
    return true;
  }
  const folio = yield* page_folio(pmd_page(pmd));
  yield* folio_get(folio);
  yield* spin_unlock(page_table_lock);
  if (!(yield* folio_trylock(folio))) return false;
  const ret = yield* split_huge_page_to_list_to_order(folio);
  yield* folio_unlock(folio);
  yield* folio_put(folio);
  return ret === 0;
}

/** A page that an entry names, with what src says of it. */
interface Found {
  readonly page: Page;
  readonly mpfn: number;
}

/**
 * Which page of those that are asked for the entry names: undefined for none, a number where there is none but a device
 * may have one made.
 * @context PTL held
 * @kernel 6.12 mm/migrate_device.c migrate_vma_collect_pmd: adapted (the part that selects)
 */
function* select(migrate: MigrateVma, pte: Pte): Path<Found | number | undefined> {
  const { flags, pgmap_owner } = migrate;
  const filters = knob('migrate_vma.owner') === 'filtered';
  if (pte_none(pte)) return (yield* vma_is_anonymous(migrate.vma!)) ? MIGRATE_PFN.MIGRATE : undefined;
  if (!pte_present(pte)) {
    if (!is_device_private_entry(pte)) return undefined;
    const page = pfn_swap_entry_to_page(pte);
    if (!(flags & MIGRATE_VMA_SELECT.DEVICE_PRIVATE)) return undefined;
    if (filters && pgmapOf(page)?.owner !== pgmap_owner) return undefined;
    const writable = is_writable_device_private_entry(pte) ? MIGRATE_PFN.WRITE : 0;
    return { page, mpfn: migrate_pfn(page.pfn) | MIGRATE_PFN.MIGRATE | writable };
  }
  const system = (flags & MIGRATE_VMA_SELECT.SYSTEM) !== 0;
  if (is_zero_pfn(pfnOf(pte)) && system) return MIGRATE_PFN.MIGRATE;
  const page = vm_normal_page(pte);
  if (page === undefined) return undefined;
  if (!system && !(yield* is_zone_device_page(page))) return undefined;
  if (yield* is_device_coherent_page(page)) {
    if (!(flags & MIGRATE_VMA_SELECT.DEVICE_COHERENT)) return undefined;
    if (filters && pgmapOf(page)?.owner !== pgmap_owner) return undefined;
  }
  const writable = pte_write(pte) ? MIGRATE_PFN.WRITE : 0;
  return { page, mpfn: migrate_pfn(page.pfn) | MIGRATE_PFN.MIGRATE | writable };
}

/** Whether the page is one of a large folio: no step without huge pages. @kernel 6.12 include/linux/page-flags.h PageTransCompound: faithful */
function* PageTransCompound(page: Page): Path<boolean> {
  if (!current.kernel.options.thp) return false;
  return (yield* testBits(page.flags, PG.head)) || !(yield* equals(page.compound_head, 0));
}

/**
 * Puts a migration entry in the place of one that names a locked page: clear, flush where the page was exclusive, and
 * only then the flag goes, so that GUP-fast sees one of the two. Returns false if it has to stay: the page is pinned.
 * @context PTL held, folio locked and referenced
 * @kernel 6.12 mm/migrate_device.c migrate_vma_collect_pmd: adapted (the part for a locked folio; no accessed and dirty bits in the entry)
 */
function* unmapEntry(
  vma: Vma,
  addr: number,
  ptep: PtePointer,
  folio: Folio,
  { page, mpfn }: Found,
): Path<boolean> {
  const anon_exclusive = (yield* folio_test_anon(folio)) && (yield* PageAnonExclusive(page));
  let pte: Pte;
  if (anon_exclusive) {
    pte = yield* ptep_clear_flush(vma.vm_mm, addr, ptep);
    if ((yield* folio_try_share_anon_rmap_pte(folio, page)) !== 0) {
      yield* set_pte(ptep, pte);
      return false;
    }
  } else pte = yield* ptep_get_and_clear(ptep);
  if (pte_present(pte) && pte_dirty(pte) && knob('migrate_vma.dirty') === 'passed-on')
    yield* folio_mark_dirty(folio);
  const writable = (mpfn & MIGRATE_PFN.WRITE) !== 0;
  yield* set_pte(ptep, migrationEntry(page.pfn, writable, anon_exclusive, pte));
  yield* folio_remove_rmap_pte(page, vma);
  yield* folio_put(folio); // the entry's; the caller has one
  return true;
}

/**
 * Collects what one page table maps. Each page that is found is referenced; those that can be locked without waiting, so
 * that two migrations don't wait for each other, are unmapped here, and stay locked.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/migrate_device.c migrate_vma_collect_pmd: faithful
 */
function* migrate_vma_collect_pmd(pmdp: Cell, start: number, end: number, migrate: MigrateVma): Path {
  const vma = migrate.vma!;
  for (;;) {
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (pmd_none(pmd)) {
      yield* migrate_vma_collect_hole(start, end, migrate);
      return;
    }
    if (pmd_leaf(pmd) && !(yield* splitHuge(vma, pmdp))) {
      migrate_vma_collect_skip(start, end, migrate);
      return;
    }
    const mapped = yield* pte_offset_map_lock(pmdp, start);
    if (mapped === undefined) continue;
    const unmapped = yield* collectTable(migrate, mapped.ptep, start, end);
    const flush = knob('migrate_vma.flush');
    if (unmapped && flush === 'on') yield* flush_tlb_mm_range(vma.vm_mm, start, end);
    yield* pte_unmap_unlock(mapped.ptl);
    if (unmapped && flush === 'after-unlock') yield* flush_tlb_mm_range(vma.vm_mm, start, end);
    return;
  }
}

/** The entries of a table, one after the other. Returns whether present ones were unmapped, which have to be flushed. @context PTL held */
function* collectTable(migrate: MigrateVma, first: PtePointer, start: number, end: number): Path<boolean> {
  const vma = migrate.vma!;
  let unmapped = false;
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const ptep = current.kernel.pte(first.table.number, first.index + addr - start);
    const pte = yield* ptep_get(ptep);
    const found = yield* select(migrate, pte);
    if (typeof found === 'number') migrate.cpages++;
    if (typeof found !== 'object') {
      collected(migrate, found ?? 0);
      continue;
    }
    if ((yield* equals(found.page.mapping, 0)) || (yield* PageTransCompound(found.page))) {
      collected(migrate, 0);
      continue;
    }
    const folio = yield* page_folio(found.page);
    yield* folio_get(folio);
    const locked = lockedByFault(migrate.fault_page, folio);
    if (!locked && !(yield* folio_trylock(folio))) {
      yield* folio_put(folio);
      collected(migrate, 0);
      continue;
    }
    if (!(yield* unmapEntry(vma, addr, ptep, folio, found))) {
      if (!locked) yield* folio_unlock(folio);
      yield* folio_put(folio);
      collected(migrate, 0);
      continue;
    }
    migrate.cpages++;
    if (pte_present(pte)) unmapped = true;
    collected(migrate, found.mpfn);
  }
  return unmapped;
}

/**
 * Collects a range of one VMA. Callbacks of the device whose memory it is may leave the event alone: what it has there
 * is migrated with its knowledge.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/migrate_device.c migrate_vma_collect: adapted (walk_page_range() in one VMA folded in)
 */
export function* migrate_vma_collect(migrate: MigrateVma): Path {
  const { start, end, pgmap_owner } = migrate;
  const mm = migrate.vma!.vm_mm;
  mmap_assert_locked(mm);
  const range = mmu_notifier_range_init_owner(MMU_NOTIFY.MIGRATE, 0, mm, start, end, pgmap_owner);
  const notifies = knob('migrate_vma.notifier') === 'on';
  if (notifies) yield* mmu_notifier_invalidate_range_start(range);
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    yield* migrate_vma_collect_pmd(pmd_offset(mm, addr), addr, next, migrate);
  }
  if (notifies) yield* mmu_notifier_invalidate_range_end(range);
  migrate.end = start + migrate.npages * PAGE_SIZE;
}
