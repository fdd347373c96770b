// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import {
  add,
  addUnless,
  compareExchange,
  equals,
  read,
  subAndTest,
  testBits,
  write,
} from '../../core/primitives.js';
import { rcu_read_lock, rcu_read_unlock } from '../kernel/rcu/tree.js';
import { current, knob } from '../kernel.js';
import { folio_test_large } from './page-flags.js';
import { GUP_PIN_COUNTING_BIAS, PG, type Folio, type Page } from './mm_types.js';

/**
 * The folio that a page belongs to now: the page itself, or the head that its compound_head names.
 * @kernel 6.12 include/linux/page-flags.h page_folio: faithful
 */
export function* page_folio(page: Page): Path<Folio> {
  const head = yield* read(page.compound_head);
  return head === 0 ? page : current.kernel.mem_map[head - 1]!;
}

/** Whether the page still belongs to that folio: `page_folio(page) == folio`, observed as a boolean. @context any */
export function* folioUnchanged(page: Page, folio: Folio): Path<boolean> {
  return yield* equals(page.compound_head, folio === page ? 0 : folio.pfn + 1);
}

/** @kernel 6.12 include/linux/page_ref.h folio_ref_count: faithful */
export function* folio_ref_count(folio: Folio): Path<number> {
  return yield* read(folio._refcount);
}

/**
 * Adds references unless the count is `u`, or the page is a fake head (its vmemmap was folded by HVO): the RCU
 * section keeps the vmemmap from being remapped between the two.
 * @kernel 6.12 include/linux/page_ref.h page_ref_add_unless: faithful
 */
export function* page_ref_add_unless(page: Page, nr: number, u: number): Path<boolean> {
  yield* rcu_read_lock();
  let ret = false;
  if (!(yield* testBits(page.flags, PG.fake_head))) ret = yield* addUnless(page._refcount, nr, u);
  yield* rcu_read_unlock();
  return ret;
}

/**
 * Adds references unless the count is zero.
 * @kernel 6.12 include/linux/page_ref.h folio_ref_try_add_rcu: adapted (called folio_ref_try_add there since 6.11)
 */
export function* folio_ref_try_add(folio: Folio, count: number): Path<boolean> {
  if (knob('gup.zero_bail') === 'off') {
    yield* add(folio._refcount, count);
    return true;
  }
  return yield* page_ref_add_unless(folio, count, 0);
}

/** @kernel 6.12 include/linux/page_ref.h folio_put_testzero / folio_ref_sub_and_test: faithful */
export function* folio_ref_sub_and_test(folio: Folio, refs: number): Path<boolean> {
  return yield* subAndTest(folio._refcount, refs);
}

/** Takes a reference; the caller has one, or a lock that keeps the folio. @kernel 6.12 include/linux/mm.h folio_get: faithful */
export function* folio_get(folio: Folio): Path {
  yield* add(folio._refcount, 1);
}

/** Takes a reference unless the count is zero. @kernel 6.12 include/linux/page_ref.h folio_try_get: faithful */
export function* folio_try_get(folio: Folio): Path<boolean> {
  return yield* page_ref_add_unless(folio, 1, 0);
}

/**
 * Takes the count from `count` to zero if nobody else has a reference: from then on lockless look-ups are refused.
 * @kernel 6.12 include/linux/page_ref.h folio_ref_freeze: faithful
 */
export function* folio_ref_freeze(folio: Folio, count: number): Path<boolean> {
  return yield* compareExchange(folio._refcount, count, 0);
}

/** @kernel 6.12 include/linux/page_ref.h folio_ref_unfreeze: faithful */
export function* folio_ref_unfreeze(folio: Folio, count: number): Path {
  yield* write(folio._refcount, count);
}

/** Whether the folio may be pinned: small folios can't tell many references from one pin. @kernel 6.12 include/linux/mm.h folio_maybe_dma_pinned: faithful */
export function* folio_maybe_dma_pinned(folio: Folio): Path<boolean> {
  if (yield* folio_test_large(folio)) return (yield* read(folio.large!.pincount)) > 0;
  return (yield* folio_ref_count(folio)) >= GUP_PIN_COUNTING_BIAS;
}
