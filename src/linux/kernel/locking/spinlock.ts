// SPDX-License-Identifier: GPL-2.0-only
import { Op } from '../../../core/ops.js';
import { request, type Path } from '../../../core/path.js';
import { lock, trylock, unlock } from '../../../core/primitives.js';
import { type Cell, holder, type System } from '../../../core/system.js';

/** A spinlock, for set-up: `name` is its lock class. */
export function defineSpinlock(system: System, name: string): Cell {
  return system.cell(name, 0, { type: holder, lockClass: name });
}

/**
 * @context any; does not sleep
 * @kernel 6.12 include/linux/spinlock.h spin_lock: adapted (does not count as an RCU reader)
 */
export function* spin_lock(spinlock: Cell): Path {
  yield* lock(spinlock);
}
/** Lockdep: a second lock of the class of one that is held. */
export const SINGLE_DEPTH_NESTING = 1;
/**
 * Takes a lock of a class of which one is held already; `subclass` says that this order is meant.
 * @kernel 6.12 include/linux/spinlock.h spin_lock_nested: faithful
 */
export function* spin_lock_nested(spinlock: Cell, subclass: number): Path {
  yield* request(Op.LOCK, spinlock.at, 0, subclass);
}
/** @kernel 6.12 include/linux/spinlock.h spin_unlock: faithful */
export function* spin_unlock(spinlock: Cell): Path {
  yield* unlock(spinlock);
}
/** @kernel 6.12 include/linux/spinlock.h spin_trylock: faithful */
export function* spin_trylock(spinlock: Cell): Path<boolean> {
  return yield* trylock(spinlock);
}
