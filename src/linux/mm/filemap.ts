// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add, equals, load, progress, read, store, testBits, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { assertFolioLocked, lockdep_assert_held } from '../include/lockdep.js';
import { type Folio, type Inode, PG } from '../include/mm_types.js';
import { folio_lock, folio_test_locked, folio_trylock, folio_unlock } from '../include/pagemap.js';
import { folio_get, folio_try_get } from '../include/page_ref.js';
import { PAGE_SIZE, pte_none, pte_offset_map_lock, pte_unmap_unlock, ptep_get } from '../include/pgtable.js';
import { current } from '../kernel.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { rcu_read_lock, rcu_read_unlock } from '../kernel/rcu/tree.js';
import { fileRss, pmd_install, set_pte_range } from './memory-file.js';
import { VM_FAULT, type VmFault } from './memory-fault.js';
import { folio_put, lru_add_drain } from './swap.js';

/**
 * The folio that a page cache has in a slot, with a reference. Lockless: the count may be frozen, or the folio may have
 * gone by the time it is taken.
 * @kernel 6.12 mm/filemap.c filemap_get_entry: adapted (the slot was found; no shadow entries; what is in swap is the caller's business)
 */
export function* filemap_get_entry(slot: Cell): Path<Folio | undefined> {
  for (;;) {
    const found = yield* read(slot);
    if (found <= 0) return undefined;
    const folio = current.kernel.mem_map[found - 1]!;
    if (yield* folio_try_get(folio)) {
      if (yield* equals(slot, found)) return folio;
      yield* folio_put(folio);
    }
    progress('filemap_get_entry retry');
  }
}

/** The folio is no page of the file any more. @context folio locked and referenced @kernel 6.12 mm/filemap.c filemap_remove_folio: adapted (no statistics) */
export function* filemap_remove_folio(inode: Inode, folio: Folio): Path {
  assertFolioLocked(folio);
  const index = yield* load(folio.index);
  yield* spin_lock(inode.xa_lock);
  lockdep_assert_held(inode.xa_lock); // xas_store()
  yield* write(inode.i_pages[index]!, 0);
  yield* store(folio.mapping, 0);
  yield* spin_unlock(inode.xa_lock);
  yield* folio_put(folio);
}

/** The next folio of [index, end) that can be mapped at once: locked and referenced, and its page of the file. @kernel 6.12 mm/filemap.c next_uptodate_folio: adapted (no readahead) */
function* next_uptodate_folio(
  inode: Inode,
  index: number,
  end: number,
): Path<{ folio: Folio; at: number } | undefined> {
  for (let at = index; at < end; at++) {
    const slot = inode.i_pages[at]!;
    const found = yield* read(slot);
    if (found <= 0) continue; // nothing, or in swap
    const folio = current.kernel.mem_map[found - 1]!;
    if (yield* folio_test_locked(folio)) continue;
    if (!(yield* folio_try_get(folio))) continue;
    if ((yield* equals(slot, found)) && (yield* testBits(folio.flags, PG.uptodate))) {
      if (yield* folio_trylock(folio)) {
        if ((yield* equals(folio.mapping, inode.mapping)) && at < (yield* read(inode.i_size)))
          return { folio, at };
        yield* folio_unlock(folio);
      }
    }
    yield* folio_put(folio);
  }
  return undefined;
}

/**
 * Maps the pages around a fault that the page cache has already: those of the file from page `start` to before `end`, of
 * which the first is mapped at `addr`, in one page table. VM_FAULT_NOPAGE if the page that faulted is among them.
 * @context RCU; mmap_lock held
 * @kernel 6.12 mm/filemap.c filemap_map_pages: adapted (small folios; no readahead statistics)
 */
export function* filemap_map_pages(
  vmf: VmFault,
  inode: Inode,
  start: number,
  end: number,
  first: number,
): Path<number> {
  yield* rcu_read_lock();
  let ret: number = VM_FAULT.NONE;
  let next = yield* next_uptodate_folio(inode, start, end);
  if (next !== undefined && vmf.prealloc_pte !== undefined) yield* pmd_install(vmf); // filemap_map_pmd()
  const mapped = next === undefined ? undefined : yield* pte_offset_map_lock(vmf.pmd, first);
  if (next !== undefined && mapped === undefined) {
    yield* folio_unlock(next.folio);
    yield* folio_put(next.folio);
  }
  if (mapped !== undefined) {
    let rss = 0;
    while (next !== undefined) {
      const { folio, at }: { folio: Folio; at: number } = next;
      const addr = first + at - start;
      const ptep = current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + addr - first);
      const none = pte_none(yield* ptep_get(ptep));
      // A poisoned page is for the fault itself.
      if (none && !(yield* testBits(folio.flags, PG.hwpoison))) {
        if (addr === vmf.address) ret = VM_FAULT.NOPAGE;
        yield* set_pte_range(vmf, ptep, folio, addr);
        yield* folio_get(folio);
        rss++;
      }
      yield* folio_unlock(folio);
      yield* folio_put(folio);
      next = yield* next_uptodate_folio(inode, at + PAGE_SIZE, end);
    }
    if (rss > 0) yield* add(fileRss(vmf.mm), rss);
    yield* pte_unmap_unlock(mapped.ptl);
  }
  yield* rcu_read_unlock();
  return ret;
}

/**
 * Takes pages [start, end) of a file out of the page cache. Whoever maps them still keeps them, but they belong to no file.
 * @context may sleep
 * @kernel 6.12 mm/truncate.c truncate_inode_pages_range: adapted (the caller has unmapped them; __folio_batch_release() drains for the first of them)
 */
export function* truncate_inode_pages_range(inode: Inode, start: number, end: number): Path {
  let percpu_pvec_drained = false;
  for (let index = start; index < end; index++) {
    const folio = yield* filemap_get_entry(inode.i_pages[index]!);
    if (folio === undefined) continue;
    yield* folio_lock(folio);
    if (yield* equals(folio.mapping, inode.mapping)) yield* filemap_remove_folio(inode, folio);
    yield* folio_unlock(folio);
    if (!percpu_pvec_drained) yield* lru_add_drain();
    percpu_pvec_drained = true;
    yield* folio_put(folio);
  }
}
