// SPDX-License-Identifier: GPL-2.0-only
/** lib/test_hmm.c: the memory of a device, in chunks, and its list of free pages. */
import type { Path } from '../../core/path.js';
import { awaitValue, claim, load, store, write } from '../../core/primitives.js';
import { type Cell, frameRef, holder } from '../../core/system.js';
import { Use } from '../../machine/machine.js';
import { ENOMEM } from '../include/errno.js';
import { type DevPagemap, is_device_private_page, MEMORY_DEVICE } from '../include/memremap.js';
import { MIGRATE_PFN, migrate_pfn, migrate_pfn_to_page } from '../include/migrate.js';
import { type Page, PG } from '../include/mm_types.js';
import { lockNewFolio } from '../include/pagemap.js';
import { defineMutex, mutex_lock, mutex_unlock } from '../kernel/locking/mutex.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { current, type Kernel } from '../kernel.js';
import { copy_user_page } from '../mm/memory-fault.js';
import { zone_device_page_init } from '../mm/memremap.js';
import { migrate_device_finalize, migrate_device_pages, migrate_device_range } from '../mm/migrate_device.js';
import { alloc_page } from '../mm/page_alloc.js';
import { folio_put } from '../mm/swap.js';
import type { Dmirror } from './test_hmm.js';
import { dmirror_devmem_fault } from './test_hmm-migrate.js';
import { HMM_DMIRROR_MEMORY_DEVICE } from './test_hmm_uapi.js';

const { PRIVATE } = HMM_DMIRROR_MEMORY_DEVICE;

/** @kernel 6.12 lib/test_hmm.c struct dmirror_chunk: faithful */
interface DmirrorChunk {
  readonly pagemap: DevPagemap;
  readonly remove: Cell;
}

/** How much memory a device has. */
export interface DmirrorDeviceOptions {
  /** HMM_DMIRROR_MEMORY_DEVICE */
  readonly zone_device_type: number;
  /** Pages of a chunk. */
  readonly chunkPages: number;
  /** Chunks that it may have at once; one is there from the beginning. */
  readonly chunks?: number;
}

/**
 * One device of the driver: each of its open files is a mirror, and all have its memory.
 * @kernel 6.12 lib/test_hmm.c struct dmirror_device: adapted (the memory of all chunks is there, and mapped when it is needed; calloc and cfree, which nobody reads, left out)
 */
export class DmirrorDevice {
  readonly zone_device_type: number;
  /** Covers the chunks and their count. */
  readonly devmem_lock: Cell;
  readonly devmem_count: Cell;
  /** Those that are mapped come first. */
  readonly devmem_chunks: readonly DmirrorChunk[];
  /** Covers the list of free pages. */
  readonly lock: Cell;
  /** The first free page + 1; zone_device_data of each names the next. */
  readonly free_pages: Cell;
  /** Its open files, and places for such. */
  readonly mirrors: Dmirror[] = [];

  constructor(
    kernel: Kernel,
    readonly name: string,
    /** Minor number. */
    readonly number: number,
    { zone_device_type, chunkPages, chunks = 1 }: DmirrorDeviceOptions,
  ) {
    const { system } = kernel;
    this.zone_device_type = zone_device_type;
    this.devmem_lock = defineMutex(system, `${name}.devmem_lock`, 'devmem_lock');
    this.devmem_count = system.cell(`${name}.devmem_count`, 1);
    this.lock = system.cell(`${name}.lock`, 0, { type: holder, lockClass: 'dmirror_device.lock' });
    this.free_pages = system.cell(`${name}.free_pages`, 0, { type: frameRef });
    const type = zone_device_type === PRIVATE ? MEMORY_DEVICE.PRIVATE : MEMORY_DEVICE.COHERENT;
    const ops = {
      page_free: (page: Page): Path => dmirror_devmem_free(this, page),
      migrate_to_ram: dmirror_devmem_fault,
    };
    this.devmem_chunks = Array.from({ length: chunks }, (_, i) => ({
      pagemap: kernel.addDevicePagemap(`${name}.chunk${i}`, type, this.owner, chunkPages, ops),
      remove: system.cell(`${name}.chunk${i}.remove`),
    }));
    kernel.dmirror_devices.push(this);
    for (const page of this.devmem_chunks[0]!.pagemap.pages) {
      page.zone_device_data!.init(this.free_pages.value);
      this.free_pages.init(page.pfn + 1);
    }
  }

  /** As events and pgmaps name it; no number of a device with page tables. */
  get owner(): number {
    return -1 - this.number;
  }
}

/** @kernel 6.12 lib/test_hmm.c dmirror_is_private_zone: faithful */
const dmirror_is_private_zone = (mdevice: DmirrorDevice): boolean => mdevice.zone_device_type === PRIVATE;

/** Where the contents of a page of device memory are: in RAM if no CPU reaches the page. @kernel 6.12 lib/test_hmm.c BACKING_PAGE: faithful */
export function* BACKING_PAGE(page: Page): Path<Page> {
  if (!(yield* is_device_private_page(page))) return page;
  const backing = yield* load(page.zone_device_data!);
  yield* claim(
    backing !== 0,
    'FRAME-REUSE',
    'the RAM of a page is asked for that was given back (BACKING_PAGE)',
  );
  return current.kernel.mem_map[backing - 1]!;
}

/** @kernel 6.12 lib/test_hmm.c dmirror_page_to_chunk: adapted (of a device that is known) */
const dmirror_page_to_chunk = (mdevice: DmirrorDevice, page: Page): DmirrorChunk =>
  mdevice.devmem_chunks.find(({ pagemap }) => pagemap.pages.includes(page))!;

/**
 * Maps one more chunk; its pages are free. With `take` one of them is returned. Returns -ENOMEM if there is no more.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_allocate_chunk: adapted (memremap_pages() is the count; the page is returned)
 */
function* dmirror_allocate_chunk(mdevice: DmirrorDevice): Path<Page | number> {
  yield* mutex_lock(mdevice.devmem_lock);
  const count = yield* load(mdevice.devmem_count);
  const devmem = mdevice.devmem_chunks[count];
  if (devmem === undefined) {
    yield* mutex_unlock(mdevice.devmem_lock);
    return -ENOMEM;
  }
  yield* store(devmem.remove, 0);
  yield* store(mdevice.devmem_count, count + 1);
  yield* mutex_unlock(mdevice.devmem_lock);
  yield* spin_lock(mdevice.lock);
  for (const page of devmem.pagemap.pages) {
    yield* store(page.zone_device_data!, yield* load(mdevice.free_pages));
    yield* store(mdevice.free_pages, page.pfn + 1);
  }
  const page = yield* takeFreePage(mdevice);
  yield* spin_unlock(mdevice.lock);
  return page!;
}

/** The first free page, undefined if there is none. @context mdevice->lock held */
function* takeFreePage(mdevice: DmirrorDevice): Path<Page | undefined> {
  const first = yield* load(mdevice.free_pages);
  if (first === 0) return undefined;
  const page = current.kernel.mem_map[first - 1]!;
  yield* store(mdevice.free_pages, yield* load(page.zone_device_data!));
  return page;
}

/**
 * A page of the device's memory, locked and referenced; undefined without memory.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_devmem_alloc_page: faithful
 */
export function* dmirror_devmem_alloc_page(mdevice: DmirrorDevice): Path<Page | undefined> {
  let rpage: Page | undefined;
  if (dmirror_is_private_zone(mdevice)) {
    rpage = yield* alloc_page();
    if (rpage === undefined) return undefined;
  }
  yield* spin_lock(mdevice.lock);
  let dpage = yield* takeFreePage(mdevice);
  yield* spin_unlock(mdevice.lock);
  if (dpage === undefined) {
    const allocated = yield* dmirror_allocate_chunk(mdevice);
    if (typeof allocated === 'number') {
      if (rpage !== undefined) yield* folio_put(rpage);
      return undefined;
    }
    dpage = allocated;
  }
  yield* zone_device_page_init(dpage);
  yield* store(dpage.zone_device_data!, rpage === undefined ? 0 : rpage.pfn + 1);
  return dpage;
}

/**
 * Nobody uses a page of device memory any more: it goes back on the list, unless its chunk is being removed.
 * @context any
 * @kernel 6.12 lib/test_hmm.c dmirror_devmem_free: faithful
 */
export function* dmirror_devmem_free(mdevice: DmirrorDevice, page: Page): Path {
  const rpage = yield* BACKING_PAGE(page);
  if (rpage !== page) yield* folio_put(rpage); // __free_page()
  yield* spin_lock(mdevice.lock);
  if ((yield* load(dmirror_page_to_chunk(mdevice, page).remove)) === 0) {
    yield* store(page.zone_device_data!, yield* load(mdevice.free_pages));
    yield* store(mdevice.free_pages, page.pfn + 1);
  }
  yield* spin_unlock(mdevice.lock);
}

/**
 * Brings all pages of a chunk back into RAM, wherever they are mapped.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_device_evict_chunk: adapted (a page for which there is no RAM stays)
 */
export function* dmirror_device_evict_chunk({ pagemap }: DmirrorChunk): Path {
  const start_pfn = pagemap.pages[0]!.pfn;
  const npages = pagemap.pages.length;
  const src_pfns: number[] = [];
  const dst_pfns: number[] = Array.from({ length: npages }, () => 0);
  yield* migrate_device_range(src_pfns, start_pfn, npages);
  for (let i = 0; i < npages; i++) {
    const src = migrate_pfn_to_page(src_pfns[i]!);
    if (src === undefined || !(src_pfns[i]! & MIGRATE_PFN.MIGRATE)) continue;
    const spage = yield* BACKING_PAGE(src);
    const dpage = yield* alloc_page();
    if (dpage === undefined) continue;
    yield* lockNewFolio(dpage);
    yield* copy_user_page(dpage, spage);
    dst_pfns[i] = migrate_pfn(dpage.pfn) | (src_pfns[i]! & MIGRATE_PFN.WRITE);
  }
  yield* migrate_device_pages(src_pfns, dst_pfns, npages);
  yield* migrate_device_finalize(src_pfns, dst_pfns, npages);
}

/** All chunks that are mapped are evicted. @context may sleep @kernel 6.12 lib/test_hmm.c dmirror_fops_release: adapted (the part for device memory) */
export function* evictChunks(mdevice: DmirrorDevice): Path {
  const count = yield* load(mdevice.devmem_count);
  for (let i = 0; i < count; i++) yield* dmirror_device_evict_chunk(mdevice.devmem_chunks[i]!);
}

/** Takes the free pages of a chunk off the list. @context mdevice->lock held @kernel 6.12 lib/test_hmm.c dmirror_remove_free_pages: faithful */
function* dmirror_remove_free_pages(mdevice: DmirrorDevice, devmem: DmirrorChunk): Path {
  let at = yield* load(mdevice.free_pages);
  while (at !== 0) {
    const page = current.kernel.mem_map[at - 1]!;
    at = yield* load(page.zone_device_data!);
    if (dmirror_page_to_chunk(mdevice, page) === devmem) yield* store(mdevice.free_pages, at);
  }
}

/**
 * HMM_DMIRROR_RELEASE: takes all memory from the device, once nobody uses it any more.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_device_remove_chunks: adapted (memunmap_pages() waits for the pages; __init_zone_device_page() of the next chunk folded in)
 */
export function* dmirror_device_remove_chunks(mdevice: DmirrorDevice): Path {
  yield* mutex_lock(mdevice.devmem_lock);
  const count = yield* load(mdevice.devmem_count);
  for (let i = 0; i < count; i++) {
    const devmem = mdevice.devmem_chunks[i]!;
    yield* spin_lock(mdevice.lock);
    yield* store(devmem.remove, 1);
    yield* dmirror_remove_free_pages(mdevice, devmem);
    yield* spin_unlock(mdevice.lock);
    yield* dmirror_device_evict_chunk(devmem);
    for (const { frame, flags } of devmem.pagemap.pages) {
      yield* awaitValue(frame.use, Use.DEVICE);
      yield* write(flags, PG.zone_device); // what earlier folios have left there goes with the struct page
    }
  }
  yield* store(mdevice.devmem_count, 0);
  yield* store(mdevice.free_pages, 0);
  yield* mutex_unlock(mdevice.devmem_lock);
}
