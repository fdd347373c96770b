// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { testBits } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { current, type Kernel } from '../kernel.js';
import { complete, Completion } from '../kernel/sched/completion.js';
import { percpu_ref_put, PercpuRef } from '../lib/percpu-refcount.js';
import type { VmFault } from '../mm/memory-fault.js';
import { PG, type Folio, type Page } from './mm_types.js';

/** What a ZONE_DEVICE range is for. @kernel 6.12 include/linux/memremap.h enum memory_type: adapted (no GENERIC) */
export const MEMORY_DEVICE = { PRIVATE: 1, COHERENT: 2, FS_DAX: 3, PCI_P2PDMA: 5 } as const;
const { PRIVATE, COHERENT, PCI_P2PDMA } = MEMORY_DEVICE;

/** @kernel 6.12 include/linux/memremap.h struct dev_pagemap_ops: adapted (no memory_failure) */
export interface DevPagemapOps {
  /** The last reference on a page is gone: the driver takes it back. */
  page_free?: (page: Page, pgmap: DevPagemap) => Path;
  /**
   * A CPU touched `vmf.page`, which no CPU reaches: the driver migrates it, with vmf.page as the fault_page. Returns a
   * VM_FAULT; 0: the fault is taken again.
   */
  migrate_to_ram?: (vmf: VmFault) => Path<number>;
}

/** @kernel 6.12 include/linux/memremap.h struct dev_pagemap: adapted (one range, no altmap) */
export class DevPagemap {
  /** References: one for each page in use. Undefined: the range is there to the end, and nobody counts. */
  readonly ref: PercpuRef | undefined;
  readonly done: Completion | undefined;
  /** Its entry in pgmap_array. */
  readonly entry: Cell;

  /** What memremap_pages() leaves behind; `mapped` references are those of pages in use. Set-up only. */
  constructor(
    kernel: Kernel,
    readonly name: string,
    readonly type: number,
    readonly pages: readonly Page[],
    readonly ops: DevPagemapOps,
    { mapped = 0, owner = 0, counted = true }: { mapped?: number; owner?: number; counted?: boolean } = {},
  ) {
    this.owner = owner;
    if (counted) {
      const done = (this.done = new Completion(kernel, `${name}.done`));
      const base = type === PRIVATE || type === COHERENT ? 0 : pages.length;
      this.ref = new PercpuRef(kernel, `${name}.ref`, base + mapped, () => complete(done));
    }
    this.entry = kernel.system.cell(`pgmap_array[${name}]`, 1);
    for (const page of pages) page.flags.init(page.flags.value | PG.zone_device);
  }

  /** Whose memory it is, as migrations and hmm_range_fault() name it: a device's number + 1; 0: nobody's. */
  readonly owner: number;
}

/** The range that a page belongs to, undefined for RAM: page->pgmap. No step: it is as old as the struct page. */
export const pgmapOf = (page: Page): DevPagemap | undefined =>
  current.kernel.pgmaps.find(({ pages }) => pages.includes(page));

/** Reads the struct page, which must be there. No step where struct pages never go away. @kernel 6.12 include/linux/mmzone.h is_zone_device_page: faithful */
export function* is_zone_device_page(page: Page): Path<boolean> {
  if (current.kernel.hotplug === undefined) return pgmapOf(page) !== undefined;
  return yield* testBits(page.flags, PG.zone_device);
}
/** @kernel 6.12 include/linux/mmzone.h folio_is_zone_device: faithful */
export function* folio_is_zone_device(folio: Folio): Path<boolean> {
  return yield* is_zone_device_page(folio);
}
/** @kernel 6.12 include/linux/memremap.h is_pci_p2pdma_page: adapted (page->pgmap is read with the flags) */
export function* is_pci_p2pdma_page(page: Page): Path<boolean> {
  return (yield* is_zone_device_page(page)) && pgmapOf(page)?.type === PCI_P2PDMA;
}
/** Memory of a device that no CPU reaches. @kernel 6.12 include/linux/memremap.h is_device_private_page: adapted (page->pgmap is read with the flags) */
export function* is_device_private_page(page: Page): Path<boolean> {
  return (yield* is_zone_device_page(page)) && pgmapOf(page)?.type === PRIVATE;
}
/** @kernel 6.12 include/linux/memremap.h folio_is_device_private: faithful */
export function* folio_is_device_private(folio: Folio): Path<boolean> {
  return yield* is_device_private_page(folio);
}
/** Memory of a device that CPUs reach coherently, so that it may be mapped as any other. @kernel 6.12 include/linux/memremap.h is_device_coherent_page: adapted (page->pgmap is read with the flags) */
export function* is_device_coherent_page(page: Page): Path<boolean> {
  return (yield* is_zone_device_page(page)) && pgmapOf(page)?.type === COHERENT;
}
/** @kernel 6.12 include/linux/memremap.h folio_is_device_coherent: faithful */
export function* folio_is_device_coherent(folio: Folio): Path<boolean> {
  return yield* is_device_coherent_page(folio);
}

/** @kernel 6.12 include/linux/memremap.h put_dev_pagemap: faithful */
export function* put_dev_pagemap(pgmap: DevPagemap): Path {
  if (pgmap.ref !== undefined) yield* percpu_ref_put(pgmap.ref);
}
