// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import { addUnless } from '../../../core/primitives.js';
import type { Mm } from '../mm_types.js';

/**
 * A reference that keeps the mm from being taken down, unless that has begun. Returns whether it got one; dropped with
 * mmput().
 * @context any
 * @kernel 6.12 include/linux/sched/mm.h mmget_not_zero: faithful
 */
export function* mmget_not_zero(mm: Mm): Path<boolean> {
  return yield* addUnless(mm.mm_users!, 1, 0);
}
