// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add, load, subAndTest } from '../../core/primitives.js';
import type { Inode, Vma } from '../include/mm_types.js';
import { current } from '../kernel.js';
import { shmem_evict_inode } from '../mm/shmem.js';

/** The file that a VMA maps, undefined for anonymous memory. Not a step where there are no files. @context mmap_lock held */
export function* vmaFile(vma: Vma): Path<Inode | undefined> {
  if (current.kernel.inodes === undefined) return undefined;
  return current.kernel.inodes[yield* load(vma.vm_file)];
}

/** One more reference on a file; the caller has one. @kernel 6.12 include/linux/fs.h get_file: faithful */
export function* get_file(file: Inode): Path {
  yield* add(file.f_count, 1);
}

/** Drops a reference on a file; its pages go with the last. @context may sleep @kernel 6.12 fs/file_table.c fput: adapted (at once; the inode goes with its only file) */
export function* fput(file: Inode): Path {
  if (yield* subAndTest(file.f_count, 1)) yield* shmem_evict_inode(file);
}
