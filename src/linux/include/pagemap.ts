// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { lock, read, trylock, unlock } from '../../core/primitives.js';
import type { Folio } from './mm_types.js';

/** @context may sleep; a reference or another reason why the folio can't go @kernel 6.12 include/linux/pagemap.h folio_lock: adapted (PG_locked is a lock of its own) */
export function* folio_lock(folio: Folio): Path {
  yield* lock(folio.lock);
}
/**
 * folio_lock() of a folio that hardly anybody else can know, while others are locked. It waits only if somebody does; an
 * order of locks is none of it.
 * @context may sleep
 */
export function* lockNewFolio(folio: Folio): Path {
  if (!(yield* folio_trylock(folio))) yield* folio_lock(folio);
}
/** @kernel 6.12 include/linux/pagemap.h folio_trylock: faithful */
export function* folio_trylock(folio: Folio): Path<boolean> {
  return yield* trylock(folio.lock);
}
/** @kernel 6.12 mm/filemap.c folio_unlock: faithful */
export function* folio_unlock(folio: Folio): Path {
  yield* unlock(folio.lock);
}
/** @kernel 6.12 include/linux/page-flags.h folio_test_locked: faithful */
export function* folio_test_locked(folio: Folio): Path<boolean> {
  return (yield* read(folio.lock)) !== 0;
}
