// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { equals, lock, read, setBits, store, testBits, write } from '../../core/primitives.js';
import { EEXIST, EINVAL, ENOMEM } from '../include/errno.js';
import { assertFolioLocked, lockdep_assert_held } from '../include/lockdep.js';
import { type Folio, type Inode, PG, type Vma } from '../include/mm_types.js';
import { folio_lock, folio_unlock } from '../include/pagemap.js';
import { folio_get } from '../include/page_ref.js';
import { current, type Kernel } from '../kernel.js';
import { down_write, up_write } from '../kernel/locking/rwsem.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { filemap_get_entry, truncate_inode_pages_range } from './filemap.js';
import { clear_user_highpage, VM_FAULT, type VmFault } from './memory-fault.js';
import { shmem_free_swap, shmem_swapin_folio, xa_is_value } from './shmem-swap.js';
import { unmap_mapping_pages } from './memory.js';
import { alloc_page } from './page_alloc.js';
import { folio_add_lru, folio_put } from './swap.js';

/** Files in memory: taking an inode is one step. */
export function defineShmemOps(kernel: Kernel) {
  const { system } = kernel;
  return {
    /** Takes a free inode for a file of a pages, with one reference: its number, 0 if there is none. */
    shmemFileSetup: system.op({
      name: 'shmem_file_setup',
      exec: (a) => {
        const { inodes } = kernel;
        const inode =
          inodes!.find((each) => each?.f_count.value === 0) ??
          (system.growable ? kernel.addInode() : undefined);
        if (inode === undefined) return 0;
        if (a > inode.i_pages.length)
          throw new Error(`expected a file of at most ${inode.i_pages.length} pages, not ${a}`);
        system.set(inode.f_count.at, 1);
        system.set(inode.i_size.at, a);
        return inode.number;
      },
      touches: (_a, _b, _c, _agent, access) => {
        for (const inode of kernel.inodes ?? [])
          if (inode !== undefined) access.writes.push(inode.f_count.at, inode.i_size.at);
      },
    }),
  };
}

/**
 * A file in memory, `pages` pages large and empty, with one reference. Undefined if there is none left.
 * @context may sleep
 * @kernel 6.12 mm/shmem.c shmem_file_setup: adapted (no name, no accounting)
 */
export function* shmem_file_setup(pages: number): Path<Inode | undefined> {
  return current.kernel.inodes![yield* request(current.kernel.op.shmemFileSetup, pages)];
}

/**
 * Gives a shared mapping of no file one of its own. Returns false if there is none left.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/shmem.c shmem_zero_setup: faithful
 */
export function* shmem_zero_setup(vma: Vma, pages: number): Path<boolean> {
  const file = yield* shmem_file_setup(pages);
  if (file !== undefined) yield* store(vma.vm_file, file.number);
  return file !== undefined;
}

/** The last reference on the file has gone. @context may sleep @kernel 6.12 mm/shmem.c shmem_evict_inode: adapted (nothing to account) */
export function* shmem_evict_inode(inode: Inode): Path {
  yield* shmem_undo_range(inode, 0, yield* read(inode.i_size));
}

/** @context may sleep; nobody maps the pages @kernel 6.12 mm/shmem.c shmem_undo_range: faithful */
function* shmem_undo_range(inode: Inode, start: number, end: number): Path {
  if (current.kernel.swap !== undefined)
    for (let index = start; index < end; index++) yield* shmem_free_swap(inode, index);
  yield* truncate_inode_pages_range(inode, start, end);
}

/**
 * Punches a hole: pages [start, start + len) of the file are gone, and zero when they are looked at again. Private copies
 * stay.
 * @context may sleep
 * @kernel 6.12 mm/shmem.c shmem_fallocate: adapted (FALLOC_FL_PUNCH_HOLE; faults don't wait for it)
 */
export function* shmem_fallocate(inode: Inode, start: number, len: number): Path<number> {
  yield* down_write(inode.i_rwsem);
  yield* unmap_mapping_pages(inode, start, len, false);
  yield* shmem_undo_range(inode, start, start + len);
  yield* up_write(inode.i_rwsem);
  return 0;
}

/** @context folio locked @kernel 6.12 mm/shmem.c shmem_add_to_page_cache: adapted (small folios) */
function* shmem_add_to_page_cache(folio: Folio, inode: Inode, index: number): Path<boolean> {
  assertFolioLocked(folio);
  yield* folio_get(folio);
  yield* store(folio.mapping, inode.mapping);
  yield* store(folio.index, index);
  yield* spin_lock(inode.xa_lock);
  lockdep_assert_held(inode.xa_lock); // xas_store()
  const free = yield* equals(inode.i_pages[index]!, 0);
  if (free) yield* write(inode.i_pages[index]!, folio.pfn + 1);
  yield* spin_unlock(inode.xa_lock);
  if (free) return true;
  yield* store(folio.mapping, 0);
  yield* folio_put(folio);
  return false;
}

/**
 * A new page of the file, locked and in the page cache; undefined without memory, false if somebody was faster.
 * @context may sleep
 * @kernel 6.12 mm/shmem.c shmem_alloc_and_add_folio: adapted (small folios, no accounting)
 */
function* shmem_alloc_and_add_folio(inode: Inode, index: number): Path<Folio | false | undefined> {
  const folio = yield* alloc_page();
  if (folio === undefined) return undefined;
  yield* lock(folio.lock);
  yield* setBits(folio.flags, PG.swapbacked);
  if (!(yield* shmem_add_to_page_cache(folio, inode, index))) {
    yield* folio_unlock(folio);
    yield* folio_put(folio);
    return false;
  }
  yield* folio_add_lru(folio);
  return folio;
}

/** What a page of a file is wanted for: to be read (a hole stays one), to be mapped, to be written to as a whole. @kernel 6.12 include/linux/shmem_fs.h enum sgp_type: adapted (those that paths here use) */
export const SGP = { READ: 0, CACHE: 2, WRITE: 3 } as const;

/**
 * The page of a file, which is made if it is not there: locked, with a reference; 0 for a hole that is read, or a negative
 * error number.
 * @context may sleep
 * @kernel 6.12 mm/shmem.c shmem_get_folio_gfp: adapted (no huge pages; no fallocate(), so a page that is found is up to date)
 */
export function* shmem_get_folio(inode: Inode, index: number, sgp: number = SGP.CACHE): Path<Folio | number> {
  for (;;) {
    if (index >= (yield* read(inode.i_size))) return -EINVAL;
    const entry = current.kernel.swap === undefined ? 0 : yield* read(inode.i_pages[index]!);
    if (xa_is_value(entry)) {
      const swapped = yield* shmem_swapin_folio(inode, index, entry);
      if (swapped === -EEXIST) continue;
      return swapped;
    }
    const cached = yield* filemap_get_entry(inode.i_pages[index]!);
    if (cached !== undefined) {
      yield* folio_lock(cached);
      // Truncation takes the mapping away under the folio's lock.
      if (yield* equals(cached.mapping, inode.mapping)) return cached;
      yield* folio_unlock(cached);
      yield* folio_put(cached);
      continue;
    }
    if (sgp === SGP.READ) return 0;
    const folio = yield* shmem_alloc_and_add_folio(inode, index);
    if (folio === undefined) return -ENOMEM;
    if (folio === false) continue;
    if (sgp !== SGP.WRITE && !(yield* testBits(folio.flags, PG.uptodate))) {
      yield* clear_user_highpage(folio);
      yield* setBits(folio.flags, PG.uptodate);
    }
    return folio;
  }
}

/**
 * Serves a fault in a mapping of a file in memory: vmf.page is its page, locked and referenced.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/shmem.c shmem_fault: adapted (no hole punching)
 */
export function* shmem_fault(vmf: VmFault, inode: Inode, pgoff: number): Path<number> {
  const folio = yield* shmem_get_folio(inode, pgoff);
  if (typeof folio === 'number') return folio === -ENOMEM ? VM_FAULT.OOM : VM_FAULT.SIGBUS;
  vmf.page = folio;
  return VM_FAULT.LOCKED;
}
