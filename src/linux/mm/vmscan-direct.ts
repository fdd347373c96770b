// SPDX-License-Identifier: GPL-2.0-only
/** mm/vmscan.c: reclaim for an allocation, by the thread that allocates or by kswapd. */
import { request, type Path } from '../../core/path.js';
import { awaitValue, choose, lockMapAcquire, lockMapRelease, write } from '../../core/primitives.js';
import { type Cell, frameRef, type System } from '../../core/system.js';
import { Use } from '../../machine/machine.js';
import { __GFP, GFP_KERNEL } from '../include/gfp_types.js';
import { PG, type Folio, type Page } from '../include/mm_types.js';
import { memalloc_noreclaim_save } from '../include/sched/mm.js';
import { current, type Kernel } from '../kernel.js';
import { folio_putback_lru, shrink_folio_list, type ScanControl } from './vmscan.js';

/** @kernel 6.12 include/linux/mmzone.h struct pglist_data: adapted (one node; how much memory is free is what an allocation finds) */
export class PglistData {
  /** The reserve is low: kswapd is awake, and those who reclaim for themselves are throttled. 0: kswapd has reclaimed since. */
  readonly low: Cell;

  constructor(system: System) {
    this.low = system.cell('pgdat.low');
  }
}

export function defineVmscanOps({ system, mem_map }: Kernel) {
  const onLru = ({ frame, flags, _refcount }: Page): boolean =>
    frame.use.value === Use.DATA &&
    (flags.value & (PG.lru | PG.unevictable)) === PG.lru &&
    _refcount.value > 0;
  return {
    /**
     * Takes the folio at the end of the LRU list, any that is on it, off the list, with a reference. Observes its frame + 1,
     * or 0 if the list is empty.
     */
    isolateLru: system.op({
      name: 'isolate_lru_folios',
      choices: () => Math.max(1, mem_map.filter(onLru).length),
      exec: (_a, _b, _c, _agent, choice) => {
        const page = mem_map.filter(onLru)[choice];
        if (page === undefined) return 0;
        system.touch(page.flags.at);
        system.set(page._refcount.at, page._refcount.value + 1);
        system.set(page.flags.at, page.flags.value & ~PG.lru);
        return page.pfn + 1;
      },
      result: frameRef,
      touches: (_a, _b, _c, _agent, access) => {
        for (const { frame, flags, _refcount } of mem_map) {
          access.reads.push(frame.use.at);
          access.writes.push(flags.at, _refcount.at);
        }
      },
      describe: (_a, _b, _c, observed) =>
        observed === 0 ? 'the LRU list is empty' : `f${observed - 1} is isolated from the LRU list`,
    }),
  };
}

/**
 * A folio from the end of the LRU list, with a reference; undefined if there is none.
 * @context may sleep
 * @kernel 6.12 mm/vmscan.c isolate_lru_folios: adapted (one folio, any; one step, since lru_lock is held)
 */
function* isolate_lru_folios(): Path<Folio | undefined> {
  const frame = yield* request(current.kernel.op.isolateLru);
  return frame === 0 ? undefined : current.kernel.mem_map[frame - 1]!;
}

/**
 * Reclaims one folio. Returns whether it has: else it was not to be had.
 * @context may sleep; PF_MEMALLOC
 * @kernel 6.12 mm/vmscan.c shrink_node: adapted (one folio; no slabs, no cgroups)
 */
function* shrink_node(sc: ScanControl): Path<boolean> {
  const folio = yield* isolate_lru_folios();
  if (folio === undefined) return false;
  const kept = yield* shrink_folio_list([folio], sc);
  if (kept.length === 0) return true;
  yield* folio_putback_lru(folio);
  return false;
}

/** Memory is low: kswapd begins to reclaim. Not a step where there is no kswapd. @context any @kernel 6.12 mm/vmscan.c wakeup_kswapd: adapted (one node) */
export function* wakeup_kswapd(): Path {
  const { pgdat } = current.kernel;
  if (pgdat !== undefined) yield* write(pgdat.low, 1);
}

/**
 * Waits until kswapd has reclaimed. Who may not enter file systems may hold a lock that kswapd needs, so he waits no
 * longer than a second. Returns whether kswapd has reclaimed.
 * @context may sleep
 * @kernel 6.12 mm/vmscan.c throttle_direct_reclaim: adapted (kswapd is awake; nobody is a kernel thread, or killed; the second is over by choice)
 */
function* throttle_direct_reclaim(pgdat: PglistData, gfp_mask: number): Path<boolean> {
  if (!(gfp_mask & __GFP.FS) && (yield* choose(2)) === 1) return false;
  yield* awaitValue(pgdat.low, 0);
  return true;
}

/**
 * Reclaims for the allocation of the running thread. Returns whether there is memory now.
 * @context may sleep; PF_MEMALLOC
 * @kernel 6.12 mm/vmscan.c try_to_free_pages: adapted (one folio will do; what kswapd has reclaimed will do)
 */
export function* try_to_free_pages(gfp_mask: number): Path<boolean> {
  const { pgdat } = current.kernel;
  if (pgdat !== undefined && (yield* throttle_direct_reclaim(pgdat, gfp_mask))) return true;
  return yield* shrink_node({ gfp_mask });
}

/**
 * Reclaims for those who wait. To lockdep that is inside of reclaim, as in a thread that reclaims for itself.
 * @context may sleep; PF_MEMALLOC
 * @kernel 6.12 mm/vmscan.c balance_pgdat: adapted (one folio; who waits goes on even if it was not to be had)
 */
function* balance_pgdat(pgdat: PglistData): Path {
  const { __fs_reclaim_map } = current.kernel;
  lockMapAcquire(__fs_reclaim_map);
  yield* shrink_node({ gfp_mask: GFP_KERNEL });
  yield* write(pgdat.low, 0); // pfmemalloc_wait is woken
  lockMapRelease(__fs_reclaim_map);
}

/**
 * The daemon that reclaims when memory is low. Its own allocations do not wait for it.
 * @context may sleep
 * @kernel 6.12 mm/vmscan.c kswapd: adapted (one node)
 */
export function* kswapd(pgdat: PglistData): Path {
  yield* memalloc_noreclaim_save();
  for (;;) {
    yield* awaitValue(pgdat.low, 1);
    yield* balance_pgdat(pgdat);
  }
}
