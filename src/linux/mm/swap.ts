// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, setBits } from '../../core/primitives.js';
import { PG, VM, VM_SPECIAL, type Folio, type Vma } from '../include/mm_types.js';
import { folio_ref_sub_and_test } from '../include/page_ref.js';
import { folio_is_zone_device, free_zone_device_folio } from './memremap.js';
import { current, knob } from '../kernel.js';
import { might_sleep } from '../kernel/sched/core.js';
import { mlock_new_folio } from './mlock.js';
import { free_unref_page } from './page_alloc.js';

/** From now on reclaim finds the folio. @context any @kernel 6.12 mm/swap.c folio_add_lru: adapted (at once, not in a per-CPU batch) */
export function* folio_add_lru(folio: Folio): Path {
  yield* setBits(folio.flags, PG.lru);
}

/**
 * A new anonymous folio: one of a VM_LOCKED mapping is not for reclaim. Not a step where nothing is locked, since
 * folio_add_new_anon_rmap() puts a folio on the LRU.
 * @context PTL held
 * @kernel 6.12 mm/swap.c folio_add_lru_vma: adapted (at once, not in a per-CPU batch)
 */
export function* folio_add_lru_vma(folio: Folio, vma: Vma): Path {
  if (current.kernel.options.mlock !== true) return;
  if (((yield* load(vma.vm_flags)) & (VM.LOCKED | VM_SPECIAL)) === VM.LOCKED) yield* mlock_new_folio(folio);
}

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
