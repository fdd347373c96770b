// SPDX-License-Identifier: GPL-2.0-only
/** mm/shmem.c: files in memory are read and written. */
import type { Path } from '../../core/path.js';
import { read, setBits, testBits, write } from '../../core/primitives.js';
import { EINVAL } from '../include/errno.js';
import { PG, type Folio, type Inode } from '../include/mm_types.js';
import { folio_unlock } from '../include/pagemap.js';
import { down_write, up_write } from '../kernel/locking/rwsem.js';
import { folio_mark_dirty } from './page-writeback.js';
import { SGP, shmem_get_folio } from './shmem.js';
import { folio_put, unlockAndPut } from './swap.js';

/**
 * Reads up to `pages` pages of the file from page `start` on; a hole reads as zeroes. Returns their contents, or a negative
 * error number if there is not even one.
 * @context may sleep
 * @kernel 6.12 mm/shmem.c shmem_file_read_iter: adapted (whole pages; no poisoned page)
 */
export function* shmem_file_read_iter(inode: Inode, start: number, pages: number): Path<number[] | number> {
  const contents: number[] = [];
  for (let index = start; index < start + pages; index++) {
    if (index >= (yield* read(inode.i_size))) break;
    const folio = yield* shmem_get_folio(inode, index, SGP.READ);
    if (typeof folio === 'number' && folio < 0) {
      if (contents.length === 0 && folio !== -EINVAL) return folio;
      break;
    }
    if (typeof folio !== 'number') yield* folio_unlock(folio);
    // Nothing keeps truncation out: the page may be behind the end of the file by now.
    const truncated = index >= (yield* read(inode.i_size));
    if (typeof folio === 'number') {
      if (truncated) break;
      contents.push(0);
      continue;
    }
    if (truncated) {
      yield* folio_put(folio);
      break;
    }
    contents.push(folio.frame.data === undefined ? 0 : yield* read(folio.frame.data));
    yield* folio_put(folio);
  }
  return contents;
}

/** A page of the file to write to, locked and with a reference, or a negative error number. @context i_rwsem held for write; may sleep @kernel 6.12 mm/shmem.c shmem_write_begin: adapted (no seals, no poisoned page) */
function* shmem_write_begin(inode: Inode, index: number): Path<Folio | number> {
  return yield* shmem_get_folio(inode, index, SGP.WRITE);
}

/** @context i_rwsem held for write, folio locked @kernel 6.12 mm/shmem.c shmem_write_end: adapted (whole pages; the file does not grow) */
function* shmem_write_end(folio: Folio): Path {
  if (!(yield* testBits(folio.flags, PG.uptodate))) yield* setBits(folio.flags, PG.uptodate);
  yield* folio_mark_dirty(folio);
  yield* unlockAndPut(folio);
}

/**
 * Writes pages of the file from page `start` on. Returns how many, or a negative error number if not even one.
 * @context may sleep
 * @kernel 6.12 mm/shmem.c shmem_file_write_iter, mm/filemap.c generic_perform_write: adapted (whole pages)
 */
export function* shmem_file_write_iter(
  inode: Inode,
  start: number,
  contents: readonly number[],
): Path<number> {
  yield* down_write(inode.i_rwsem);
  let written = 0;
  let err = 0;
  while (written < contents.length) {
    const folio = yield* shmem_write_begin(inode, start + written);
    if (typeof folio === 'number') {
      err = folio;
      break;
    }
    for (const word of folio.frame.words) yield* write(word, contents[written]!);
    yield* shmem_write_end(folio);
    written++;
  }
  yield* up_write(inode.i_rwsem);
  return written > 0 ? written : err;
}
