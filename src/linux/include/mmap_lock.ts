// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import {
  down_read,
  down_read_trylock,
  down_write,
  down_write_nested,
  downgrade_write,
  up_read,
  up_write,
} from '../kernel/locking/rwsem.js';
import type { Mm } from './mm_types.js';

/** @context may sleep @kernel 6.12 include/linux/mmap_lock.h mmap_read_lock: faithful */
export function* mmap_read_lock(mm: Mm): Path {
  yield* down_read(mm.mmap_lock);
}
/** @kernel 6.12 include/linux/mmap_lock.h mmap_read_trylock: faithful */
export function* mmap_read_trylock(mm: Mm): Path<boolean> {
  return yield* down_read_trylock(mm.mmap_lock);
}
/** @kernel 6.12 include/linux/mmap_lock.h mmap_read_unlock: faithful */
export function* mmap_read_unlock(mm: Mm): Path {
  yield* up_read(mm.mmap_lock);
}
/** @context may sleep @kernel 6.12 include/linux/mmap_lock.h mmap_write_lock: adapted (no per-VMA sequence) */
export function* mmap_write_lock(mm: Mm): Path {
  yield* down_write(mm.mmap_lock);
}
/** @context may sleep; the mmap_lock of another mm is held @kernel 6.12 include/linux/mmap_lock.h mmap_write_lock_nested: adapted (no per-VMA sequence) */
export function* mmap_write_lock_nested(mm: Mm, subclass: number): Path {
  yield* down_write_nested(mm.mmap_lock, subclass);
}
/** @kernel 6.12 include/linux/mmap_lock.h mmap_write_unlock: adapted (no per-VMA sequence) */
export function* mmap_write_unlock(mm: Mm): Path {
  yield* up_write(mm.mmap_lock);
}
/** @kernel 6.12 include/linux/mmap_lock.h mmap_write_downgrade: adapted (no per-VMA sequence) */
export function* mmap_write_downgrade(mm: Mm): Path {
  yield* downgrade_write(mm.mmap_lock);
}
