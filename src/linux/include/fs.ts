// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import type { Vma } from './mm_types.js';

/** What a driver does for its device file. @kernel 6.12 include/linux/fs.h struct file_operations: adapted (what paths here call) */
export interface FileOperations {
  /** Maps what it has into a new VMA, which is in no tree yet: 0, or a negative error number. @context mmap_lock held for write; may sleep */
  mmap(vma: Vma): Path<number>;
}
