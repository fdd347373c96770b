// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import type { Folio } from '../include/mm_types.js';
import { folio_ref_sub_and_test } from '../include/page_ref.js';
import { folio_is_zone_device, free_zone_device_folio } from './memremap.js';
import { current, knob } from '../kernel.js';
import { might_sleep } from '../kernel/sched/core.js';
import { free_unref_page } from './page_alloc.js';

/**
 * The last reference is gone: the folio goes back to the allocator.
 * @context any
 * @kernel 6.12 mm/swap.c __folio_put: adapted (no LRU removal, no memcg; the hook of ZONE_DEVICE pages is a knob)
 */
export function* __folio_put(folio: Folio): Path {
  if (yield* folio_is_zone_device(folio)) {
    yield* free_zone_device_folio(folio);
    return;
  }
  if (knob('swap.page_free_hook') === 'sleeps' && current.kernel.hooked.has(folio.pfn)) yield* might_sleep();
  yield* free_unref_page(folio);
}

/**
 * Drops references; frees the folio if they were the last.
 * @context any
 * @kernel 6.12 include/linux/mm.h folio_put_refs: faithful
 */
export function* folio_put_refs(folio: Folio, refs: number): Path {
  if (yield* folio_ref_sub_and_test(folio, refs)) yield* __folio_put(folio);
}

/** @kernel 6.12 include/linux/mm.h folio_put: faithful */
export function* folio_put(folio: Folio): Path {
  yield* folio_put_refs(folio, 1);
}
