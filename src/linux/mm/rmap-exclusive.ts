// SPDX-License-Identifier: GPL-2.0-only
/** mm/rmap.c: pages are made exclusive for a device, in each of the forms it has had. */
import type { Path } from '../../core/path.js';
import { claim, equals, read } from '../../core/primitives.js';
import { PTE } from '../../machine/pte.js';
import { ptep_clear_flush } from '../arch/tlb.js';
import { EBUSY, EFAULT, EOPNOTSUPP } from '../include/errno.js';
import { mmap_assert_locked } from '../include/lockdep.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import { type Folio, type Mm, type Page, type PtePointer, VM, type Vma } from '../include/mm_types.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init_owner,
  type MmuNotifierRange,
} from '../include/mmu_notifier.js';
import { folio_test_anon, folio_test_large } from '../include/page-flags.js';
import { folio_get, page_folio } from '../include/page_ref.js';
import { folio_lock, folio_trylock, folio_unlock } from '../include/pagemap.js';
import {
  HPAGE_PMD_NR,
  PAGE_SIZE,
  pmd_leaf,
  pmd_offset,
  pmdp_get_lockless,
  type Pte,
  pte_dirty,
  pte_offset_map_lock,
  pte_page,
  pte_pfn,
  pte_present,
  pte_unmap_unlock,
  pte_write,
  ptep_get,
  set_pte,
} from '../include/pgtable.js';
import { deviceExclusiveEntry } from '../include/swapops.js';
import { current, knob } from '../kernel.js';
import { FOLL } from './gup.js';
import { get_user_page_vma_remote, get_user_pages_remote } from './gup-slow.js';
import { find_vma } from './mmap.js';
import { folio_mark_dirty } from './page-writeback.js';
import { DEFINE_FOLIO_VMA_WALK, page_vma_mapped_walk, page_vma_mapped_walk_done } from './page_vma_mapped.js';
import { folio_mapped, folio_remove_rmap_pte, rmapWalkBegin, rmapWalkEnd } from './rmap.js';
import { folio_put } from './swap.js';

/** What make_device_exclusive_range() came to: a count or a negative error number; undefined for a page that it refused. */
export interface MadeExclusive {
  readonly ret: number;
  /** The pages it made exclusive: locked, with a reference each. */
  readonly pages: readonly (Page | undefined)[];
}

/**
 * What a conversion is asked for, and whether it found that.
 * @kernel 6.12 mm/rmap.c struct make_exclusive_args: faithful
 */
interface MakeExclusiveArgs {
  readonly mm: Mm;
  readonly address: number;
  readonly owner: number;
  valid: boolean;
}

/** The flags that GUP is asked with. */
const gupFlags = (): number => FOLL.GET | FOLL.SPLIT_PMD | (knob('make.gup') === 'write' ? FOLL.WRITE : 0);

/** The device-exclusive entry that takes the place of `pteval`. */
function exclusiveEntryFor(page: Page, pteval: Pte): Pte {
  let from = pteval;
  if (knob('make.soft_dirty') === 'lost') from &= ~PTE.SOFT_DIRTY;
  if (knob('make.uffd_wp') === 'lost') from &= ~PTE.UFFD_WP;
  return deviceExclusiveEntry(page.pfn, pte_write(pteval), from);
}

/** Whether the entry that was converted is the one that the caller asked for. */
function isTarget(args: MakeExclusiveArgs, mm: Mm, address: number, pteval: Pte): boolean {
  if (knob('make.write_check') === 'on' && !pte_write(pteval)) return false;
  const check = knob('make.mapped_check');
  if (check === 'none') return true;
  return args.mm === mm && (check === 'mm' || args.address === address);
}

/**
 * Converts the entries of a folio in one VMA. The PTE is cleared and flushed before the dirty bit is passed on and the
 * entry set, so that no store of a CPU is lost. The reference that the PTE had goes over to the entry. Returns false to
 * end the walk.
 * @context folio locked and referenced, anon_vma lock held; may sleep
 * @kernel 6.12 mm/rmap.c page_make_device_exclusive_one: adapted (entries are of small folios, or of one page of a large one)
 */
function* page_make_device_exclusive_one(
  folio: Folio,
  vma: Vma,
  address: number,
  args: MakeExclusiveArgs,
): Path<boolean> {
  const mm = vma.vm_mm;
  const pvmw = DEFINE_FOLIO_VMA_WALK(folio, vma, address);
  const size = (yield* folio_test_large(folio)) ? HPAGE_PMD_NR() : PAGE_SIZE;
  const vm_end = yield* read(vma.vm_end);
  const range = mmu_notifier_range_init_owner(
    MMU_NOTIFY.EXCLUSIVE,
    0,
    mm,
    address,
    Math.min(vm_end, address + size),
    args.owner,
  );
  yield* startMakeRange(range);
  yield* assertNoHugePmd(mm, address);
  let ret = true;
  while (yield* page_vma_mapped_walk(pvmw)) {
    const ptep = pvmw.ptep!;
    const ptent = yield* ptep_get(ptep);
    if (!pte_present(ptent)) {
      ret = false;
      yield* page_vma_mapped_walk_done(pvmw);
      break;
    }
    const subpage = pte_page(ptent);
    const pteval = yield* ptep_clear_flush(mm, pvmw.address, ptep);
    if (pte_dirty(pteval)) yield* folio_mark_dirty(folio);
    if (isTarget(args, mm, pvmw.address, pteval)) args.valid = true;
    yield* set_pte(ptep, exclusiveEntryFor(subpage, pteval));
    if (knob('exclusive.mapcount') === 'dropped') yield* folio_remove_rmap_pte(subpage, vma);
  }
  yield* endMakeRange(range);
  return ret;
}

/** VM_BUG_ON_FOLIO(!pvmw.pte): a PMD that maps the folio would be cleared as if it were a PTE. No step without huge pages. @context PTL not held, so it is asked before the walk */
function* assertNoHugePmd(mm: Mm, address: number): Path {
  if (!current.kernel.options.thp) return;
  const pmd = yield* pmdp_get_lockless(pmd_offset(mm, address));
  yield* claim(!pmd_leaf(pmd), 'BUG-ON', 'a PMD is about to be taken for a PTE: VM_BUG_ON_FOLIO(!pvmw.pte)');
}

/** Knob make.notifier: whether the conversion tells anybody. @context may sleep */
function* startMakeRange(range: MmuNotifierRange): Path {
  if (knob('make.notifier') === 'exclusive') yield* mmu_notifier_invalidate_range_start(range);
}
/** The other end of {@link startMakeRange}. @context may sleep */
function* endMakeRange(range: MmuNotifierRange): Path {
  if (knob('make.notifier') === 'exclusive') yield* mmu_notifier_invalidate_range_end(range);
}

/**
 * Converts all entries of a folio, in every mm. Returns whether it was mapped writable where it was expected and is not
 * mapped any more; if not, entries may have been converted all the same, which does no harm.
 * @context folio locked and referenced; may sleep
 * @kernel 6.12 mm/rmap.c folio_make_device_exclusive: adapted (no hugetlb; the walk takes the anon_vma lock even if the folio is not mapped)
 */
function* folio_make_device_exclusive(folio: Folio, mm: Mm, address: number, owner: number): Path<boolean> {
  if (knob('make.anon_only') === 'on' && !(yield* folio_test_anon(folio))) return false;
  const args: MakeExclusiveArgs = { mm, address, owner, valid: knob('make.mapped_check') === 'none' };
  const walk = yield* rmapWalkBegin(folio);
  for (const target of walk.targets) {
    if (!(yield* page_make_device_exclusive_one(folio, target.vma, target.address, args))) break;
    if (!(yield* folio_mapped(folio))) break;
  }
  yield* rmapWalkEnd(walk);
  if (!args.valid) return false;
  return knob('make.mapcount_check') === 'off' || !(yield* folio_mapped(folio));
}

/**
 * Makes pages [start, end) of `mm` exclusive for a device: no CPU maps them any more, and each access of a CPU has the
 * device told first. GUP breaks COW before, so that no other process has the page. The caller maps the pages for its
 * device under a lock that its notifier takes as well, then unlocks and puts them.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/rmap.c make_device_exclusive_range: adapted (returns the pages)
 */
export function* make_device_exclusive_range(
  mm: Mm,
  start: number,
  end: number,
  owner: number,
): Path<MadeExclusive> {
  mmap_assert_locked(mm);
  if (knob('make.walk') !== 'rmap') return yield* makeOneByOne(mm, start, end, owner);
  const npages = end - start;
  const got = yield* get_user_pages_remote(mm, start, npages, gupFlags());
  if (knob('make.npages') === 'signed') {
    if (got.pages.length === 0 && got.err < 0) return { ret: got.err, pages: [] };
  } else
    yield* claim(
      got.pages.length > 0 || got.err >= 0,
      'NO-TOUCH-FREED',
      'make_device_exclusive_range() takes a negative count for a large one and reads pages[] that nobody has set',
    );
  if (knob('make.mmap_lock') !== 'held') yield* mmap_read_unlock(mm);
  if (knob('make.mmap_lock') === 'dropped') yield* mmap_read_lock(mm);
  const pages: (Page | undefined)[] = [];
  for (let i = 0; i < got.pages.length; i++) {
    const page = got.pages[i]!;
    const folio = yield* page_folio(page);
    const tail = knob('make.tail') === 'refused' && folio !== page;
    const refused = tail || !(yield* isUnshared(mm, start + i, page)) || !(yield* lockForMake(folio));
    if (refused) {
      yield* folio_put(folio);
      pages.push(undefined);
      continue;
    }
    if (yield* folio_make_device_exclusive(folio, mm, start + i, owner)) {
      pages.push(page);
      continue;
    }
    yield* folio_unlock(folio);
    yield* folio_put(folio);
    pages.push(undefined);
  }
  if (knob('make.mmap_lock') === 'not-for-walk') yield* mmap_read_lock(mm);
  return { ret: got.pages.length, pages };
}

/** Knob make.sharing. @context mmap_lock held */
function* isUnshared(mm: Mm, addr: number, page: Page): Path<boolean> {
  if (knob('make.sharing') === 'cow') return true;
  const vma = yield* find_vma(mm, addr);
  if (vma === undefined || ((yield* read(vma.vm_flags)) & VM.DONTCOPY) === 0) return false;
  return yield* equals(page._mapcount, 1);
}

/** Knob make.folio_lock. @context folio referenced; may sleep */
function* lockForMake(folio: Folio): Path<boolean> {
  if (knob('make.folio_lock') === 'trylock') return yield* folio_trylock(folio);
  yield* folio_lock(folio); // folio_lock_killable(); nobody is killed
  return true;
}

/** The interface of 5.14 to 6.14 over the versions that convert one address at a time. @context mmap_lock held; may sleep */
function* makeOneByOne(mm: Mm, start: number, end: number, owner: number): Path<MadeExclusive> {
  const pages: (Page | undefined)[] = [];
  let first = 0;
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const made = yield* make_device_exclusive(mm, addr, owner);
    if (typeof made === 'number') {
      if (addr === start) first = made;
      pages.push(undefined);
    } else pages.push(made);
  }
  const none = pages.every((page) => page === undefined);
  return none && first !== 0 ? { ret: first, pages: [] } : { ret: pages.length, pages };
}

/**
 * Makes the page at `addr` exclusive for a device, as 6.15 does: GUP makes it writable, which for an anonymous page
 * means that it is mapped once; that one entry is found again and converted under one hold of its lock. Returns the
 * page, locked and with a reference, or a negative error number.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.15 mm/rmap.c make_device_exclusive: adapted (returns the page)
 */
export function* make_device_exclusive(mm: Mm, addr: number, owner: number): Path<Page | number> {
  mmap_assert_locked(mm);
  if (knob('make.walk') === 'own-walk') return yield* hmmExclusivePmd(mm, addr, owner);
  for (;;) {
    const got = yield* get_user_page_vma_remote(mm, addr, gupFlags());
    if (typeof got === 'number') return got;
    const { page, vma } = got;
    const folio = yield* page_folio(page);
    if (knob('make.anon_only') === 'on' && !(yield* folio_test_anon(folio))) {
      yield* folio_put(folio);
      return -EOPNOTSUPP;
    }
    if (!(yield* lockForMake(folio))) {
      yield* folio_put(folio);
      return -EBUSY;
    }
    const range = mmu_notifier_range_init_owner(MMU_NOTIFY.EXCLUSIVE, 0, mm, addr, addr + PAGE_SIZE, owner);
    yield* startMakeRange(range);
    const converted = yield* convertOneEntry(vma, addr, page);
    yield* endMakeRange(range);
    if (converted) return page;
    yield* folio_unlock(folio);
    yield* folio_put(folio);
    if (knob('make.mismatch') === 'refuse') return -EBUSY;
  }
}

/**
 * Finds the entry for `addr` under its lock and, if it maps that page for stores, converts it before the lock goes.
 * @context folio locked and referenced, mmap_lock held
 * @kernel 6.15 mm/rmap.c make_device_exclusive: adapted (the part from folio_walk_start() to folio_walk_end())
 */
function* convertOneEntry(vma: Vma, addr: number, page: Page): Path<boolean> {
  const pmd = pmd_offset(vma.vm_mm, addr);
  const found = yield* pte_offset_map_lock(pmd, addr);
  if (found === undefined) return false;
  const pte = yield* ptep_get(found.ptep);
  const same = pte_present(pte) && pte_pfn(pte) === page.pfn;
  if (!same || (knob('make.write_check') === 'on' && !pte_write(pte))) {
    yield* pte_unmap_unlock(found.ptl);
    return false;
  }
  if (knob('make.walk') === 'two-holds') {
    yield* pte_unmap_unlock(found.ptl);
    const again = yield* pte_offset_map_lock(pmd, addr);
    if (again === undefined) return false;
    yield* convertEntry(vma, addr, again.ptep, page);
    yield* pte_unmap_unlock(again.ptl);
    return true;
  }
  yield* convertEntry(vma, addr, found.ptep, page);
  yield* pte_unmap_unlock(found.ptl);
  return true;
}

/** Takes one entry away and puts an exclusive one there: the order of {@link page_make_device_exclusive_one}. @context PTL held, folio locked */
function* convertEntry(vma: Vma, addr: number, ptep: PtePointer, page: Page): Path {
  const folio = yield* page_folio(page);
  const pteval = yield* ptep_clear_flush(vma.vm_mm, addr, ptep);
  if (pte_dirty(pteval)) yield* folio_mark_dirty(folio);
  yield* set_pte(ptep, exclusiveEntryFor(page, pteval));
  if (knob('exclusive.mapcount') === 'dropped') yield* folio_remove_rmap_pte(page, vma);
}

/**
 * v2 of the series: a page walk of its own converts a writable entry where it finds one, under the PTL; GUP is asked
 * for the page only if there is none.
 * @context mmap_lock held for read; may sleep
 * @kernel v2 (Feb 2021) mm/hmm.c hmm_exclusive_pmd: adapted (one address; the fault is taken through GUP)
 */
function* hmmExclusivePmd(mm: Mm, addr: number, owner: number): Path<Page | number> {
  const vma = yield* find_vma(mm, addr);
  if (vma === undefined) return -EFAULT;
  const range = mmu_notifier_range_init_owner(MMU_NOTIFY.EXCLUSIVE, 0, mm, addr, addr + PAGE_SIZE, owner);
  yield* startMakeRange(range);
  const page = yield* takeWritableEntry(vma, addr);
  yield* endMakeRange(range);
  if (page !== undefined) return page;
  const got = yield* get_user_page_vma_remote(mm, addr, gupFlags());
  if (typeof got === 'number') return got;
  yield* folio_put(yield* page_folio(got.page));
  return -EBUSY;
}

/** Converts the entry for `addr` if it allows stores and its page can be locked. @context mmap_lock held */
function* takeWritableEntry(vma: Vma, addr: number): Path<Page | undefined> {
  const mapped = yield* pte_offset_map_lock(pmd_offset(vma.vm_mm, addr), addr);
  if (mapped === undefined) return undefined;
  const pte = yield* ptep_get(mapped.ptep);
  let page: Page | undefined;
  if (pte_present(pte) && pte_write(pte)) {
    const folio = yield* page_folio(pte_page(pte));
    if (yield* folio_trylock(folio)) {
      page = pte_page(pte);
      yield* folio_get(folio);
      yield* convertEntry(vma, addr, mapped.ptep, page);
    }
  }
  yield* pte_unmap_unlock(mapped.ptl);
  return page;
}
