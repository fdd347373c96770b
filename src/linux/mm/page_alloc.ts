// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { lockMapAcquire, lockMapRelease } from '../../core/primitives.js';
import { type Cell, frameRef } from '../../core/system.js';
import { Use } from '../../machine/machine.js';
import { __GFP, GFP_KERNEL, gfpflags_allow_blocking } from '../include/gfp_types.js';
import { memalloc_noreclaim_restore, memalloc_noreclaim_save, reclaims } from '../include/sched/mm.js';
import { current, type Kernel } from '../kernel.js';
import { PG, type Folio, type Page } from '../include/mm_types.js';
import { folio_nr_pages } from '../include/page-flags.js';
import { HPAGE_PMD_NR } from '../include/pgtable.js';
import { try_to_free_pages, wakeup_kswapd } from './vmscan-direct.js';

/** What freeing a frame wipes, so that states differ in nothing that nobody may look at. */
const cleared = (page: Page): Cell[] => [
  page._refcount,
  page.flags,
  page._mapcount,
  ...(page.large === undefined ? [] : [page.compound_head]),
  page.mapping,
  page.index,
  ...(page.swap === undefined ? [] : [page.swap]),
  ...(page.mlock_count === undefined ? [] : [page.mlock_count]),
  ...Object.values(page.large ?? {}),
  ...page.frame.pte,
  ...page.frame.pteHigh,
];

/** Beside the gfp flags of a request: the watermarks do not count. @kernel 6.12 mm/internal.h ALLOC_NO_WATERMARKS: faithful */
const ALLOC_NO_WATERMARKS = 1 << 8;

/**
 * The allocator hands out any free frame: which one is a choice of the explorer, and frame symmetry folds the choices
 * that do not differ. A large folio takes frames in a row, aligned. Per-CPU lists and zones are left out. Where
 * allocations reclaim it is a choice as well that the free frames are below the watermark.
 */
export function definePageAllocOps(kernel: Kernel) {
  const { system } = kernel;
  const isFree = (page: Page): boolean =>
    page.frame.use.value === Use.FREE && kernel.hotplug?.isolated(page) !== true;
  const inRow = (first: number, nr: number): Page[] => kernel.mem_map.slice(first, first + nr);
  /** Where `nr` free frames begin. */
  const free = (nr: number): Page[] =>
    kernel.mem_map.filter(({ pfn, zone_device_data }) => {
      if (zone_device_data !== undefined) return false;
      const row = inRow(pfn, nr);
      return pfn % nr === 0 && row.length === nr && row.every(isFree);
    });
  const mayBeLow = (b: number): number =>
    kernel.options.reclaim === undefined || (b & ALLOC_NO_WATERMARKS) !== 0 ? 0 : 1;
  return {
    /**
     * Takes c free frames (0: one) for use a; b = gfp flags, and ALLOC_NO_WATERMARKS. Observes the first frame + 1, or 0
     * if there are none, or too few.
     */
    pageAlloc: system.op({
      name: 'alloc_page',
      choices: (_a, b, c) => Math.max(1, free(c || 1).length + mayBeLow(b)),
      exec: (a, _b, c, _agent, choice) => {
        const page = free(c || 1)[choice];
        if (page === undefined) return 0;
        system.touch(page._refcount.at);
        for (const each of inRow(page.pfn, c || 1)) {
          if (each.lock.value !== 0)
            system.fail('LOCK-REF', `f${each.pfn} is handed out while its lock is held`);
          system.set(each.frame.use.at, a);
          if (each !== page) system.set(each.compound_head.at, page.pfn + 1);
        }
        if (c > 1) system.set(page.flags.at, PG.head);
        system.set(page._refcount.at, 1);
        return page.pfn + 1;
      },
      result: frameRef,
      sleeps: (_a, b) => gfpflags_allow_blocking(b),
      touches: (_a, _b, c, _agent, access) => {
        for (const page of kernel.mem_map) {
          if (page.zone_device_data !== undefined) continue;
          access.reads.push(page.lock.at); // LOCK-REF
          access.writes.push(page.frame.use.at, page._refcount.at);
          if (c > 1) access.silent.push(page.flags.at, page.compound_head.at);
        }
        for (const { isolated } of kernel.hotplug?.sections ?? []) access.reads.push(isolated.at);
      },
      describe: (_a, _b, _c, observed) =>
        observed === 0 ? 'no free frame' : `alloc_page() = f${observed - 1}`,
    }),
    /** Gives b frames from a - 1 on back (0: one). */
    pageFree: system.op({
      name: 'free_page',
      exec: (a, b) => {
        for (const page of inRow(a - 1, b || 1)) {
          system.touch(page.flags.at);
          const { use } = page.frame;
          if (use.value !== Use.DATA && use.value !== Use.TABLE) {
            system.fail('FREE-ONCE', `f${page.pfn} is freed, but it is ${use.type.show(use.value)}`);
          }
          if (page._mapcount.value !== 0)
            system.fail('MAP-SUM', `f${page.pfn} is freed while _mapcount is ${page._mapcount.value}`);
          system.set(use.at, Use.FREE);
          for (const field of cleared(page)) system.set(field.at, 0);
        }
        return 0;
      },
      args: [frameRef, 'plain', 'plain'],
      touches: (a, b, _c, _agent, access) => {
        // What free_pages_prepare() writes; the rest of what is wiped is no store of the kernel's, and races with nothing.
        for (const page of inRow(a - 1, b || 1)) {
          const { frame, _refcount, flags, mapping } = page;
          access.writes.push(...[frame.use, _refcount, flags, mapping, ...frame.pte].map((cell) => cell.at));
          access.silent.push(...cleared(page).map((cell) => cell.at));
        }
      },
      describe: (a) => `free f${a - 1}`,
    }),
  };
}

/** Whether an allocation with these flags may end in reclaim by this thread. @context any @kernel 6.12 mm/page_alloc.c __need_reclaim: adapted (no __GFP_NOLOCKDEP) */
function* __need_reclaim(gfp_mask: number): Path<boolean> {
  return gfpflags_allow_blocking(gfp_mask) && !(yield* reclaims());
}

/**
 * Tells lockdep what an allocation with these flags may come to: reclaim that enters file systems, and, with any flags
 * that allow reclaim at all, invalidations of mmu notifiers.
 * @context as an allocation with these flags
 * @kernel 6.12 mm/page_alloc.c fs_reclaim_acquire: adapted (no PF_MEMALLOC_NOFS, PF_MEMALLOC_NOIO)
 */
export function* fs_reclaim_acquire(gfp_mask: number): Path {
  const { __fs_reclaim_map, __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  if (!(yield* __need_reclaim(gfp_mask))) return;
  if (gfp_mask & __GFP.FS) lockMapAcquire(__fs_reclaim_map);
  if (map === undefined) return;
  lockMapAcquire(map);
  lockMapRelease(map);
}

/** @context as fs_reclaim_acquire() @kernel 6.12 mm/page_alloc.c fs_reclaim_release: adapted (as fs_reclaim_acquire) */
export function* fs_reclaim_release(gfp_mask: number): Path {
  if ((yield* __need_reclaim(gfp_mask)) && gfp_mask & __GFP.FS)
    lockMapRelease(current.kernel.__fs_reclaim_map);
}

/**
 * Reclaims in this thread, which must not do so for what it allocates meanwhile. Returns whether there is memory now.
 * @context may sleep
 * @kernel 6.12 mm/page_alloc.c __perform_reclaim, __alloc_pages_direct_reclaim: adapted (the caller takes the page)
 */
function* __alloc_pages_direct_reclaim(gfp_mask: number): Path<boolean> {
  yield* fs_reclaim_acquire(gfp_mask);
  const noreclaim_flag = yield* memalloc_noreclaim_save();
  const progress = yield* try_to_free_pages(gfp_mask);
  yield* memalloc_noreclaim_restore(noreclaim_flag);
  yield* fs_reclaim_release(gfp_mask);
  return progress;
}

/**
 * The free pages are below the watermark. Returns whether the caller may have one in spite of that.
 * @context may sleep, as the flags say
 * @kernel 6.12 mm/page_alloc.c __alloc_pages_slowpath: adapted (fails where reclaim finds nothing: no retry, no compaction, no OOM killer; GFP_ATOMIC finds the reserves empty)
 */
export function* __alloc_pages_slowpath(gfp_mask: number): Path<boolean> {
  if (gfp_mask & __GFP.KSWAPD_RECLAIM) yield* wakeup_kswapd(); // wake_all_kswapds()
  if (yield* reclaims()) return true; // ALLOC_NO_WATERMARKS
  if (!gfpflags_allow_blocking(gfp_mask)) return false;
  return yield* __alloc_pages_direct_reclaim(gfp_mask);
}

/** `nr` frames in a row for `use`: the first + 1, or 0. @context may sleep, as the flags say @kernel 6.12 mm/page_alloc.c __alloc_pages_noprof: adapted (might_sleep() is a part of the operation) */
function* __alloc_pages(gfp: number, use: number, nr = 0): Path<number> {
  const { op, options } = current.kernel;
  yield* fs_reclaim_acquire(gfp); // might_alloc()
  yield* fs_reclaim_release(gfp);
  const frame = yield* request(op.pageAlloc, use, gfp, nr);
  if (frame !== 0 || options.reclaim === undefined) return frame;
  if (!(yield* __alloc_pages_slowpath(gfp))) return 0;
  return yield* request(op.pageAlloc, use, gfp | ALLOC_NO_WATERMARKS, nr);
}

/**
 * Allocates a frame for data, any free one; undefined if there is none.
 * @context may sleep (GFP_KERNEL)
 * @kernel 6.12 mm/page_alloc.c alloc_pages: adapted (order 0, no zones)
 */
export function* alloc_page(): Path<Page | undefined> {
  const frame = yield* __alloc_pages(GFP_KERNEL, Use.DATA);
  return frame === 0 ? undefined : current.kernel.mem_map[frame - 1]!;
}

/**
 * Allocates a page table, empty.
 * @context may sleep
 * @kernel 6.12 include/asm-generic/pgalloc.h pte_alloc_one: adapted (no constructor, no accounting)
 */
export function* pte_alloc_one(): Path<Page | undefined> {
  const frame = yield* __alloc_pages(GFP_KERNEL, Use.TABLE);
  return frame === 0 ? undefined : current.kernel.mem_map[frame - 1]!;
}

/**
 * Allocates a folio that a PMD can map; undefined if there is no row of free frames.
 * @context may sleep
 * @kernel 6.12 mm/khugepaged.c alloc_charge_folio: adapted (no memory cgroup; HPAGE_PMD_NR may be 1)
 */
export function* alloc_charge_folio(): Path<Folio | undefined> {
  const frame = yield* __alloc_pages(GFP_KERNEL, Use.DATA, HPAGE_PMD_NR());
  return frame === 0 ? undefined : current.kernel.mem_map[frame - 1]!;
}

/**
 * Gives a folio whose count reached zero back to the allocator.
 * @context any
 * @kernel 6.12 mm/page_alloc.c free_unref_page: adapted (no per-CPU lists)
 */
export function* free_unref_page(folio: Folio): Path {
  const nr = yield* folio_nr_pages(folio);
  yield* request(current.kernel.op.pageFree, folio.pfn + 1, nr === 1 ? 0 : nr);
}
