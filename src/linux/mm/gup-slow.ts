// SPDX-License-Identifier: GPL-2.0-only
/** mm/gup.c: GUP with the page tables locked, and the calls that end there. */
import type { Path } from '../../core/path.js';
import { add, load, testBits } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { EFAULT, EINVAL, EMLINK, ENOMEM, EOPNOTSUPP } from '../include/errno.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import { is_cow_mapping, is_zero_pfn } from '../include/mm.js';
import { mmap_assert_locked } from '../include/lockdep.js';
import {
  GUP_PIN_COUNTING_BIAS,
  PG,
  VM,
  type Folio,
  type Mm,
  type Page,
  type Vma,
} from '../include/mm_types.js';
import { folio_test_anon, folio_test_large, nth_page, PageAnonExclusive } from '../include/page-flags.js';
import { folio_ref_count, page_folio } from '../include/page_ref.js';
import {
  HPAGE_PMD_NR,
  PAGE_SIZE,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmd_page,
  pmd_present,
  pmd_protnone,
  pmd_write,
  pmdp_get_lockless,
  pte_offset_map_lock,
  type Pte,
  pte_dirty,
  pte_page,
  pte_pfn,
  pte_present,
  pte_protnone,
  pte_special,
  pte_unmap_unlock,
  pte_write,
  ptep_get,
} from '../include/pgtable.js';
import { userfaultfd_pte_wp } from '../include/userfaultfd_k.js';
import { current, knob } from '../kernel.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { FOLL, gup_fast, gup_must_unshare, mm_set_has_pinned_flag } from './gup.js';
import { longtermPinned } from './gup-longterm.js';
import { FAULT_FLAG, handle_mm_fault, VM_FAULT } from './memory-fault.js';
import { __split_huge_pmd } from './huge_memory.js';
import { find_vma } from './mmap.js';
import { pte_needs_soft_dirty_wp } from './internal.js';
import { folio_mark_dirty } from './page-writeback.js';
import { fbatches } from './swap.js';
import { folio_mark_accessed } from './swap-activate.js';

/** What a look-up came to: the pages it took references on, and a negative error number if that stopped it. */
export interface Pinned {
  readonly pages: readonly Page[];
  readonly err: number;
}

/** A page, undefined if there is nothing to take yet, or a negative error number. */
type Followed = Page | number | undefined;

/**
 * Takes references or pins on a folio that can't go away.
 * @context PTL held
 * @kernel 6.12 mm/gup.c try_grab_folio: adapted (no statistics)
 */
function* try_grab_folio(folio: Folio, refs: number, flags: number): Path<number> {
  if ((yield* folio_ref_count(folio)) <= 0) return -ENOMEM;
  if (!(flags & (FOLL.GET | FOLL.PIN))) return 0;
  if (!(flags & FOLL.PIN)) yield* add(folio._refcount, refs);
  else if (is_zero_pfn(folio.pfn)) return 0;
  else if (yield* folio_test_large(folio)) {
    yield* add(folio._refcount, refs);
    yield* add(folio.large!.pincount, refs);
  } else yield* add(folio._refcount, refs * GUP_PIN_COUNTING_BIAS);
  return 0;
}

/**
 * Whether a store through the page is allowed though the entry does not: FOLL_FORCE, and COW is broken already.
 * @context PTL held
 * @kernel 6.12 mm/gup.c can_follow_write_pte: adapted (VM_MAYWRITE is always set)
 */
function* can_follow_write_pte(vma: Vma, pte: Pte, flags: number): Path<boolean> {
  if (pte_write(pte)) return true;
  if (!(flags & FOLL.FORCE)) return false;
  if ((yield* load(vma.vm_flags)) & (VM.SHARED | VM.WRITE)) return false;
  if (pte_special(pte)) return false;
  const page = pte_page(pte);
  if (!(yield* folio_test_anon(yield* page_folio(page))) || !(yield* PageAnonExclusive(page))) return false;
  return !(yield* pte_needs_soft_dirty_wp(vma, pte)) && !userfaultfd_pte_wp(vma, pte);
}

/**
 * Looks one page up in its table, under the PTL: nothing it sees can change before it has its reference.
 * @context mmap_lock held
 * @kernel 6.12 mm/gup.c follow_page_pte: adapted (no devmap; a page without struct page is -EFAULT)
 */
function* follow_page_pte(vma: Vma, address: number, pmd: Cell, flags: number): Path<Followed> {
  const mapped = yield* pte_offset_map_lock(pmd, address);
  if (mapped === undefined) return undefined;
  const pte = yield* ptep_get(mapped.ptep);
  let page: Followed;
  if (!pte_present(pte) || pte_protnone(pte)) page = undefined;
  else if (flags & FOLL.WRITE && !(yield* can_follow_write_pte(vma, pte, flags))) page = undefined;
  else if (pte_special(pte) && !is_zero_pfn(pte_pfn(pte))) page = -EFAULT;
  else if (!pte_write(pte) && (yield* gup_must_unshare(vma, flags, pte_page(pte)))) page = -EMLINK;
  else {
    page = pte_page(pte);
    const folio = yield* page_folio(page);
    const err = yield* try_grab_folio(folio, 1, flags);
    if (err !== 0) page = err;
    else if (flags & FOLL.TOUCH) {
      // The caller will store behind the MMU's back, so nobody else marks the page dirty.
      if (flags & FOLL.WRITE && !pte_dirty(pte) && !(yield* testBits(folio.flags, PG.dirty)))
        yield* folio_mark_dirty(folio);
      yield* folio_mark_accessed(folio);
    }
  }
  yield* pte_unmap_unlock(mapped.ptl);
  return page;
}

/**
 * Looks one page up that a PMD maps, under the PMD lock; turns to the table if the PMD was split meanwhile.
 * @context mmap_lock held
 * @kernel 6.12 mm/gup.c follow_huge_pmd: adapted (no FOLL_FORCE; follow_pmd_mask's part folded in)
 */
function* follow_huge_pmd(vma: Vma, address: number, pmd: Cell, flags: number): Path<Followed> {
  const { page_table_lock } = vma.vm_mm;
  yield* spin_lock(page_table_lock);
  const pmdval = yield* pmdp_get_lockless(pmd);
  if (!pmd_leaf(pmdval)) {
    yield* spin_unlock(page_table_lock);
    return pmd_none(pmdval) ? undefined : yield* follow_page_pte(vma, address, pmd, flags);
  }
  let page: Followed;
  if (!pmd_present(pmdval) || pmd_protnone(pmdval)) page = undefined;
  else if (flags & FOLL.WRITE && !pmd_write(pmdval)) page = undefined;
  else if (!pmd_write(pmdval) && (yield* gup_must_unshare(vma, flags, pmd_page(pmdval)))) page = -EMLINK;
  else {
    const err = yield* try_grab_folio(yield* page_folio(pmd_page(pmdval)), 1, flags);
    page = err === 0 ? nth_page(pmd_page(pmdval), address % HPAGE_PMD_NR()) : err;
  }
  yield* spin_unlock(page_table_lock);
  return page;
}

/** Whether a PMD that maps a page is split before it is looked at: not one of hugetlb. @context mmap_lock held */
function* splitsPmd(vma: Vma, flags: number): Path<boolean> {
  if (!(flags & FOLL.SPLIT_PMD) || knob('gup.split_pmd') === 'ignored') return false;
  return ((yield* load(vma.vm_flags)) & VM.HUGETLB) === 0;
}

/** @context mmap_lock held @kernel 6.12 mm/gup.c follow_page_mask: adapted (upper levels folded) */
function* follow_page_mask(vma: Vma, address: number, flags: number): Path<Followed> {
  const pmd = pmd_offset(vma.vm_mm, address);
  const pmdval = yield* pmdp_get_lockless(pmd);
  if (pmd_none(pmdval) || !pmd_present(pmdval)) return undefined;
  if (pmd_leaf(pmdval) && (yield* splitsPmd(vma, flags))) yield* __split_huge_pmd(vma.vm_mm, address, false);
  else if (pmd_leaf(pmdval)) return yield* follow_huge_pmd(vma, address, pmd, flags);
  return yield* follow_page_pte(vma, address, pmd, flags);
}

/** Has the fault served that the look-up met. @context mmap_lock held @kernel 6.12 mm/gup.c faultin_page: adapted (the lock is never dropped) */
function* faultin_page(vma: Vma, address: number, flags: number, unshare: boolean): Path<number> {
  if (flags & FOLL.NOFAULT) return -EFAULT;
  let fault_flags = unshare ? FAULT_FLAG.UNSHARE : flags & FOLL.WRITE ? FAULT_FLAG.WRITE : 0;
  if (fault_flags === FAULT_FLAG.WRITE && flags & FOLL.FORCE && !((yield* load(vma.vm_flags)) & VM.WRITE))
    fault_flags |= FAULT_FLAG.FORCED;
  const ret = yield* handle_mm_fault(vma.vm_mm, vma, address, fault_flags);
  if (ret & VM_FAULT.OOM) return -ENOMEM;
  return ret & (VM_FAULT.SIGSEGV | VM_FAULT.SIGBUS) ? -EFAULT : 0;
}

/** Whether the VMA allows the access at all. @context mmap_lock held @kernel 6.12 mm/gup.c check_vma_flags: adapted (no FOLL_REMOTE; pages of files in memory may be pinned) */
function* check_vma_flags(vma: Vma, gup_flags: number): Path<number> {
  const vm_flags = yield* load(vma.vm_flags);
  if (vm_flags & (VM.IO | VM.PFNMAP)) return -EFAULT;
  const splits = (gup_flags & FOLL.SPLIT_PMD) !== 0 && (vm_flags & VM.HUGETLB) !== 0;
  if (splits && knob('gup.split_hugetlb') === 'refused') return -EOPNOTSUPP;
  if (vm_flags & (gup_flags & FOLL.WRITE ? VM.WRITE : VM.READ)) return 0;
  if (!(gup_flags & FOLL.FORCE)) return -EFAULT;
  return gup_flags & FOLL.WRITE && !is_cow_mapping(vm_flags) ? -EFAULT : 0;
}

/**
 * Looks pages up with locks held, and has faults served for those that are not there as asked.
 * @context mmap_lock held; may sleep
 * @kernel 6.12 mm/gup.c __get_user_pages: adapted (page by page, also in a large folio)
 */
export function* __get_user_pages(mm: Mm, start: number, nr_pages: number, gup_flags: number): Path<Pinned> {
  const pages: Page[] = [];
  let vma: Vma | undefined;
  for (let addr = start; addr < start + nr_pages; addr += PAGE_SIZE) {
    if (vma === undefined || addr >= (yield* load(vma.vm_end))) {
      vma = yield* find_vma(mm, addr);
      const populates = (gup_flags & FOLL.MADV_POPULATE) !== 0;
      const err = vma === undefined ? -EFAULT : yield* check_vma_flags(vma, gup_flags);
      if (vma === undefined || err !== 0) {
        if (!populates) return { pages, err };
        return { pages, err: vma === undefined ? -ENOMEM : -EINVAL };
      }
    }
    for (;;) {
      const page = yield* follow_page_mask(vma, addr, gup_flags);
      if (typeof page === 'object') {
        pages.push(page);
        break;
      }
      if (page !== undefined && page !== -EMLINK) return { pages, err: page };
      const err = yield* faultin_page(vma, addr, gup_flags, page === -EMLINK);
      if (err !== 0) return { pages, err };
    }
  }
  return { pages, err: 0 };
}

/** @context may sleep; takes mmap_lock for read @kernel 6.12 mm/gup.c __get_user_pages_locked: adapted (the lock is not dropped in between) */
function* __get_user_pages_locked(mm: Mm, start: number, nr_pages: number, flags: number): Path<Pinned> {
  yield* mmap_read_lock(mm);
  if (flags & FOLL.PIN) yield* mm_set_has_pinned_flag(mm);
  const pinned = yield* __get_user_pages(mm, start, nr_pages, flags);
  yield* mmap_read_unlock(mm);
  return pinned;
}

/**
 * The walk without locks first, and for what it did not get the one with locks.
 * @context may sleep
 * @kernel 6.12 mm/gup.c gup_fast_fallback: adapted (__gup_longterm_locked() folded in; FOLL_TOUCH only where folios are active or not)
 */
function* gup_fast_fallback(start: number, nr_pages: number, gup_flags: number): Path<Pinned> {
  const { mm } = current;
  const marks = (gup_flags & FOLL.PIN) !== 0;
  if (marks && knob('gup.has_pinned_flag') === 'before-walk') yield* mm_set_has_pinned_flag(mm);
  const pages = yield* gup_fast(start, start + nr_pages, gup_flags);
  if (marks && knob('gup.has_pinned_flag') === 'after-walk') yield* mm_set_has_pinned_flag(mm);
  if (pages.length === nr_pages || gup_flags & FOLL.FAST_ONLY) return { pages, err: 0 };
  const from = start + pages.length;
  const touch = fbatches() === undefined ? 0 : FOLL.TOUCH;
  let slow: Pinned | undefined;
  while (slow === undefined) {
    const left = start + nr_pages - from;
    const flags = gup_flags | touch | FOLL.UNLOCKABLE;
    const pinned = yield* __get_user_pages_locked(mm, from, left, flags);
    slow = yield* longtermPinned(pinned, gup_flags);
  }
  if (pages.length === 0) return slow;
  return { pages: [...pages, ...slow.pages], err: 0 };
}

/**
 * References on the pages of [start, start + nr_pages) of the caller's mm.
 * @context may sleep; interrupts on
 * @kernel 6.12 mm/gup.c get_user_pages_fast: adapted (returns the pages)
 */
export function* get_user_pages_fast(start: number, nr_pages: number, gup_flags: number): Path<Pinned> {
  return yield* gup_fast_fallback(start, nr_pages, gup_flags | FOLL.GET);
}

/**
 * Pins on the pages of [start, start + nr_pages) of the caller's mm, for DMA: drop them with unpin_user_page().
 * @context may sleep; interrupts on
 * @kernel 6.12 mm/gup.c pin_user_pages_fast: adapted (returns the pages)
 */
export function* pin_user_pages_fast(start: number, nr_pages: number, gup_flags: number): Path<Pinned> {
  return yield* gup_fast_fallback(start, nr_pages, gup_flags | FOLL.PIN);
}

/**
 * References on the pages of [start, start + nr_pages) of another task's mm: what it got before the first page that it
 * could not have.
 * @context mmap_lock held for read, and kept; may sleep
 * @kernel 6.12 mm/gup.c get_user_pages_remote: adapted (returns the pages; locked is NULL)
 */
export function* get_user_pages_remote(
  mm: Mm,
  start: number,
  nr_pages: number,
  gup_flags: number,
): Path<Pinned> {
  const touch = knob('make.touch') === 'on' ? FOLL.TOUCH : 0;
  mmap_assert_locked(mm);
  return yield* __get_user_pages(mm, start, nr_pages, gup_flags | touch | FOLL.REMOTE);
}

/**
 * One page of another task's mm, with a reference, and its VMA; or a negative error number.
 * @context mmap_lock held for read, and kept; may sleep
 * @kernel 6.12 include/linux/mm.h get_user_page_vma_remote: faithful
 */
export function* get_user_page_vma_remote(
  mm: Mm,
  addr: number,
  gup_flags: number,
): Path<{ page: Page; vma: Vma } | number> {
  const { pages, err } = yield* get_user_pages_remote(mm, addr, 1, gup_flags);
  const page = pages[0];
  if (page === undefined) return err;
  const vma = yield* find_vma(mm, addr);
  return vma === undefined ? -EFAULT : { page, vma };
}

/**
 * References on the pages, with locks only.
 * @context may sleep
 * @kernel 6.12 mm/gup.c get_user_pages_unlocked: adapted (returns the pages)
 */
export function* get_user_pages_unlocked(start: number, nr_pages: number, gup_flags: number): Path<Pinned> {
  return yield* __get_user_pages_locked(current.mm, start, nr_pages, gup_flags | FOLL.GET);
}

/**
 * References on the pages of [start, start + nr_pages) of the caller's mm.
 * @context mmap_lock held, and kept; may sleep
 * @kernel 6.12 mm/gup.c get_user_pages: adapted (returns the pages)
 */
export function* get_user_pages(start: number, nr_pages: number, gup_flags: number): Path<Pinned> {
  const { mm } = current;
  mmap_assert_locked(mm);
  return yield* __get_user_pages(mm, start, nr_pages, gup_flags | FOLL.GET | FOLL.TOUCH);
}

/**
 * Pins with locks only.
 * @context mmap_lock held; may sleep
 * @kernel 6.12 mm/gup.c pin_user_pages: adapted (__gup_longterm_locked() folded in; returns the pages)
 */
export function* pin_user_pages(start: number, nr_pages: number, gup_flags: number): Path<Pinned> {
  const { mm } = current;
  yield* mm_set_has_pinned_flag(mm);
  for (;;) {
    const pinned = yield* __get_user_pages(mm, start, nr_pages, gup_flags | FOLL.PIN);
    const settled = yield* longtermPinned(pinned, gup_flags);
    if (settled !== undefined) return settled;
  }
}
