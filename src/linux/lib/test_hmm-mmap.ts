// SPDX-License-Identifier: GPL-2.0-only
/** lib/test_hmm.c: the device file is mapped. */
import type { Path } from '../../core/path.js';
import { load } from '../../core/primitives.js';
import { ENOMEM } from '../include/errno.js';
import type { FileOperations } from '../include/fs.js';
import type { Vma } from '../include/mm_types.js';
import { PAGE_SIZE } from '../include/pgtable.js';
import { clear_user_highpage } from '../mm/memory-fault.js';
import { vm_insert_page } from '../mm/memory-insert.js';
import { alloc_page } from '../mm/page_alloc.js';
import { folio_put } from '../mm/swap.js';

/**
 * Fills a mapping of the device file with zeroed pages, which only the mapping has then.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_fops_mmap: faithful
 */
export function* dmirror_fops_mmap(vma: Vma): Path<number> {
  const vm_start = yield* load(vma.vm_start);
  const vm_end = yield* load(vma.vm_end);
  for (let addr = vm_start; addr < vm_end; addr += PAGE_SIZE) {
    const page = yield* alloc_page();
    if (page === undefined) return -ENOMEM;
    yield* clear_user_highpage(page); // __GFP_ZERO
    const ret = yield* vm_insert_page(vma, addr, page);
    yield* folio_put(page);
    if (ret !== 0) return ret;
  }
  return 0;
}

/** @kernel 6.12 lib/test_hmm.c dmirror_fops: adapted (what is called through an open file is called directly) */
export const dmirror_fops: FileOperations = { mmap: dmirror_fops_mmap };
