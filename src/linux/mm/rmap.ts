// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { add, clearBits, equals, load, read, setBits, store, write } from '../../core/primitives.js';
import { bits, frameRef } from '../../core/system.js';
import { EBUSY } from '../include/errno.js';
import { assertFolioLocked } from '../include/lockdep.js';
import { folio_is_device_private } from '../include/memremap.js';
import { PG, type Folio, type Inode, type Page, type Vma } from '../include/mm_types.js';
import { folio_test_large } from '../include/page-flags.js';
import { countLargeMapping } from './rmap-large.js';
import { folio_maybe_dma_pinned } from '../include/page_ref.js';
import { current, knob, type Kernel } from '../kernel.js';
import { down_read, down_write, up_read, up_write } from '../kernel/locking/rwsem.js';
import { anon_vma_lock_read, anon_vma_unlock_read, anonVmaForkChain, anonVmaRoot } from './rmap-anon_vma.js';
import { pageOffsets } from './interval_tree.js';
import { linear_page_index } from './memory-file.js';
import { mlock_vma_folio, munlock_vma_folio } from './mlock.js';
import { unmapBarrier } from './rmap-batch.js';
import { PAGE_MAPPING_KSM, rmapWalkKsmBegin } from './ksm.js';

/** `vma`: absent where VM_LOCKED VMAs never come. @context PTL held @kernel 6.12 mm/rmap.c folio_remove_rmap_pte: adapted (no statistics, no deferred split) */
export function* folio_remove_rmap_pte(page: Page, vma?: Vma): Path {
  yield* countLargeMapping(page, -1);
  yield* add(page._mapcount, -1);
  if (vma !== undefined) yield* munlock_vma_folio(page, vma);
}

/** @context PTL held @kernel 6.12 mm/rmap.c folio_add_file_rmap_pte: adapted (no statistics) */
export function* folio_add_file_rmap_pte(page: Page, vma: Vma): Path {
  yield* add(page._mapcount, 1);
  yield* mlock_vma_folio(page, vma);
}

/**
 * The first mapping of a page that was not anonymous before: on the LRU from then on, for reclaim to find.
 * @context PTL held
 * @kernel 6.12 mm/rmap.c folio_add_new_anon_rmap: adapted (folio_add_lru_vma folded in; one step, since nobody knows the page yet)
 */
export function* folio_add_new_anon_rmap(page: Page, vma: Vma, address: number, exclusive = true): Path {
  let index = address;
  if (current.kernel.anon_vma_pool !== undefined) {
    index = yield* linear_page_index(vma, address);
    if (!exclusive) {
      yield* setSharedAnon(page, vma, index);
      return;
    }
  }
  const where = (index << 1) | (exclusive ? 1 : 0);
  yield* request(current.kernel.op.addNewAnonRmap, page.pfn + 1, vma.anon_vma.at, where);
}

/** A page that others map as well belongs to the root of the anon_vmas, where all are found. @context PTL held, folio locked @kernel 6.12 mm/rmap.c __folio_set_anon: adapted (not exclusive) */
function* setSharedAnon(page: Page, vma: Vma, index: number): Path {
  assertFolioLocked(page);
  const root = yield* anonVmaRoot(yield* load(vma.anon_vma));
  yield* store(page.mapping, root);
  yield* store(page.index, index);
  yield* setBits(page.flags, PG.anon | PG.swapbacked);
  yield* add(page._mapcount, 1);
}

/** A page turns out to be this VMA's alone. Not a step without chains. @context PTL held, folio locked @kernel 6.12 mm/rmap.c folio_move_anon_rmap: adapted (PG_anon_exclusive is the caller's business) */
export function* folio_move_anon_rmap(folio: Folio, vma: Vma): Path {
  if (current.kernel.anon_vma_pool !== undefined) yield* write(folio.mapping, yield* load(vma.anon_vma));
}

/** `vma`: absent where VM_LOCKED VMAs never come. @context PTL held, page locked or new @kernel 6.12 mm/rmap.c folio_add_anon_rmap_pte: adapted (the caller marks the page exclusive; no statistics) */
export function* folio_add_anon_rmap_pte(page: Page, vma?: Vma): Path {
  yield* countLargeMapping(page, 1);
  yield* add(page._mapcount, 1);
  if (vma !== undefined) yield* mlock_vma_folio(page, vma);
}

/** @kernel 6.12 include/linux/mm.h folio_mapped: faithful */
export function* folio_mapped(folio: Folio): Path<boolean> {
  if (yield* folio_test_large(folio)) return !(yield* equals(folio.large!.mapcount, 0));
  return !(yield* equals(folio._mapcount, 0));
}

export function defineRmapOps(kernel: Kernel) {
  const { system, mem_map, mms } = kernel;
  const onLru = kernel.cpu_fbatches === undefined ? PG.lru : 0;
  return {
    /** Makes page a - 1 anonymous: b = cell of the VMA's anon_vma, c = address << 1 | exclusive. */
    addNewAnonRmap: system.op({
      name: 'folio_add_new_anon_rmap',
      exec: (a, b, c) => {
        const page = mem_map[a - 1]!;
        system.touch(page.flags.at);
        system.set(
          page.flags.at,
          page.flags.value |
            PG.anon |
            PG.swapbacked |
            (page.zone_device_data === undefined ? onLru : 0) |
            (c & 1 ? PG.anon_exclusive : 0),
        );
        system.set(page.mapping.at, system.mem[b]!);
        system.set(page.index.at, c >> 1);
        system.set(page._mapcount.at, page._mapcount.value + 1);
        return 0;
      },
      args: [frameRef, 'cell', 'plain'],
      touches: (a, b, _c, _agent, access) => {
        const page = mem_map[a - 1]!;
        access.reads.push(b);
        access.writes.push(page.flags.at, page.mapping.at, page.index.at, page._mapcount.at);
      },
    }),
    /** The VMAs of anon_vma a that may map page offset b: one bit each, counted over all mms. */
    anonVmaFind: system.op({
      name: 'anon_vma_interval_tree',
      exec: (a, b) =>
        mms
          .flatMap((mm) => mm.vmas)
          .reduce((found, vma, i) => {
            const from = vma.vm_pgoff.value;
            const to = from + vma.vm_end.value - vma.vm_start.value;
            return vma.anon_vma.value === a && from <= b && b < to ? found | (1 << i) : found;
          }, 0),
      touches: (_a, _b, _c, _agent, access) => {
        for (const mm of mms)
          for (const vma of mm.vmas)
            access.reads.push(vma.anon_vma.at, vma.vm_start.at, vma.vm_end.at, vma.vm_pgoff.at);
      },
    }),
  };
}

/** Where a VMA would map the page offset. @kernel 6.12 mm/internal.h vma_address: adapted (with the VMA, as a walk finds it) */
export interface RmapTarget {
  readonly vma: Vma;
  readonly address: number;
}

/**
 * fork(): the child's VMA is among those that rmap walks visit, before it has entries. A walk that began before must
 * end first, or it would miss a migration entry that fork copies behind its back.
 * @context both mmap_locks held for write; may sleep
 * @kernel 6.12 mm/rmap.c anon_vma_fork: adapted (without chains, walks find the VMA from vm_area_dup() on, and the child has no anon_vma of its own)
 */
export function* anon_vma_fork(vma: Vma, pvma: Vma): Path {
  if (current.kernel.anon_vma_pool !== undefined) return yield* anonVmaForkChain(vma, pvma);
  const anon_vma = yield* read(pvma.anon_vma);
  if (anon_vma === 0 || knob('fork.anon_vma_lock') === 'off') return;
  yield* down_write(current.kernel.anon_vmas[anon_vma]!);
  yield* up_write(current.kernel.anon_vmas[anon_vma]!);
}

/** What an rmap walk holds: the anon_vma lock, or i_mmap_rwsem. */
export interface RmapWalk {
  readonly anon_vma: number;
  readonly file?: Inode;
  readonly targets: readonly RmapTarget[];
}

/**
 * Begins a walk over the VMAs that may map an anonymous folio: takes the anon_vma lock, so that VMAs are neither
 * freed nor moved. The caller goes through the targets and then calls {@link rmapWalkEnd}.
 * @context folio locked; may sleep
 * @kernel 6.12 mm/rmap.c rmap_walk_anon: adapted (one anon_vma for each mm; the loop is the caller's)
 */
export function* rmapWalkBegin(folio: Folio): Path<RmapWalk> {
  const mapping = yield* read(folio.mapping);
  if (mapping < 0) return yield* rmap_walk_file(folio, current.kernel.inodes![-mapping]!);
  if (mapping >= PAGE_MAPPING_KSM) return yield* rmapWalkKsmBegin(mapping);
  const anon_vma = mapping;
  if (anon_vma === 0) return { anon_vma, targets: [] };
  yield* anon_vma_lock_read(anon_vma);
  return { anon_vma, targets: yield* anonTargets(folio, anon_vma) };
}

/** Begins a walk over the VMAs that may map a page of a file. @context folio locked; may sleep @kernel 6.12 mm/rmap.c rmap_walk_file: adapted (the loop is the caller's) */
function* rmap_walk_file(folio: Folio, file: Inode): Path<RmapWalk> {
  assertFolioLocked(folio);
  const index = yield* read(folio.index);
  yield* down_read(file.i_mmap_rwsem);
  return {
    anon_vma: 0,
    file,
    targets: yield* fileTargets(file, index),
  };
}

/** The VMAs that map a page of a file. @context i_mmap_rwsem held @kernel 6.12 mm/interval_tree.c vma_interval_tree_iter_first: adapted (all of them) */
function* fileTargets(file: Inode, index: number): Path<RmapTarget[]> {
  return yield* targetsOneByOne(current.kernel.op.iMmapNext, file.number, index);
}

/** The VMAs that `op` finds for a page offset, where there may be more than a word has bits. @context the lock of the anon_vma or of i_mmap held */
function* targetsOneByOne(op: number, of: number, index: number): Path<RmapTarget[]> {
  const vmas = current.kernel.mms.flatMap((mm) => mm.vmas);
  const targets: RmapTarget[] = [];
  const offsets = pageOffsets(index, index);
  for (
    let found = yield* request(op, of, offsets, 0);
    found !== 0;
    found = yield* request(op, of, offsets, found)
  ) {
    const vma = vmas[found - 1]!;
    const start = yield* read(vma.vm_start);
    targets.push({ vma, address: index - (yield* read(vma.vm_pgoff)) + start });
  }
  return targets;
}

/** The VMAs that may map the folio. @context anon_vma lock held @kernel 6.12 mm/rmap.c rmap_walk_anon: adapted (the tree walk is one step) */
export function* anonTargets(folio: Folio, anon_vma: number): Path<RmapTarget[]> {
  const index = yield* read(folio.index);
  const { op, anon_vma_pool } = current.kernel;
  if (anon_vma_pool !== undefined) return yield* targetsOneByOne(op.anonVmaNext, anon_vma, index);
  const found = yield* request(op.anonVmaFind, anon_vma, index);
  const vmas = current.kernel.mms.flatMap((mm) => mm.vmas);
  const targets: RmapTarget[] = [];
  for (const i of bits(found)) {
    const vma = vmas[i]!;
    const start = yield* read(vma.vm_start);
    targets.push({ vma, address: index - (yield* read(vma.vm_pgoff)) + start });
  }
  return targets;
}

/** @kernel 6.12 mm/rmap.c rmap_walk_anon: adapted (its end) */
export function* rmapWalkEnd(walk: RmapWalk): Path {
  if (walk.file !== undefined) yield* up_read(walk.file.i_mmap_rwsem);
  if (walk.anon_vma !== 0) yield* anon_vma_unlock_read(walk.anon_vma);
}

/**
 * Marks an exclusive anonymous page as possibly shared, unless it may be pinned. The PTE was cleared before: GUP-fast
 * takes its reference and then reads the PTE, this reads the reference count after the PTE was cleared, with a full
 * barrier on both sides, so one of the two sees the other.
 * @context PTL held, PTE cleared
 * @kernel 6.12 include/linux/rmap.h folio_try_share_anon_rmap_pte: faithful
 */
export function* folio_try_share_anon_rmap_pte(folio: Folio, page: Page): Path<number> {
  if (yield* folio_is_device_private(folio)) {
    yield* clearBits(page.flags, PG.anon_exclusive); // GUP does not reach it
    return 0;
  }
  yield* unmapBarrier();
  if (yield* folio_maybe_dma_pinned(folio)) return -EBUSY;
  yield* clearBits(page.flags, PG.anon_exclusive);
  return 0;
}
