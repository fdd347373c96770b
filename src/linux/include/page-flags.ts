// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { testBits } from '../../core/primitives.js';
import { current } from '../kernel.js';
import { PG, type Folio, type Page } from './mm_types.js';
import { HPAGE_PMD_NR } from './pgtable.js';

/** Whether the folio has more than one page: then all of them, HPAGE_PMD_NR. @kernel 6.12 include/linux/page-flags.h folio_test_large: faithful */
export function* folio_test_large(folio: Folio): Path<boolean> {
  // A kernel without large folios does not even look.
  return current.kernel.options.thp && (yield* testBits(folio.flags, PG.head));
}

/** @kernel 6.12 include/linux/page-flags.h folio_test_anon: adapted (a flag, not a bit of ->mapping) */
export function* folio_test_anon(folio: Folio): Path<boolean> {
  return yield* testBits(folio.flags, PG.anon);
}

/** @kernel 6.12 include/linux/page-flags.h folio_test_ksm: adapted (a flag, not a bit of ->mapping) */
export function* folio_test_ksm(folio: Folio): Path<boolean> {
  return yield* testBits(folio.flags, PG.ksm);
}

/** @kernel 6.12 include/linux/page-flags.h PageAnonExclusive: faithful */
export function* PageAnonExclusive(page: Page): Path<boolean> {
  return yield* testBits(page.flags, PG.anon_exclusive);
}

/** @kernel 6.12 include/linux/mm.h folio_nr_pages: faithful */
export function* folio_nr_pages(folio: Folio): Path<number> {
  return (yield* folio_test_large(folio)) ? HPAGE_PMD_NR() : 1;
}

/** The page `n` pages behind `page` in memory. @kernel 6.12 include/linux/mm.h nth_page: faithful */
export function nth_page(page: Page, n: number): Page {
  return current.kernel.mem_map[page.pfn + n]!;
}

/** Whether the folio has a place in swap to go to; lazyfree folios have none. @kernel 6.12 include/linux/page-flags.h folio_test_swapbacked: faithful */
export function* folio_test_swapbacked(folio: Folio): Path<boolean> {
  return yield* testBits(folio.flags, PG.swapbacked);
}
