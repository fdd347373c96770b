// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { equals, testAndSetBits, testBits } from '../../core/primitives.js';
import { EBUSY, EHWPOISON, ENXIO } from '../include/errno.js';
import { PG, type Folio } from '../include/mm_types.js';
import { folio_lock, folio_unlock } from '../include/pagemap.js';
import { folio_try_get, folioUnchanged, page_folio } from '../include/page_ref.js';
import { current } from '../kernel.js';
import { pfn_to_online_page } from './memory_hotplug.js';
import { folio_mapped } from './rmap.js';
import { newTlbUbc, TTU } from './rmap-batch.js';
import { try_to_unmap } from './rmap-unmap.js';
import { folio_put } from './swap.js';
import { folio_isolate_lru } from './vmscan.js';

/**
 * A reference on the folio of a page that is to be poisoned, if it is one of user memory.
 * @kernel 6.12 mm/memory-failure.c __get_hwpoison_page: adapted (folios on the LRU)
 */
function* get_hwpoison_page(page: Folio): Path<boolean> {
  const folio = yield* page_folio(page);
  if (!(yield* testBits(folio.flags, PG.lru))) return false;
  if (!(yield* folio_try_get(folio))) return false;
  if (yield* folioUnchanged(page, folio)) return true;
  yield* folio_put(folio);
  return false;
}

/**
 * Puts poison entries in the place of the folio's entries: who touches the page is killed.
 * @context folio locked and referenced; may sleep
 * @kernel 6.12 mm/memory-failure.c unmap_poisoned_folio: adapted (anonymous folios)
 */
function* unmap_poisoned_folio(folio: Folio): Path<number> {
  let ttu: number = TTU.IGNORE_MLOCK | TTU.SYNC | TTU.HWPOISON;
  const swaps = current.kernel.swap !== undefined;
  // What is in the swap cache stays there, poisoned, and kills who reads it in.
  if (swaps && (yield* testBits(folio.flags, PG.swapcache))) ttu &= ~TTU.HWPOISON;
  yield* try_to_unmap(folio, ttu, newTlbUbc());
  return (yield* folio_mapped(folio)) ? -EBUSY : 0;
}

/**
 * Takes a poisoned folio from those who map it. Returns false if it could not.
 * @context folio locked and referenced; may sleep
 * @kernel 6.12 mm/memory-failure.c hwpoison_user_mappings: adapted (nobody is killed early: the next access is)
 */
function* hwpoison_user_mappings(folio: Folio): Path<boolean> {
  if (!(yield* testBits(folio.flags, PG.lru))) return true;
  if (!(yield* folio_mapped(folio))) return true;
  return (yield* unmap_poisoned_folio(folio)) === 0;
}

/**
 * A page of a process: off the LRU. Nobody asks whether there are other references than the caller's.
 * @context folio locked at entry, not at return
 * @kernel 6.12 mm/memory-failure.c me_pagecache_clean: adapted (anonymous folios outside of the swap cache, dirty or not)
 */
function* me_pagecache_clean(folio: Folio): Path {
  if (yield* folio_isolate_lru(folio)) yield* folio_put(folio); // delete_from_lru_cache()
  yield* folio_unlock(folio);
}

/**
 * The hardware says that a page is broken: takes it from the processes that map it, and keeps a reference, so that it is
 * never used again. Returns 0, or a negative error number if it was not dealt with.
 * @context may sleep
 * @kernel 6.12 mm/memory-failure.c memory_failure: adapted (small anonymous folios; one at a time, so no mf_mutex; no filter, no writeback)
 */
export function* memory_failure(pfn: number): Path<number> {
  const p = yield* pfn_to_online_page(pfn);
  if (p === undefined) return -ENXIO;
  if (yield* testAndSetBits(p.flags, PG.hwpoison)) return -EHWPOISON;
  if (!(yield* get_hwpoison_page(p))) return -EBUSY;
  const folio = yield* page_folio(p);
  yield* folio_lock(folio);
  const gone =
    !(yield* hwpoison_user_mappings(folio)) ||
    ((yield* testBits(folio.flags, PG.lru)) && (yield* equals(folio.mapping, 0)));
  if (gone) {
    yield* folio_unlock(folio);
    return -EBUSY;
  }
  yield* me_pagecache_clean(folio);
  return 0;
}
