// SPDX-License-Identifier: MIT
import type { Path } from '../core/path.js';
import { load, read } from '../core/primitives.js';
import { fput, get_file, vmaFile } from '../linux/fs/file_table.js';
import { mmap_read_lock, mmap_read_unlock } from '../linux/include/mmap_lock.js';
import type { Inode, Mm } from '../linux/include/mm_types.js';
import { folio_get } from '../linux/include/page_ref.js';
import { dup_mmap, mm_init, mmput } from '../linux/kernel/fork.js';
import { current } from '../linux/kernel.js';
import { do_madvise } from '../linux/mm/madvise.js';
import { do_mlock, munlock } from '../linux/mm/mlock.js';
import { exit_mmap, MAP, vm_mmap_pgoff, vm_munmap } from '../linux/mm/mmap.js';
import { do_mprotect_pkey } from '../linux/mm/mprotect.js';
import { mremap } from '../linux/mm/mremap.js';
import { shmem_file_setup } from '../linux/mm/shmem.js';
import { folio_put, lru_add_drain } from '../linux/mm/swap.js';
import { free_swap_cache } from '../linux/mm/swap_state.js';
import { SWAP_HAS_CACHE } from '../linux/mm/swapfile.js';
import { vma_next } from '../linux/mm/vma-tree.js';
import { type MapKind, mapKind } from './ops-language.js';

/** The system calls that answer nothing but an error number; `at` makes an address of two words, a region and its page. */
export function systemCall(
  mm: Mm,
  name: string,
  words: readonly number[],
  at: (region: number, page: number) => number,
): (() => Path<number>) | undefined {
  const [, , third = 0, fourth = 0] = words;
  switch (name) {
    case 'mmap': {
      const [region = 0, pages = 0] = words;
      return () => mapAnew(mm, at(region, 0), pages, third, mapKind(fourth));
    }
    case 'munmap':
      return () => vm_munmap(mm, at(words[0]!, words[1]!), third);
    case 'mprotect':
      return () => do_mprotect_pkey(mm, at(words[0]!, words[1]!), third, fourth);
    case 'madvise':
      return () => do_madvise(mm, at(words[0]!, words[1]!), third, fourth);
    case 'mremap':
      return () => mremap(mm, at(words[0]!, words[1]!), third, at(fourth, words[4]!));
    case 'mlock':
      return () =>
        fourth === 0
          ? munlock(mm, at(words[0]!, words[1]!), third)
          : do_mlock(mm, at(words[0]!, words[1]!), third);
    default:
      return undefined;
  }
}

/** mmap() of anonymous memory, or of a file that only this mapping has. */
function* mapAnew(mm: Mm, addr: number, pages: number, prot: number, kind: MapKind): Path<number> {
  const ofFile = kind === 'memfd' || kind === 'privfile';
  const file = ofFile ? yield* shmem_file_setup(pages) : undefined;
  const shared = kind === 'shared' || kind === 'memfd';
  const flags = MAP.FIXED_NOREPLACE | (shared ? MAP.SHARED : MAP.PRIVATE);
  const err = yield* vm_mmap_pgoff(mm, file, addr, pages, prot, flags);
  if (file !== undefined) yield* fput(file);
  return err;
}

export function* forkInto(mm: Mm, oldmm: Mm): Path<number> {
  yield* mm_init(mm);
  return yield* dup_mmap(mm, oldmm);
}

/**
 * Takes away what only the swap cache has, as reclaim would: zapping a device-exclusive entry leaves it there. Nobody needs
 * the slots.
 */
export function* dropSwapCache(): Path {
  for (const { cache, map } of current.kernel.swap?.slots ?? []) {
    const pfn = (yield* read(cache)) - 1;
    if (pfn < 0 || (yield* read(map)) !== SWAP_HAS_CACHE) continue;
    const folio = current.kernel.mem_map[pfn]!;
    yield* folio_get(folio);
    yield* free_swap_cache(folio);
    yield* folio_put(folio);
  }
}

/**
 * A process has a program and a stack as well, which no script sees: exit_mmap() always finds VMAs to begin with, and pages to
 * free in the end, and drains for both.
 */
export function* exitMm(mm: Mm): Path {
  yield* lru_add_drain();
  if (mm.mm_users === undefined) yield* exit_mmap(mm);
  else yield* mmput(mm);
  yield* lru_add_drain();
}

/** The files that are mapped, with a reference on each. */
export function* filesOf(mm: Mm): Path<Inode[]> {
  const files: Inode[] = [];
  yield* mmap_read_lock(mm);
  for (
    let vma = yield* vma_next(mm, 0);
    vma !== undefined;
    vma = yield* vma_next(mm, yield* load(vma.vm_end))
  ) {
    const file = yield* vmaFile(vma);
    if (file === undefined || files.includes(file)) continue;
    yield* get_file(file);
    files.push(file);
  }
  yield* mmap_read_unlock(mm);
  return files;
}
