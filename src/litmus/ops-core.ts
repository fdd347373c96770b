// SPDX-License-Identifier: MIT
import type { Path } from '../core/path.js';
import { read } from '../core/primitives.js';
import { fput } from '../linux/fs/file_table.js';
import type { Mm } from '../linux/include/mm_types.js';
import { folio_get } from '../linux/include/page_ref.js';
import { dup_mmap, mm_init } from '../linux/kernel/fork.js';
import { current } from '../linux/kernel.js';
import { do_madvise } from '../linux/mm/madvise.js';
import { do_mlock, munlock } from '../linux/mm/mlock.js';
import { MAP, vm_mmap_pgoff, vm_munmap } from '../linux/mm/mmap.js';
import { do_mprotect_pkey } from '../linux/mm/mprotect.js';
import { mremap } from '../linux/mm/mremap.js';
import { shmem_file_setup } from '../linux/mm/shmem.js';
import { folio_put } from '../linux/mm/swap.js';
import { free_swap_cache } from '../linux/mm/swap_state.js';
import { SWAP_HAS_CACHE } from '../linux/mm/swapfile.js';
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
