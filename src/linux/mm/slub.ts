// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { choose } from '../../core/primitives.js';
import { might_alloc } from '../include/sched/mm.js';
import { current } from '../kernel.js';
import { __alloc_pages_slowpath } from './page_alloc.js';

/**
 * Allocates an object: there is one in a slab, or a page is needed for a new slab. Where nothing reclaims for
 * allocations memory does not run out. Returns whether there is one.
 * @context may sleep, as the flags say
 * @kernel 6.12 mm/slub.c __kmalloc_noprof: adapted (objects take no frames, and are not freed; new_slab() is the slow path of the page allocator)
 */
export function* kmalloc(_size: number, flags: number): Path<boolean> {
  yield* might_alloc(flags);
  if (current.kernel.options.reclaim === undefined || (yield* choose(2)) === 0) return true;
  return yield* __alloc_pages_slowpath(flags);
}
