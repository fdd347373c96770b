// SPDX-License-Identifier: GPL-2.0-only
/** mm/gup.c: pins that are held for long must not be on memory that has to be free to go. */
import type { Path } from '../../core/path.js';
import { EAGAIN, EBUSY } from '../include/errno.js';
import { folio_is_device_coherent } from '../include/memremap.js';
import { folio_is_longterm_pinnable } from '../include/mm.js';
import type { Page } from '../include/mm_types.js';
import { folio_get, page_folio } from '../include/page_ref.js';
import { FOLL, gup_put_folio, unpin_user_page } from './gup.js';
import type { Pinned } from './gup-slow.js';
import { migrate_device_coherent_folio } from './migrate_device.js';

/** How many of the pages may not stay pinned where they are. @kernel 6.12 mm/gup.c collect_longterm_unpinnable_folios: adapted (device memory only: no movable zone, nothing to isolate) */
function* collect_longterm_unpinnable_folios(pages: readonly Page[]): Path<number> {
  let collected = 0;
  for (const page of pages) if (!(yield* folio_is_longterm_pinnable(yield* page_folio(page)))) collected++;
  return collected;
}

/**
 * Unpins all pages, and moves those to RAM that are in device memory. Returns -EAGAIN: they are to be pinned anew; or
 * -EBUSY.
 * @context may sleep
 * @kernel 6.12 mm/gup.c migrate_longterm_unpinnable_folios: adapted (device memory only)
 */
function* migrate_longterm_unpinnable_folios(pages: readonly Page[]): Path<number> {
  for (let i = 0; i < pages.length; i++) {
    const folio = yield* page_folio(pages[i]!);
    if (!(yield* folio_is_device_coherent(folio))) {
      yield* unpin_user_page(folio);
      continue;
    }
    // A pinned page does not migrate: the pin becomes a plain reference.
    yield* folio_get(folio);
    yield* gup_put_folio(folio, 1, FOLL.PIN);
    if ((yield* migrate_device_coherent_folio(folio)) === 0) continue;
    for (const rest of pages.slice(i + 1)) yield* unpin_user_page(rest);
    return -EBUSY;
  }
  return -EAGAIN;
}

/** @context may sleep @kernel 6.12 mm/gup.c check_and_migrate_movable_pages: faithful */
function* check_and_migrate_movable_pages(pages: readonly Page[]): Path<number> {
  if ((yield* collect_longterm_unpinnable_folios(pages)) === 0) return 0;
  return yield* migrate_longterm_unpinnable_folios(pages);
}

/**
 * What a look-up comes to, if it is one of FOLL_LONGTERM: undefined if it has to be done again. Not a step for others.
 * @context may sleep
 * @kernel 6.12 mm/gup.c __gup_longterm_locked: adapted (the loop is the caller's)
 */
export function* longtermPinned(pinned: Pinned, gup_flags: number): Path<Pinned | undefined> {
  if (!(gup_flags & FOLL.LONGTERM) || pinned.pages.length === 0) return pinned;
  const rc = yield* check_and_migrate_movable_pages(pinned.pages);
  if (rc === 0) return pinned;
  return rc === -EAGAIN ? undefined : { pages: [], err: rc };
}
