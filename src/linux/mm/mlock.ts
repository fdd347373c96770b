// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import {
  add,
  clearBits,
  load,
  setBits,
  store,
  testAndClearBits,
  testBits,
  write,
} from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { EFAULT, EAGAIN, EINVAL, ENOMEM } from '../include/errno.js';
import { mmap_write_lock, mmap_write_unlock } from '../include/mmap_lock.js';
import { folio_is_zone_device } from '../include/memremap.js';
import { PG, VM, VM_SPECIAL, type Folio, type Mm, type Vma } from '../include/mm_types.js';
import {
  PAGE_SIZE,
  pmd_addr_end,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmdp_get_lockless,
  pte_offset_map_lock,
  pte_present,
  pte_unmap_unlock,
  ptep_get,
} from '../include/pgtable.js';
import { folio_get } from '../include/page_ref.js';
import { type FolioBatch, folio_batch_add, takeBatch } from '../include/pagevec.js';
import { current } from '../kernel.js';
import { __mm_populate } from './gup-populate.js';
import { vm_normal_page } from './memory.js';
import { fbatches, folio_evictable, foliosPut, lru_add_drain } from './swap.js';
import { vma_modify_flags } from './vma-merge.js';
import { vma_find, vma_next, vma_prev } from './vma-tree.js';

/** What a folio in mlock's batch waits for. @kernel 6.12 mm/mlock.c LRU_FOLIO, NEW_FOLIO: adapted (marks beside the folios) */
const MUNLOCK = 0;
const LRU_FOLIO = 1;
const NEW_FOLIO = 2;

/** @context LRU lock @kernel 6.12 mm/mlock.c __mlock_folio: faithful */
function* __mlock_folio(folio: Folio): Path {
  if (!(yield* testAndClearBits(folio.flags, PG.lru))) return;
  const unevictable = yield* testBits(folio.flags, PG.unevictable);
  if (yield* folio_evictable(folio)) {
    // Somebody unlocked it in between.
    if (unevictable) yield* clearBits(folio.flags, PG.unevictable);
  } else if (unevictable) yield* add(folio.mlock_count!, 1);
  else {
    yield* clearBits(folio.flags, PG.active);
    yield* setBits(folio.flags, PG.unevictable);
    yield* store(folio.mlock_count!, 1);
  }
  yield* setBits(folio.flags, PG.lru);
}

/** @context LRU lock @kernel 6.12 mm/mlock.c __mlock_new_folio: faithful */
function* __mlock_new_folio(folio: Folio): Path {
  if (!(yield* folio_evictable(folio))) {
    yield* setBits(folio.flags, PG.unevictable);
    yield* store(folio.mlock_count!, 1);
  }
  yield* setBits(folio.flags, PG.lru);
}

/** @context LRU lock @kernel 6.12 mm/mlock.c __munlock_folio: faithful */
function* __munlock_folio(folio: Folio): Path {
  const isolated = yield* testAndClearBits(folio.flags, PG.lru);
  if (isolated && (yield* testBits(folio.flags, PG.unevictable))) {
    const count = yield* load(folio.mlock_count!);
    if (count > 0) yield* store(folio.mlock_count!, count - 1);
    if (count > 1) {
      yield* setBits(folio.flags, PG.lru);
      return;
    }
  }
  yield* clearBits(folio.flags, PG.mlocked);
  if (!isolated) return;
  yield* clearBits(folio.flags, PG.unevictable);
  yield* setBits(folio.flags, PG.lru);
}

/** @context any @kernel 6.12 mm/mlock.c mlock_folio_batch: faithful */
export function* mlock_folio_batch(fbatch: FolioBatch): Path {
  const taken = yield* takeBatch(fbatch);
  for (const { folio, mark } of taken) {
    if (mark === LRU_FOLIO) yield* __mlock_folio(folio);
    else if (mark === NEW_FOLIO) yield* __mlock_new_folio(folio);
    else yield* __munlock_folio(folio);
  }
  yield* foliosPut(taken);
}

/** @context any @kernel 6.12 mm/mlock.c mlock_drain_local: faithful */
export function* mlock_drain_local(): Path {
  yield* mlock_folio_batch(fbatches()!.mlock_fbatch);
}

/**
 * An entry of a VM_LOCKED VMA has come or gone while its folio is being moved: the batch must not keep a reference that who
 * moves it does not expect. Not a step without batches.
 * @context PTL held
 */
export function* drainIfLocked(vma: Vma): Path {
  if (fbatches() === undefined || !((yield* load(vma.vm_flags)) & VM.LOCKED)) return;
  yield* mlock_drain_local();
}

/** Has the batch do it for the folio later; a full one is emptied at once. @context any */
function* addToBatch(folio: Folio, mark: number): Path {
  const { mlock_fbatch } = fbatches()!;
  yield* folio_get(folio);
  if (!(yield* folio_batch_add(mlock_fbatch, folio, mark))) yield* mlock_folio_batch(mlock_fbatch);
}

/** One VM_LOCKED mapping more of a folio: from the next drain on reclaim leaves it alone. @context PTL held @kernel 6.12 mm/mlock.c mlock_folio: faithful */
export function* mlock_folio(folio: Folio): Path {
  yield* setBits(folio.flags, PG.mlocked);
  yield* addToBatch(folio, LRU_FOLIO);
}

/** As {@link mlock_folio}, of a folio that is not on the LRU yet. @context PTL held @kernel 6.12 mm/mlock.c mlock_new_folio: faithful */
export function* mlock_new_folio(folio: Folio): Path {
  yield* setBits(folio.flags, PG.mlocked);
  yield* addToBatch(folio, NEW_FOLIO);
}

/** One VM_LOCKED mapping less; whether that was the last is found out at the next drain. @context PTL held @kernel 6.12 mm/mlock.c munlock_folio: faithful */
export function* munlock_folio(folio: Folio): Path {
  yield* addToBatch(folio, MUNLOCK);
}

/** A mapping was added. Not a step where nothing is locked. @context PTL held @kernel 6.12 mm/internal.h mlock_vma_folio: faithful */
export function* mlock_vma_folio(folio: Folio, vma: Vma): Path {
  if (fbatches() === undefined) return;
  if (((yield* load(vma.vm_flags)) & (VM.LOCKED | VM_SPECIAL)) === VM.LOCKED) yield* mlock_folio(folio);
}

/** A mapping was removed. Not a step where nothing is locked. @context PTL held @kernel 6.12 mm/internal.h munlock_vma_folio: faithful */
export function* munlock_vma_folio(folio: Folio, vma: Vma): Path {
  if (fbatches() === undefined) return;
  if ((yield* load(vma.vm_flags)) & VM.LOCKED) yield* munlock_folio(folio);
}

/** @context mmap_lock held for write @kernel 6.12 mm/mlock.c mlock_pte_range: adapted (small folios) */
function* mlock_pte_range(pmdp: Cell, start: number, end: number, locks: boolean): Path {
  const mapped = yield* pte_offset_map_lock(pmdp, start);
  if (mapped === undefined) return;
  for (let addr = start; addr < end; addr += PAGE_SIZE) {
    const ptent = yield* ptep_get(
      current.kernel.pte(mapped.ptep.table.number, mapped.ptep.index + addr - start),
    );
    if (!pte_present(ptent)) continue;
    const folio = vm_normal_page(ptent);
    if (folio === undefined || (yield* folio_is_zone_device(folio))) continue;
    if (locks) yield* mlock_folio(folio);
    else yield* munlock_folio(folio);
  }
  yield* pte_unmap_unlock(mapped.ptl);
}

/**
 * Counts the lock of the VMA in the pages that it maps already, or takes it off them. Meanwhile the VMA is VM_IO as well,
 * which tells rmap walks and migration not to count the lock a second time.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/mlock.c mlock_vma_pages_range: faithful
 */
function* mlock_vma_pages_range(vma: Vma, start: number, end: number, newflags: number): Path {
  const locks = (newflags & VM.LOCKED) !== 0;
  yield* write(vma.vm_flags, locks ? newflags | VM.IO : newflags);
  yield* lru_add_drain();
  let next: number;
  for (let addr = start; addr < end; addr = next) {
    next = pmd_addr_end(addr, end);
    const pmdp = pmd_offset(vma.vm_mm, addr);
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (!pmd_none(pmd) && !pmd_leaf(pmd)) yield* mlock_pte_range(pmdp, addr, next, locks);
  }
  yield* lru_add_drain();
  if (locks) yield* write(vma.vm_flags, newflags);
}

/**
 * Locks or unlocks a part of a VMA; returns the VMA that has it then, or a negative error number.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/mlock.c mlock_fixup: adapted (no accounting)
 */
function* mlock_fixup(
  vma: Vma,
  prev: Vma | undefined,
  start: number,
  end: number,
  newflags: number,
): Path<Vma | number> {
  const oldflags = yield* load(vma.vm_flags);
  if (newflags === oldflags || oldflags & VM_SPECIAL) return vma;
  const modified = yield* vma_modify_flags(prev, vma, start, end, newflags);
  if (typeof modified === 'number') return modified;
  if (newflags & oldflags & VM.LOCKED) yield* write(modified.vm_flags, newflags);
  else yield* mlock_vma_pages_range(modified, start, end, newflags);
  return modified;
}

/** @context mmap_lock held for write @kernel 6.12 mm/mlock.c apply_vma_lock_flags: faithful */
function* apply_vma_lock_flags(mm: Mm, start: number, len: number, flags: number): Path<number> {
  const end = start + len;
  if (end < start) return -EINVAL;
  if (end === start) return 0;
  let vma = yield* vma_find(mm, start, start + 1);
  if (vma === undefined) return -ENOMEM;
  const vm_start = yield* load(vma.vm_start);
  let prev: Vma | undefined = start > vm_start ? vma : yield* vma_prev(mm, vm_start);
  let nstart = start;
  let tmp = vm_start;
  while (vma !== undefined) {
    const from: number = yield* load(vma.vm_start);
    if (from >= end) break;
    if (from !== tmp) return -ENOMEM;
    const newflags: number = ((yield* load(vma.vm_flags)) & ~VM.LOCKED) | flags;
    tmp = Math.min(yield* load(vma.vm_end), end);
    const fixed: Vma | number = yield* mlock_fixup(vma, prev, nstart, tmp, newflags);
    if (typeof fixed === 'number') return fixed;
    prev = fixed;
    tmp = yield* load(fixed.vm_end); // vma_iter_end()
    nstart = tmp;
    vma = yield* vma_next(mm, tmp);
  }
  return tmp < end ? -ENOMEM : 0;
}

/** What POSIX wants of mlock(). @kernel 6.12 mm/mlock.c __mlock_posix_error_return: faithful */
function __mlock_posix_error_return(retval: number): number {
  if (retval === -EFAULT) return -ENOMEM;
  return retval === -ENOMEM ? -EAGAIN : retval;
}

/**
 * Locks [start, start + len): its pages are there when this returns, and stay. Returns 0 or a negative error number.
 * @context may sleep; takes mmap_lock
 * @kernel 6.12 mm/mlock.c do_mlock: adapted (no limits)
 */
export function* do_mlock(mm: Mm, start: number, len: number): Path<number> {
  yield* mmap_write_lock(mm);
  const error = yield* apply_vma_lock_flags(mm, start, len, VM.LOCKED);
  yield* mmap_write_unlock(mm);
  if (error !== 0) return error;
  return __mlock_posix_error_return(yield* __mm_populate(mm, start, len));
}

/** Takes the lock off [start, start + len). @context may sleep; takes mmap_lock @kernel 6.12 mm/mlock.c SYSCALL_DEFINE2(munlock): adapted (of any mm) */
export function* munlock(mm: Mm, start: number, len: number): Path<number> {
  yield* mmap_write_lock(mm);
  const ret = yield* apply_vma_lock_flags(mm, start, len, 0);
  yield* mmap_write_unlock(mm);
  return ret;
}
