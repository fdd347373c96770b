// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import type { Mm } from '../include/mm_types.js';
import { zap_page_range_single } from './memory.js';

/**
 * MADV_DONTNEED: drops the pages of [start, end), the mapping stays.
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 mm/madvise.c madvise_dontneed_single_vma: adapted (the caller's range lies in one VMA)
 */
export function* madvise_dontneed(mm: Mm, start: number, end: number): Path<number> {
  yield* mmap_read_lock(mm);
  yield* zap_page_range_single(mm, start, end);
  yield* mmap_read_unlock(mm);
  return 0;
}
