// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { equals, add, claim, clearBits, read, setBits, testBits } from '../../core/primitives.js';
import { frameRef, holder, type Cell, type System } from '../../core/system.js';
import { pfnOf } from '../../machine/pte.js';
import { assertFolioLocked } from '../include/lockdep.js';
import type { Pte } from '../include/pgtable.js';
import { PG, type Folio } from '../include/mm_types.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import { current, type Kernel } from '../kernel.js';
import { folio_mapped } from './rmap.js';
import { folio_put } from './swap.js';
import { delete_from_swap_cache, filemap_get_folio } from './swap_state.js';

/** In swap_map: the slot has a folio in the swap cache. The lower bits count swap entries. */
export const SWAP_HAS_CACHE = 0x40;

/** A slot of the swap area. */
export class SwapSlot {
  /** swap_map[slot]. */
  readonly map: Cell;
  /** i_pages of the swap address space: frame + 1, 0 for none. */
  readonly cache: Cell;
  /** The swap address space remembers that reclaim has thrown the folio out. Looked at where folios are active or not. */
  readonly shadow: Cell;
  /** What was written out. */
  readonly data: Cell | undefined;

  constructor(
    system: System,
    readonly number: number,
    data: boolean,
  ) {
    this.map = system.cell(`swap[${number}].swap_map`);
    this.cache = system.cell(`swap[${number}].cache`, 0, { type: frameRef });
    this.shadow = system.cell(`swap[${number}].shadow`);
    this.data = data ? system.cell(`swap[${number}].data`) : undefined;
  }
}

/**
 * The swap area with its address space.
 * @kernel 6.12 include/linux/swap.h struct swap_info_struct: adapted (one area; cluster locks folded into single steps on swap_map)
 */
export class SwapInfo {
  readonly slots: SwapSlot[] = [];
  /** The lock of i_pages. */
  readonly xa_lock: Cell;

  constructor(system: System, slots: number, data: boolean) {
    this.xa_lock = system.cell('swapper_space.xa_lock', 0, { type: holder, lockClass: 'xa_lock' });
    for (let number = 0; number < slots; number++) this.slots.push(new SwapSlot(system, number, data));
  }
}

export function defineSwapOps({ system, swap }: Kernel) {
  return {
    /** Takes a free slot for the swap cache: its number + 1, 0 if there is none. */
    swapAlloc: system.op({
      name: 'folio_alloc_swap',
      exec: () => {
        const slot = swap?.slots.find(({ map }) => map.value === 0);
        if (slot === undefined) return 0;
        system.set(slot.map.at, SWAP_HAS_CACHE);
        return slot.number + 1;
      },
      touches: (_a, _b, _c, _agent, access) => {
        for (const { map } of swap?.slots ?? []) access.writes.push(map.at);
      },
      describe: (_a, _b, _c, observed) =>
        observed === 0 ? 'no free swap slot' : `swap slot ${observed - 1}`,
    }),
    /** Sets SWAP_HAS_CACHE of slot a: observes 0 = set, 1 = it was set, 2 = the slot is not in use. */
    swapcachePrepare: system.op({
      name: 'swapcache_prepare',
      exec: (a) => {
        const { map } = swap!.slots[a]!;
        if (map.value === 0) return 2;
        if (map.value & SWAP_HAS_CACHE) return 1;
        system.set(map.at, map.value | SWAP_HAS_CACHE);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => void access.writes.push(swap!.slots[a]!.map.at),
    }),
  };
}

export const slotOfEntry = (entry: Pte): SwapSlot => current.kernel.swap!.slots[pfnOf(entry)]!;

/** The slot of a folio in the swap cache. @context folio locked @kernel 6.12 include/linux/mm_types.h folio->swap: faithful */
export function* slotOfFolio(folio: Folio): Path<SwapSlot> {
  const slot = yield* read(folio.swap!);
  yield* claim(slot !== 0, 'FRAME-REUSE', 'a folio of the swap cache was freed by somebody else');
  return current.kernel.swap!.slots[slot - 1]!;
}

/** A slot for the folio; the swap cache holds it. @kernel 6.12 mm/swap_slots.c folio_alloc_swap: adapted (the first free slot) */
export function* folio_alloc_swap(): Path<SwapSlot | undefined> {
  const slot = yield* request(current.kernel.op.swapAlloc);
  return slot === 0 ? undefined : current.kernel.swap!.slots[slot - 1]!;
}

/** One more swap entry names the slot. @kernel 6.12 mm/swapfile.c swap_duplicate: adapted (never overflows) */
export function* swap_duplicate(slot: SwapSlot): Path {
  yield* add(slot.map, 1);
}

/** One swap entry less. @kernel 6.12 mm/swapfile.c swap_free: faithful */
export function* swap_free(slot: SwapSlot): Path {
  yield* add(slot.map, -1);
}

/** The swap cache gives the slot up. @kernel 6.12 mm/swapfile.c put_swap_folio: faithful */
export function* put_swap_folio(slot: SwapSlot): Path {
  yield* clearBits(slot.map, SWAP_HAS_CACHE);
}

/**
 * Takes the folio out of the swap cache if no swap entry names its slot. It is dirty then: nothing else has its contents.
 * @context folio locked
 * @kernel 6.12 mm/swapfile.c folio_free_swap: faithful
 */
export function* folio_free_swap(folio: Folio): Path<boolean> {
  assertFolioLocked(folio);
  if (!(yield* testBits(folio.flags, PG.swapcache))) return false;
  if (yield* testBits(folio.flags, PG.writeback)) return false;
  const slot = yield* slotOfFolio(folio);
  if (yield* testBits(slot.map, SWAP_HAS_CACHE - 1)) return false;
  yield* delete_from_swap_cache(folio, slot);
  yield* setBits(folio.flags, PG.dirty);
  return true;
}

/**
 * Takes the folio of a slot that no swap entry names any more out of the swap cache, unless somebody has it mapped: then
 * the cache may still spare a write.
 * @context any
 * @kernel 6.12 mm/swapfile.c __try_to_reclaim_swap: adapted (TTRS_UNMAPPED; swap is never full)
 */
function* __try_to_reclaim_swap(slot: SwapSlot): Path {
  const folio = yield* filemap_get_folio(slot);
  if (folio === undefined) return;
  if (yield* folio_trylock(folio)) {
    const same = yield* equals(folio.swap!, slot.number + 1);
    if (same && !(yield* folio_mapped(folio))) yield* folio_free_swap(folio);
    yield* folio_unlock(folio);
  }
  yield* folio_put(folio);
}

/**
 * A swap entry was removed without reading it in: its slot goes, and the folio in the swap cache with the last one.
 * @context PTL held
 * @kernel 6.12 mm/swapfile.c free_swap_and_cache_nr: adapted (one entry)
 */
export function* free_swap_and_cache(entry: Pte): Path {
  yield* free_swap_slot(slotOfEntry(entry));
}

/** free_swap_and_cache(), where the slot is known. @context any @kernel 6.12 mm/swapfile.c free_swap_and_cache_nr: adapted (one entry) */
export function* free_swap_slot(slot: SwapSlot): Path {
  yield* swap_free(slot);
  if (yield* equals(slot.map, SWAP_HAS_CACHE)) yield* __try_to_reclaim_swap(slot);
}
