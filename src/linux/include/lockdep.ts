// SPDX-License-Identifier: GPL-2.0-only
import { assertHeld, assertHeldExclusive } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import type { Folio, Mm } from './mm_types.js';

/** The caller holds the lock, or LOCK-HELD is reported. @kernel 6.12 include/linux/lockdep.h lockdep_assert_held: faithful */
export function lockdep_assert_held(lock: Cell): void {
  assertHeld(lock);
}

/** The caller holds the lock as a writer, or LOCK-HELD is reported. @kernel 6.12 include/linux/lockdep.h lockdep_assert_held_write: faithful */
export function lockdep_assert_held_write(lock: Cell): void {
  assertHeldExclusive(lock);
}

/** @kernel 6.12 include/linux/mmap_lock.h mmap_assert_locked: faithful */
export function mmap_assert_locked(mm: Mm): void {
  lockdep_assert_held(mm.mmap_lock.count);
}

/** @kernel 6.12 include/linux/mmap_lock.h mmap_assert_write_locked: faithful */
export function mmap_assert_write_locked(mm: Mm): void {
  lockdep_assert_held_write(mm.mmap_lock.count);
}

/** VM_BUG_ON_FOLIO(!folio_test_locked(folio)): also that it is the caller who has it locked. @kernel 6.12 include/linux/page-flags.h folio_test_locked: adapted (also who holds it) */
export function assertFolioLocked(folio: Folio): void {
  lockdep_assert_held(folio.lock);
}
