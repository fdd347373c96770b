// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { addReturn, claim, clearBits, equals, write } from '../../core/primitives.js';
import { frameRef } from '../../core/system.js';
import { Use } from '../../machine/frame.js';
import {
  type DevPagemap,
  folio_is_zone_device,
  MEMORY_DEVICE,
  pgmapOf,
  put_dev_pagemap,
} from '../include/memremap.js';
import { PG, type Folio, type Page } from '../include/mm_types.js';
import { folio_test_anon } from '../include/page-flags.js';
import { lockNewFolio } from '../include/pagemap.js';
import { current, knob, type Kernel } from '../kernel.js';
import { wait_for_completion } from '../kernel/sched/completion.js';
import { rcu_read_lock, rcu_read_unlock, synchronize_rcu } from '../kernel/rcu/tree.js';
import {
  percpu_ref_exit,
  percpu_ref_kill,
  percpu_ref_put_many,
  percpu_ref_tryget_live,
  percpu_ref_tryget_live_rcu,
} from '../lib/percpu-refcount.js';
import {
  arch_remove_memory,
  mem_hotplug_begin,
  mem_hotplug_done,
  remove_pfn_range_from_zone,
} from './memory_hotplug.js';

const { PRIVATE, COHERENT, FS_DAX } = MEMORY_DEVICE;

export function defineDevPagemapOps(kernel: Kernel) {
  const { system } = kernel;
  return {
    /** Device memory a - 1 goes back to its driver's pool. */
    devicePageFree: system.op({
      name: 'device_page_free',
      exec: (a) => {
        const { use } = kernel.mem_map[a - 1]!.frame;
        if (use.value !== Use.DATA)
          system.fail('POOL-ONCE', `f${a - 1} is given back, and it is ${use.type.show(use.value)}`);
        system.set(use.at, Use.DEVICE);
        return 0;
      },
      args: [frameRef, 'plain', 'plain'],
      touches: (a, _b, _c, _agent, access) => void access.writes.push(kernel.mem_map[a - 1]!.frame.use.at),
      describe: (a) => `f${a - 1} goes back to the device`,
    }),
    /** Device memory a - 1 comes from its driver's pool: with one reference. */
    devicePageInit: system.op({
      name: 'device_page_init',
      exec: (a) => {
        const { frame, _refcount } = kernel.mem_map[a - 1]!;
        system.touch(_refcount.at);
        if (frame.use.value !== Use.DEVICE)
          system.fail(
            'POOL-ONCE',
            `f${a - 1} is handed out, and it is ${frame.use.type.show(frame.use.value)}`,
          );
        system.set(frame.use.at, Use.DATA);
        system.set(_refcount.at, 1);
        return 0;
      },
      args: [frameRef, 'plain', 'plain'],
      touches: (a, _b, _c, _agent, access) => {
        const { frame, _refcount } = kernel.mem_map[a - 1]!;
        access.writes.push(frame.use.at, _refcount.at);
      },
      describe: (a) => `f${a - 1} is taken from the device's free memory`,
    }),
  };
}

/**
 * Takes a reference on the pgmap of a PFN, so that its struct pages stay; undefined if there is none or it is dying.
 * `pgmap` is one that the caller holds already.
 * @kernel 6.12 mm/memremap.c get_dev_pagemap: faithful
 */
export function* get_dev_pagemap(pfn: number, pgmap?: DevPagemap): Path<DevPagemap | undefined> {
  const found = pgmapOf(current.kernel.mem_map[pfn]!);
  if (pgmap !== undefined) {
    if (pgmap === found) return pgmap;
    yield* put_dev_pagemap(pgmap);
  }
  if (found === undefined) return undefined;
  yield* rcu_read_lock();
  let live = !(yield* equals(found.entry, 0));
  if (live && found.ref !== undefined) live = yield* percpu_ref_tryget_live_rcu(found.ref);
  yield* rcu_read_unlock();
  return live ? found : undefined;
}

/** @context may sleep @kernel 6.12 mm/memremap.c pgmap_array_delete: faithful */
export function* pgmap_array_delete(pgmap: DevPagemap): Path {
  yield* write(pgmap.entry, 0);
  // For those who found the pgmap in the array: it is about struct dev_pagemap, not about struct page.
  if (knob('pgmap_array_delete.gp') === 'on') yield* synchronize_rcu();
}

/**
 * Takes the memory map of a dead pgmap apart.
 * @context may sleep
 * @kernel 6.12 mm/memremap.c pageunmap_range: adapted (one range)
 */
export function* pageunmap_range(pgmap: DevPagemap): Path {
  yield* mem_hotplug_begin();
  if (knob('pageunmap_range.gp') === 'after-begin') yield* synchronize_rcu();
  yield* remove_pfn_range_from_zone(pgmap.pages);
  yield* arch_remove_memory(pgmap.pages);
  yield* mem_hotplug_done();
  yield* pgmap_array_delete(pgmap);
}

/**
 * Removes device memory: no new references, waits for the old ones, takes the struct pages away.
 * @context may sleep
 * @kernel 6.12 mm/memremap.c memunmap_pages: adapted (one range)
 */
export function* memunmap_pages(pgmap: DevPagemap): Path {
  const ref = pgmap.ref!;
  yield* percpu_ref_kill(ref);
  if (pgmap.type !== PRIVATE && pgmap.type !== COHERENT) yield* percpu_ref_put_many(ref, pgmap.pages.length);
  yield* wait_for_completion(pgmap.done!);
  yield* pageunmap_range(pgmap);
  yield* percpu_ref_exit(ref);
}

/**
 * A page of a device's own memory goes into use: one reference, locked, and one reference on the pgmap for it. To be
 * called by the driver, for a page that is free.
 * @context may sleep
 * @kernel 6.12 mm/memremap.c zone_device_page_init: faithful
 */
export function* zone_device_page_init(page: Page): Path {
  const { ref } = pgmapOf(page)!;
  if (ref !== undefined)
    yield* claim(
      yield* percpu_ref_tryget_live(ref),
      'PGMAP-LIVE',
      'a driver hands out a page of device memory after memunmap_pages()',
    );
  yield* request(current.kernel.op.devicePageInit, page.pfn + 1);
  yield* lockNewFolio(page); // who walks the device's PFNs may have it already
}

/**
 * The last reference on a device page is gone. For types whose free pages rest at a count of 1 the struct page is read
 * and written after the driver has taken the page back; if the driver drops its pgmap reference in doing so, nothing
 * keeps the struct page then: see `free_zone_device_folio.count`.
 * @context any
 * @kernel 6.12 mm/memremap.c free_zone_device_folio: adapted (no memcg; the flag for anonymous pages goes with the mapping)
 */
export function* free_zone_device_folio(folio: Folio): Path {
  const pgmap = pgmapOf(folio);
  if (pgmap?.ops.page_free === undefined) return;
  const { page_free } = pgmap.ops;
  const restsAtOne = pgmap.type !== PRIVATE && pgmap.type !== COHERENT;
  const early = knob('free_zone_device_folio.count') === 'before-page_free';
  // Pages of files, and of p2pdma, are never anonymous.
  if (!restsAtOne && (yield* folio_test_anon(folio)))
    yield* clearBits(folio.flags, PG.anon | PG.anon_exclusive);
  yield* write(folio.mapping, 0);
  if (early && restsAtOne) yield* write(folio._refcount, 1);
  if (!restsAtOne) yield* request(current.kernel.op.devicePageFree, folio.pfn + 1);
  yield* page_free(folio, pgmap);
  if (early && restsAtOne) return;
  yield* folio_is_zone_device(folio); // folio->page.pgmap->type
  if (restsAtOne) yield* write(folio._refcount, 1);
  else yield* put_dev_pagemap(pgmap);
}

/**
 * Drops references of an fsdax page, whose count is 1 when nobody uses it. Returns false for any other page.
 * @context any
 * @kernel 6.12 mm/memremap.c __put_devmap_managed_folio_refs, include/linux/mm.h put_devmap_managed_folio_refs: adapted (the waiter looks by itself)
 */
export function* put_devmap_managed_folio_refs(folio: Folio, refs: number): Path<boolean> {
  if (!current.kernel.pgmaps.some(({ type }) => type === FS_DAX)) return false; // devmap_managed_key
  if (!(yield* folio_is_zone_device(folio)) || pgmapOf(folio)?.type !== FS_DAX) return false;
  yield* addReturn(folio._refcount, -refs);
  return true;
}

/** page_free() of a driver that keeps no list of what is free. */
export function* deviceListFree(): Path {}
