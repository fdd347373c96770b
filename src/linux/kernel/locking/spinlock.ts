// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import { lock, trylock, unlock } from '../../../core/primitives.js';
import type { Cell } from '../../../core/system.js';

/**
 * @context any; does not sleep
 * @kernel 6.12 include/linux/spinlock.h spin_lock: adapted (does not count as an RCU reader)
 */
export function* spin_lock(spinlock: Cell): Path {
  yield* lock(spinlock);
}
/** @kernel 6.12 include/linux/spinlock.h spin_unlock: faithful */
export function* spin_unlock(spinlock: Cell): Path {
  yield* unlock(spinlock);
}
/** @kernel 6.12 include/linux/spinlock.h spin_trylock: faithful */
export function* spin_trylock(spinlock: Cell): Path<boolean> {
  return yield* trylock(spinlock);
}
