// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { equals, read, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';

/**
 * A sequence counter: odd while its writer is inside. The writer is serialised by something else.
 * @kernel 6.12 include/linux/seqlock.h raw_read_seqcount: faithful
 */
export function* raw_read_seqcount(seq: Cell): Path<number> {
  return yield* read(seq);
}

/** Whether a writer was inside since `start` was read. @kernel 6.12 include/linux/seqlock.h read_seqcount_retry: faithful */
export function* read_seqcount_retry(seq: Cell, start: number): Path<boolean> {
  return !(yield* equals(seq, start));
}

/** @context writers are serialised @kernel 6.12 include/linux/seqlock.h raw_write_seqcount_begin: faithful */
export function* raw_write_seqcount_begin(seq: Cell): Path {
  yield* write(seq, (yield* read(seq)) + 1);
}

/** @kernel 6.12 include/linux/seqlock.h raw_write_seqcount_end: faithful */
export function* raw_write_seqcount_end(seq: Cell): Path {
  yield* write(seq, (yield* read(seq)) + 1);
}
