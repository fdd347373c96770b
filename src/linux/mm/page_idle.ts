// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { equals, testBits } from '../../core/primitives.js';
import { PG, type Folio } from '../include/mm_types.js';
import { folioUnchanged, folio_try_get, page_folio } from '../include/page_ref.js';
import { pfn_to_online_page } from './memory_hotplug.js';
import { folio_put } from './swap.js';

/**
 * Takes a reference on the user page of a PFN: any PFN that user space writes into the idle bitmap. Interrupts stay on
 * and nothing is an RCU reader: a PFN walker.
 * @context may sleep
 * @kernel 6.12 mm/page_idle.c page_idle_get_folio: faithful
 */
export function* page_idle_get_folio(pfn: number): Path<Folio | undefined> {
  const page = yield* pfn_to_online_page(pfn);
  if (page === undefined || !(yield* equals(page.compound_head, 0))) return undefined; // PageTail()
  const folio = yield* page_folio(page);
  if (!(yield* testBits(folio.flags, PG.lru))) return undefined;
  if (!(yield* folio_try_get(folio))) return undefined;
  if (yield* folioUnchanged(page, folio)) {
    if (yield* testBits(folio.flags, PG.lru)) return folio;
  }
  yield* folio_put(folio);
  return undefined;
}
