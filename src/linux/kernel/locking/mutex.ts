// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import { lock, trylock, unlock } from '../../../core/primitives.js';
import { type Cell, holder, type System } from '../../../core/system.js';

/** A mutex, for set-up: `name` is its lock class unless one is given. */
export function defineMutex(system: System, name: string, lockClass = name): Cell {
  return system.cell(name, 0, { type: holder, lockClass, sleeps: true });
}

/** @context may sleep @kernel 6.12 kernel/locking/mutex.c mutex_lock: adapted (no spinning, no hand-off order) */
export function* mutex_lock(mutex: Cell): Path {
  yield* lock(mutex);
}
/** @kernel 6.12 kernel/locking/mutex.c mutex_trylock: faithful */
export function* mutex_trylock(mutex: Cell): Path<boolean> {
  return yield* trylock(mutex);
}
/** @kernel 6.12 kernel/locking/mutex.c mutex_unlock: faithful */
export function* mutex_unlock(mutex: Cell): Path {
  yield* unlock(mutex);
}
