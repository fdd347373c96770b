// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add, addUnless, read, subAndTest, testBits } from '../../core/primitives.js';
import { rcu_read_lock, rcu_read_unlock } from '../kernel/rcu/tree.js';
import { current, knob } from '../kernel.js';
import { PG, type Folio, type Page } from './mm_types.js';

/**
 * The folio that a page belongs to now: the page itself, or the head that its compound_head names.
 * @kernel 6.12 include/linux/page-flags.h page_folio: faithful
 */
export function* page_folio(page: Page): Path<Folio> {
  const head = yield* read(page.compound_head);
  return head === 0 ? page : current.kernel.mem_map[head - 1]!;
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

/** @kernel 6.12 include/linux/page_ref.h folio_try_get: faithful */
export function* folio_try_get(folio: Folio): Path<boolean> {
  return yield* folio_ref_try_add(folio, 1);
}

/** @kernel 6.12 include/linux/page_ref.h folio_put_testzero / folio_ref_sub_and_test: faithful */
export function* folio_ref_sub_and_test(folio: Folio, refs: number): Path<boolean> {
  return yield* subAndTest(folio._refcount, refs);
}

/** Takes a reference; the caller has one, or a lock that keeps the folio. @kernel 6.12 include/linux/mm.h folio_get: faithful */
export function* folio_get(folio: Folio): Path {
  yield* add(folio._refcount, 1);
}
