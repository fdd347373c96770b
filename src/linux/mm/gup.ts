// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add, claim, equals, read } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { local_irq_restore, local_irq_save } from '../arch/irqflags.js';
import { GUP_PIN_COUNTING_BIAS, type Folio, type Mm, type Page } from '../include/mm_types.js';
import { folio_ref_try_add, page_folio } from '../include/page_ref.js';
import {
  PAGE_SIZE,
  pmd_addr_end,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmd_present,
  pmdp_get_lockless,
  pte_access_permitted,
  pte_devmap,
  pte_offset,
  pte_page,
  pte_pfn,
  pte_protnone,
  pte_special,
  pte_unmap,
  ptep_get_lockless,
} from '../include/pgtable.js';
import { current, knob } from '../kernel.js';
import { rcu_read_lock } from '../kernel/rcu/tree.js';
import {
  type DevPagemap,
  get_dev_pagemap,
  is_pci_p2pdma_page,
  put_dev_pagemap,
  put_devmap_managed_folio_refs,
} from './memremap.js';
import { pfn_valid } from './sparse.js';
import { folio_put_refs } from './swap.js';

/** @kernel 6.12 include/linux/mm_types.h enum FOLL_*: adapted (those that paths here read) */
export const FOLL = { WRITE: 1, GET: 2, PIN: 4, LONGTERM: 8, PCI_P2PDMA: 16, FAST_ONLY: 32 } as const;

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
    if (knob('gup.folio_recheck') === 'off' || (yield* page_folio(page)) === folio) return folio;
    yield* folio_put_refs(folio, refs);
  }
}

/**
 * @context IRQs off
 * @kernel 6.12 mm/gup.c try_grab_folio_fast: adapted (no zero page, no longterm zones; small folios)
 */
export function* try_grab_folio_fast(page: Page, refs: number, flags: number): Path<Folio | undefined> {
  if (!(flags & FOLL.PCI_P2PDMA)) {
    if (yield* is_pci_p2pdma_page(page)) return undefined; // read before there is a reference
  }
  const folio = yield* try_get_folio(page, refs);
  if (folio === undefined || !(flags & FOLL.PIN)) return folio;
  // Before the PTE is compared, and a full barrier: pairs with folio_try_share_anon_rmap_pte().
  yield* add(folio._refcount, refs * (GUP_PIN_COUNTING_BIAS - 1));
  return folio;
}

/** Drops what try_grab_folio_fast() took. @kernel 6.12 mm/gup.c gup_put_folio: adapted */
export function* gup_put_folio(folio: Folio, refs: number, flags: number): Path {
  const count = flags & FOLL.PIN ? refs * GUP_PIN_COUNTING_BIAS : refs;
  if (!(yield* put_devmap_managed_folio_refs(folio, count))) yield* folio_put_refs(folio, count);
}

/** A pgmap look-up failed: everything since the start of the table is given back. @kernel 6.12 mm/gup.c gup_fast_undo_dev_pagemap: faithful */
function* gup_fast_undo_dev_pagemap(pages: Page[], nr_start: number, flags: number): Path {
  while (pages.length > nr_start) {
    const page = pages.pop()!;
    yield* gup_put_folio(yield* page_folio(page), 1, flags);
  }
}

/**
 * Takes references on the pages of [start, end) through one page table, which is found by the PMD value `pmd` that was
 * read earlier. Appends to `pages`; returns false if it had to stop.
 * @context IRQs off
 * @kernel 6.12 mm/gup.c gup_fast_pte_range: faithful
 */
export function* gup_fast_pte_range(
  pmd: number,
  pmdp: Cell,
  start: number,
  end: number,
  flags: number,
  pages: Page[],
): Path<boolean> {
  const nr_start = pages.length;
  let pgmap: DevPagemap | undefined;
  let ret = false;
  // pte_offset_map(&pmd): the value, not the PMD, so it can't fail
  if (knob('pte_offset_map.rcu') === 'on') yield* rcu_read_lock();
  for (let addr = start; ; addr += PAGE_SIZE) {
    if (addr >= end) {
      ret = true;
      break;
    }
    const ptep = pte_offset(pmd, addr);
    const pte = yield* ptep_get_lockless(ptep);
    if (pte_protnone(pte) || !pte_access_permitted(pte, (flags & FOLL.WRITE) !== 0)) break;
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
    if (knob('gup.pte_recheck') === 'before-ref' && !(yield* equals(ptep.cell, pte))) break;
    const folio = yield* try_grab_folio_fast(page, 1, flags);
    if (folio === undefined) break;
    const changed =
      (knob('gup.pmd_recheck') === 'on' && !(yield* equals(pmdp, pmd))) ||
      (knob('gup.pte_recheck') === 'after-ref' && !(yield* equals(ptep.cell, pte)));
    if (changed) {
      yield* gup_put_folio(folio, 1, flags);
      break;
    }
    pages.push(page);
  }
  if (pgmap !== undefined) yield* put_dev_pagemap(pgmap);
  yield* pte_unmap();
  return ret;
}

/** @context IRQs off @kernel 6.12 mm/gup.c gup_fast_pmd_range: adapted (upper levels folded) */
export function* gup_fast_pmd_range(mm: Mm, start: number, end: number, flags: number, pages: Page[]): Path {
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pmdp = pmd_offset(mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (pmd_none(pmd) || !pmd_present(pmd) || pmd_leaf(pmd)) return;
    if (!(yield* gup_fast_pte_range(pmd, pmdp, addr, next, flags, pages))) return;
  }
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
  let seq = 0;
  if (flags & FOLL.PIN) {
    seq = yield* read(mm.write_protect_seq);
    if (seq & 1) return pages;
  }
  yield* local_irq_save();
  yield* gup_fast_pmd_range(mm, start, end, flags, pages);
  yield* local_irq_restore();
  if (flags & FOLL.PIN && !(yield* equals(mm.write_protect_seq, seq))) {
    for (const page of pages) yield* gup_put_folio(yield* page_folio(page), 1, flags);
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
