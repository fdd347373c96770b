// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { equals, read, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';

/**
 * A sequence counter: odd while a writer is inside.
 * @kernel 6.12 include/linux/seqlock_types.h seqcount_t: adapted (no lock that it is associated with)
 */
export type seqcount_t = Cell;

/**
 * Enters the write side; what serialises writers is the caller's business. Readers see an odd number from here on.
 * @kernel 6.12 include/linux/seqlock.h raw_write_seqcount_begin: faithful
 */
export function* raw_write_seqcount_begin(s: seqcount_t): Path {
  const sequence = yield* read(s);
  yield* write(s, sequence + 1);
}

/** @kernel 6.12 include/linux/seqlock.h raw_write_seqcount_end: faithful */
export function* raw_write_seqcount_end(s: seqcount_t): Path {
  const sequence = yield* read(s);
  yield* write(s, sequence + 1);
}

/** The number as it is, odd or even: what an odd one means is the caller's business. @kernel 6.12 include/linux/seqlock.h raw_read_seqcount: faithful */
export function* raw_read_seqcount(s: seqcount_t): Path<number> {
  return yield* read(s);
}

/** Whether a writer was inside since `start` was read. @kernel 6.12 include/linux/seqlock.h read_seqcount_retry: faithful */
export function* read_seqcount_retry(s: seqcount_t, start: number): Path<boolean> {
  return !(yield* equals(s, start));
}
