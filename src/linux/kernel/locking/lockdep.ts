// SPDX-License-Identifier: GPL-2.0-only
import { assertHeld } from '../../../core/primitives.js';
import type { Cell } from '../../../core/system.js';

/** The caller holds this lock: what lockdep_assert_held() and VM_BUG_ON_FOLIO(!folio_test_locked(folio)) say. @kernel 6.12 include/linux/lockdep.h lockdep_assert_held: adapted (the caller itself, not anybody) */
export function lockdep_assert_held(lock: Cell): void {
  assertHeld(lock);
}
