// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { equals, addReturn, testBits, write } from '../../core/primitives.js';
import { frameRef, type Cell } from '../../core/system.js';
import { Use } from '../../machine/frame.js';
import { PG, type Folio, type Page } from '../include/mm_types.js';
import { current, knob, type Kernel } from '../kernel.js';
import { complete, Completion, wait_for_completion } from '../kernel/sched/completion.js';
import { rcu_read_lock, rcu_read_unlock, synchronize_rcu } from '../kernel/rcu/tree.js';
import {
  percpu_ref_exit,
  percpu_ref_kill,
  percpu_ref_put,
  percpu_ref_put_many,
  percpu_ref_tryget_live_rcu,
  PercpuRef,
} from '../lib/percpu-refcount.js';
import {
  arch_remove_memory,
  mem_hotplug_begin,
  mem_hotplug_done,
  remove_pfn_range_from_zone,
} from './memory_hotplug.js';

/** What a ZONE_DEVICE range is for. @kernel 6.12 include/linux/memremap.h enum memory_type: adapted (no GENERIC) */
export const MEMORY_DEVICE = { PRIVATE: 1, COHERENT: 2, FS_DAX: 3, PCI_P2PDMA: 5 } as const;
const { PRIVATE, COHERENT, FS_DAX, PCI_P2PDMA } = MEMORY_DEVICE;

/** @kernel 6.12 include/linux/memremap.h struct dev_pagemap_ops: adapted (no memory_failure) */
export interface DevPagemapOps {
  /** The last reference on a page is gone: the driver takes it back. */
  page_free?: (page: Page, pgmap: DevPagemap) => Path;
}

/** @kernel 6.12 include/linux/memremap.h struct dev_pagemap: adapted (one range, no altmap) */
export class DevPagemap {
  readonly ref: PercpuRef;
  readonly done: Completion;
  /** Its entry in pgmap_array. */
  readonly entry: Cell;

  /** What memremap_pages() leaves behind; `mapped` references are those of pages in use. Set-up only. */
  constructor(
    kernel: Kernel,
    name: string,
    readonly type: number,
    readonly pages: readonly Page[],
    readonly ops: DevPagemapOps,
    mapped: number,
  ) {
    this.done = new Completion(kernel, `${name}.done`);
    const base = type === PRIVATE || type === COHERENT ? 0 : pages.length;
    this.ref = new PercpuRef(kernel, `${name}.ref`, base + mapped, () => complete(this.done));
    this.entry = kernel.system.cell(`pgmap_array[${name}]`, 1);
    for (const page of pages) page.flags.init(page.flags.value | PG.zone_device);
  }
}

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
  };
}

const pgmapOf = (page: Page): DevPagemap | undefined =>
  current.kernel.hotplug?.pgmaps.find(({ pages }) => pages.includes(page));

/** Reads the struct page: it must be there. @kernel 6.12 include/linux/mmzone.h is_zone_device_page: adapted (no ZONE_DEVICE in kernels without hotplug) */
export function* is_zone_device_page(page: Page): Path<boolean> {
  return current.kernel.hotplug !== undefined && (yield* testBits(page.flags, PG.zone_device));
}
/** @kernel 6.12 include/linux/mmzone.h folio_is_zone_device: faithful */
export function* folio_is_zone_device(folio: Folio): Path<boolean> {
  return yield* is_zone_device_page(folio);
}
/** @kernel 6.12 include/linux/memremap.h is_pci_p2pdma_page: adapted (page->pgmap is read with the flags) */
export function* is_pci_p2pdma_page(page: Page): Path<boolean> {
  return (yield* is_zone_device_page(page)) && pgmapOf(page)?.type === PCI_P2PDMA;
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
  if (live) live = yield* percpu_ref_tryget_live_rcu(found.ref);
  yield* rcu_read_unlock();
  return live ? found : undefined;
}

/** @kernel 6.12 include/linux/memremap.h put_dev_pagemap: faithful */
export function* put_dev_pagemap(pgmap: DevPagemap): Path {
  yield* percpu_ref_put(pgmap.ref);
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
  yield* percpu_ref_kill(pgmap.ref);
  if (pgmap.type !== PRIVATE && pgmap.type !== COHERENT)
    yield* percpu_ref_put_many(pgmap.ref, pgmap.pages.length);
  yield* wait_for_completion(pgmap.done);
  yield* pageunmap_range(pgmap);
  yield* percpu_ref_exit(pgmap.ref);
}

/**
 * The last reference on a device page is gone. For types whose free pages rest at a count of 1 the struct page is read
 * and written after the driver has taken the page back; if the driver drops its pgmap reference in doing so, nothing
 * keeps the struct page then: see `free_zone_device_folio.count`.
 * @context any
 * @kernel 6.12 mm/memremap.c free_zone_device_folio: adapted (small file pages: no memcg, no PG_anon_exclusive)
 */
export function* free_zone_device_folio(folio: Folio): Path {
  const pgmap = pgmapOf(folio);
  if (pgmap?.ops.page_free === undefined) return;
  const { page_free } = pgmap.ops;
  const restsAtOne = pgmap.type !== PRIVATE && pgmap.type !== COHERENT;
  const early = knob('free_zone_device_folio.count') === 'before-page_free';
  yield* write(folio.mapping, 0);
  if (early && restsAtOne) yield* write(folio._refcount, 1);
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
  const { hotplug: state } = current.kernel;
  if (state?.pgmaps.some(({ type }) => type === FS_DAX) !== true) return false; // devmap_managed_key
  if (!(yield* folio_is_zone_device(folio)) || pgmapOf(folio)?.type !== FS_DAX) return false;
  yield* addReturn(folio._refcount, -refs);
  return true;
}

/** page_free() of a driver that keeps its free pages in a list, like test_hmm: coherent and private memory. */
export function* deviceListFree(page: Page): Path {
  yield* request(current.kernel.op.devicePageFree, page.pfn + 1);
}
