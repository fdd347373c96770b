// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add, claim, read, setBits, testBits } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { local_irq_restore, local_irq_save } from '../arch/irqflags.js';
import {
  GUP_PIN_COUNTING_BIAS,
  MMF_HAS_PINNED,
  PG,
  type Folio,
  type Mm,
  type Page,
  type Vma,
} from '../include/mm_types.js';
import { type DevPagemap, is_pci_p2pdma_page, put_dev_pagemap } from '../include/memremap.js';
import { folio_is_longterm_pinnable, is_cow_mapping, is_zero_pfn } from '../include/mm.js';
import { folio_test_anon, folio_test_large, nth_page, PageAnonExclusive } from '../include/page-flags.js';
import { folio_ref_try_add, folioUnchanged, page_folio } from '../include/page_ref.js';
import {
  HPAGE_PMD_NR,
  PAGE_SIZE,
  pmd_access_permitted,
  pmd_addr_end,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmd_page,
  pmd_present,
  pmdUnchanged,
  pmd_protnone,
  pmd_write,
  pmdp_get_lockless,
  pte_access_permitted,
  pte_devmap,
  pteInTable,
  pte_page,
  pte_pfn,
  pte_protnone,
  pte_special,
  pteUnchanged,
  pte_unmap,
  pte_write,
  ptep_get_lockless,
} from '../include/pgtable.js';
import { raw_read_seqcount, read_seqcount_retry } from '../include/seqlock.js';
import { current, knob } from '../kernel.js';
import { rcu_read_lock } from '../kernel/rcu/tree.js';
import { get_dev_pagemap, put_devmap_managed_folio_refs } from './memremap.js';
import { pfn_valid } from './sparse.js';
import { fbatches, folio_put_refs } from './swap.js';

/** @kernel 6.12 include/linux/mm_types.h enum FOLL_*: adapted (those that paths here read) */
export const FOLL = {
  WRITE: 1,
  GET: 2,
  PIN: 4,
  LONGTERM: 8,
  PCI_P2PDMA: 16,
  FAST_ONLY: 32,
  UNLOCKABLE: 64,
  NOFAULT: 128,
  TOUCH: 256,
  SPLIT_PMD: 512,
  FORCE: 1024,
  REMOTE: 2048,
  MADV_POPULATE: 4096,
} as const;

/**
 * Takes references on the folio of a page whose page-table entry was read without a lock: fails if the count is zero,
 * and looks again whether the page still belongs to that folio, since the folio may have been split or freed.
 * Returns the folio, or undefined.
 * @kernel 6.12 mm/gup.c try_get_folio: faithful
 */
export function* try_get_folio(page: Page, refs: number): Path<Folio | undefined> {
  for (;;) {
    const folio = yield* page_folio(page);
    if (!(yield* folio_ref_try_add(folio, refs))) return undefined;
    if (knob('gup.folio_recheck') === 'off' || (yield* folioUnchanged(page, folio))) return folio;
    yield* folio_put_refs(folio, refs);
  }
}

/**
 * Takes what `flags` asks for: plain references, or pins, which are counted so that others can tell. Not zero pages. What
 * kind of page it is gets read before there is a reference.
 * @context IRQs off
 * @kernel 6.12 mm/gup.c try_grab_folio_fast: adapted (no zero page, no statistics)
 */
export function* try_grab_folio_fast(page: Page, refs: number, flags: number): Path<Folio | undefined> {
  if (!(flags & FOLL.PCI_P2PDMA)) {
    if (yield* is_pci_p2pdma_page(page)) return undefined;
  }
  const folio = yield* try_get_folio(page, refs);
  if (folio === undefined || !(flags & FOLL.PIN)) return folio;
  if (flags & FOLL.LONGTERM && !(yield* folio_is_longterm_pinnable(folio))) {
    yield* folio_put_refs(folio, refs);
    return undefined;
  }
  // Before the PTE is compared, and a full barrier: pairs with folio_try_share_anon_rmap_pte().
  if (yield* folio_test_large(folio)) yield* add(folio.large!.pincount, refs);
  else yield* add(folio._refcount, refs * (GUP_PIN_COUNTING_BIAS - 1));
  return folio;
}

/** Drops what try_grab_folio_fast() or try_grab_folio() took. @context any @kernel 6.12 mm/gup.c gup_put_folio: adapted (no statistics) */
export function* gup_put_folio(folio: Folio, refs: number, flags: number): Path {
  let nr = refs;
  if (flags & FOLL.PIN) {
    if (is_zero_pfn(folio.pfn)) return;
    if (yield* folio_test_large(folio)) yield* add(folio.large!.pincount, -refs);
    else nr *= GUP_PIN_COUNTING_BIAS;
  }
  if (!(yield* put_devmap_managed_folio_refs(folio, nr))) yield* folio_put_refs(folio, nr);
}

/** A pgmap look-up failed: everything since the start of the table is given back. @kernel 6.12 mm/gup.c gup_fast_undo_dev_pagemap: adapted (no PG_referenced) */
function* gup_fast_undo_dev_pagemap(pages: Page[], nr_start: number, flags: number): Path {
  while (pages.length > nr_start) {
    const page = pages.pop()!;
    yield* gup_put_folio(yield* page_folio(page), 1, flags);
  }
}

/** Releases a pin. @context may sleep @kernel 6.12 mm/gup.c unpin_user_page: adapted (no sanity check) */
export function* unpin_user_page(page: Page): Path {
  yield* gup_put_folio(yield* page_folio(page), 1, FOLL.PIN);
}

/** From now on fork looks for pinned pages in this mm. @kernel 6.12 mm/gup.c mm_set_has_pinned_flag: faithful */
export function* mm_set_has_pinned_flag(mm: Mm): Path {
  if (!(yield* testBits(mm.flags, MMF_HAS_PINNED))) yield* setBits(mm.flags, MMF_HAS_PINNED);
}

/**
 * Whether a page that is mapped read-only must be unshared before it is pinned: an anonymous page that is not exclusive
 * would be copied away from the pin by the next write.
 * @kernel 6.12 mm/internal.h gup_must_unshare: faithful
 */
export function* gup_must_unshare(vma: Vma | undefined, flags: number, page: Page): Path<boolean> {
  if ((flags & (FOLL.WRITE | FOLL.PIN)) !== FOLL.PIN) return false;
  if (!(yield* folio_test_anon(yield* page_folio(page)))) {
    if (!(flags & FOLL.LONGTERM)) return false;
    if (vma === undefined) return true;
    return is_cow_mapping(yield* read(vma.vm_flags));
  }
  return !(yield* PageAnonExclusive(page));
}

/**
 * A longterm pin for writing must not get file pages whose dirtying is tracked: in doubt the slow path decides.
 * @context IRQs off, a reference is held, the entry was compared
 * @kernel 6.12 mm/gup.c gup_fast_folio_allowed: adapted (!CONFIG_SECRETMEM, no hugetlb; all files but DAX are in memory)
 */
function* gup_fast_folio_allowed(folio: Folio, flags: number): Path<boolean> {
  const longterm = FOLL.PIN | FOLL.LONGTERM | FOLL.WRITE;
  if ((flags & longterm) !== longterm) return true;
  if (yield* folio_test_anon(folio)) return true;
  return current.kernel.inodes !== undefined && (yield* read(folio.mapping)) < 0; // shmem_mapping()
}

/**
 * Takes references on the pages of [start, end) through one page table, which is found by the PMD value `pmd` that was
 * read earlier. Appends to `pages`; returns false if it had to stop.
 * @context IRQs off
 * @kernel 6.12 mm/gup.c gup_fast_pte_range: adapted (no PG_referenced)
 */
export function* gup_fast_pte_range(
  pmd: number,
  pmdp: Cell,
  start: number,
  end: number,
  flags: number,
  pages: Page[],
): Path<boolean> {
  const pteRecheck = knob('gup.pte_recheck');
  const nr_start = pages.length;
  let pgmap: DevPagemap | undefined;
  let ret = true;
  // pte_offset_map(&pmd): the value, not the PMD, so it can't fail
  if (knob('pte_offset_map.rcu') === 'on') yield* rcu_read_lock();
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    ret = false;
    const ptep = pteInTable(pmd, addr);
    const pte = yield* ptep_get_lockless(ptep);
    if (knob('gup.protnone_check') === 'on' && pte_protnone(pte)) break;
    if (!pte_access_permitted(pte, (flags & FOLL.WRITE) !== 0)) break;
    if (pte_devmap(pte)) {
      if (flags & FOLL.LONGTERM) break;
      pgmap = yield* get_dev_pagemap(pte_pfn(pte), pgmap);
      if (pgmap === undefined) {
        yield* gup_fast_undo_dev_pagemap(pages, nr_start, flags);
        break;
      }
    } else if (pte_special(pte)) break;
    if (knob('gup.pfn_valid') !== 'none' && !(yield* pfn_valid(pte_pfn(pte)))) {
      if (knob('gup.pfn_valid') === 'bail') break;
      yield* claim(false, 'META-ALIVE', 'VM_BUG_ON(!pfn_valid(pte_pfn(pte))) in gup_fast_pte_range()');
    }
    const page = pte_page(pte);
    if (pteRecheck === 'before-ref' && !(yield* pteUnchanged(ptep, pte))) break;
    const folio = yield* try_grab_folio_fast(page, 1, flags);
    if (folio === undefined) break;
    const changed =
      (knob('gup.pmd_recheck') === 'on' && !(yield* pmdUnchanged(pmdp, pmd))) ||
      (pteRecheck === 'after-ref' && !(yield* pteUnchanged(ptep, pte)));
    const keep =
      !changed &&
      (yield* gup_fast_folio_allowed(folio, flags)) &&
      !(!pte_write(pte) && (yield* gup_must_unshare(undefined, flags, page)));
    if (!keep) {
      yield* gup_put_folio(folio, 1, flags);
      break;
    }
    if (fbatches() !== undefined) yield* setBits(folio.flags, PG.referenced);
    pages.push(page);
    ret = true;
  }
  if (pgmap !== undefined) yield* put_dev_pagemap(pgmap);
  yield* pte_unmap();
  return ret;
}

/**
 * Takes references on the pages of [addr, end) of the folio that one PMD maps, all at once.
 * @context IRQs off
 * @kernel 6.12 mm/gup.c gup_fast_pmd_leaf: adapted (no devmap, no PG_referenced)
 */
function* gup_fast_pmd_leaf(
  orig: number,
  pmdp: Cell,
  addr: number,
  end: number,
  flags: number,
  pages: Page[],
): Path<boolean> {
  if (!pmd_access_permitted(orig, (flags & FOLL.WRITE) !== 0)) return false;
  const page = pmd_page(orig);
  const refs = end - addr;
  const folio = yield* try_grab_folio_fast(page, refs, flags);
  if (folio === undefined) return false;
  const keep =
    (knob('gup.pmd_leaf_recheck') === 'off' || (yield* pmdUnchanged(pmdp, orig))) &&
    (yield* gup_fast_folio_allowed(folio, flags)) &&
    !(!pmd_write(orig) && (yield* gup_must_unshare(undefined, flags, folio)));
  if (!keep) {
    yield* gup_put_folio(folio, refs, flags);
    return false;
  }
  for (let at = addr; at < end; at += PAGE_SIZE) pages.push(nth_page(page, at % HPAGE_PMD_NR()));
  return true;
}

/** @context IRQs off @kernel 6.12 mm/gup.c gup_fast_pmd_range: adapted (upper levels folded) */
export function* gup_fast_pmd_range(mm: Mm, start: number, end: number, flags: number, pages: Page[]): Path {
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pmdp = pmd_offset(mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (pmd_none(pmd) || !pmd_present(pmd)) return;
    if (pmd_leaf(pmd)) {
      if (pmd_protnone(pmd) || !(yield* gup_fast_pmd_leaf(pmd, pmdp, addr, next, flags, pages))) return;
    } else if (!(yield* gup_fast_pte_range(pmd, pmdp, addr, next, flags, pages))) return;
  }
}

/** Undoes a walk during which fork may have shared the pages. @context IRQs on @kernel 6.12 mm/gup.c gup_fast_unpin_user_pages: adapted (page by page) */
function* gup_fast_unpin_user_pages(pages: readonly Page[]): Path {
  for (const page of pages) yield* gup_put_folio(yield* page_folio(page), 1, FOLL.PIN);
}

/**
 * The lockless walk. Interrupts are off: that holds off the IPI of a TLB flush where there is one, and RCU.
 * Returns the pages that it took references on, which may be fewer than asked.
 * @context interrupts on at entry
 * @kernel 6.12 mm/gup.c gup_fast: faithful
 */
export function* gup_fast(start: number, end: number, flags: number): Path<Page[]> {
  const pages: Page[] = [];
  const { mm } = current;
  const watchesFork = (flags & FOLL.PIN) !== 0 && knob('gup.write_protect_seq') === 'on';
  let seq = 0;
  if (watchesFork) {
    seq = yield* raw_read_seqcount(mm.write_protect_seq);
    if (seq & 1) return pages;
  }
  yield* local_irq_save();
  yield* gup_fast_pmd_range(mm, start, end, flags, pages);
  yield* local_irq_restore();
  if (watchesFork && (yield* read_seqcount_retry(mm.write_protect_seq, seq))) {
    yield* gup_fast_unpin_user_pages(pages);
    return [];
  }
  return pages;
}

/**
 * References on the pages of [start, start + nr_pages) of the caller's mm, without locks; no fallback.
 * @kernel 6.12 mm/gup.c get_user_pages_fast_only: faithful
 */
export function* get_user_pages_fast_only(start: number, nr_pages: number, gup_flags: number): Path<Page[]> {
  return yield* gup_fast(start, start + nr_pages, gup_flags | FOLL.GET | FOLL.FAST_ONLY);
}
