// SPDX-License-Identifier: GPL-2.0-only
/** nouveau's memory as a place where a process has pages. */
import type { Path } from '../../../../../core/path.js';
import { load, store } from '../../../../../core/primitives.js';
import { type Cell, frameRef, holder } from '../../../../../core/system.js';
import { PTE } from '../../../../../machine/pte.js';
import { type DevPagemap, MEMORY_DEVICE } from '../../../../include/memremap.js';
import {
  MIGRATE_PFN,
  migrate_pfn,
  migrate_pfn_to_page,
  MIGRATE_VMA_SELECT,
  type MigrateVma,
} from '../../../../include/migrate.js';
import type { Page, Vma } from '../../../../include/mm_types.js';
import { lockNewFolio } from '../../../../include/pagemap.js';
import { mk_pte, PAGE_SIZE } from '../../../../include/pgtable.js';
import { mutex_lock, mutex_unlock } from '../../../../kernel/locking/mutex.js';
import { spin_lock, spin_unlock } from '../../../../kernel/locking/spinlock.js';
import { current, type Kernel, knob } from '../../../../kernel.js';
import { clear_user_highpage, copy_user_page, VM_FAULT, type VmFault } from '../../../../mm/memory-fault.js';
import { zone_device_page_init } from '../../../../mm/memremap.js';
import { migrate_vma_finalize, migrate_vma_pages, migrate_vma_setup } from '../../../../mm/migrate_device.js';
import { alloc_page } from '../../../../mm/page_alloc.js';
import { nouveau_svmm_invalidate, type NouveauSvmm, ownerOf } from './nouveau_svm.js';
import { nouveau_pfns_map } from './nouveau_svm-fault.js';

/** drm->dmem. @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_dmem.c struct nouveau_dmem: adapted (one chunk, which is there; one GPU address space) */
export class NouveauDmem {
  readonly pagemap: DevPagemap;
  /** Covers the list of free pages: the first one + 1. */
  readonly lock: Cell;
  readonly free_pages: Cell;

  constructor(
    kernel: Kernel,
    /** The only one: what zone_device_data of each page in use would name. */
    readonly svmm: NouveauSvmm,
    nr: number,
  ) {
    const { system } = kernel;
    const { name } = svmm.device;
    this.lock = system.cell(`${name}.dmem.lock`, 0, { type: holder, lockClass: 'dmem.lock' });
    this.free_pages = system.cell(`${name}.dmem.free_pages`, 0, { type: frameRef });
    this.pagemap = kernel.addDevicePagemap(`${name}.dmem`, MEMORY_DEVICE.PRIVATE, ownerOf(svmm.device), nr, {
      page_free: (page) => nouveau_dmem_page_free(this, page),
      migrate_to_ram: (vmf) => nouveau_dmem_migrate_to_ram(this, vmf),
    });
    for (const page of this.pagemap.pages) {
      page.zone_device_data!.init(this.free_pages.value);
      this.free_pages.init(page.pfn + 1);
    }
  }
}

/** @context any @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_dmem.c nouveau_dmem_page_free: faithful */
function* nouveau_dmem_page_free(dmem: NouveauDmem, page: Page): Path {
  yield* spin_lock(dmem.lock);
  yield* store(page.zone_device_data!, yield* load(dmem.free_pages));
  yield* store(dmem.free_pages, page.pfn + 1);
  yield* spin_unlock(dmem.lock);
}

/** A page of the GPU's memory, locked and referenced; undefined if there is none. @context may sleep @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_dmem.c nouveau_dmem_page_alloc_locked: adapted (no more chunks) */
function* nouveau_dmem_page_alloc_locked(dmem: NouveauDmem): Path<Page | undefined> {
  yield* spin_lock(dmem.lock);
  const first = yield* load(dmem.free_pages);
  const page = first === 0 ? undefined : current.kernel.mem_map[first - 1]!;
  if (page !== undefined) {
    yield* store(dmem.free_pages, yield* load(page.zone_device_data!));
    yield* store(page.zone_device_data!, 0); // not linked any more; the svmm that comes here is dmem.svmm
  }
  yield* spin_unlock(dmem.lock);
  if (page !== undefined) yield* zone_device_page_init(page);
  return page;
}

/**
 * A CPU touched a page that is in the GPU's memory. The GPU loses it before it is copied: what the notifier has not done,
 * since it leaves the migrations of this GPU alone.
 * @context vmf->page referenced, mmap_lock held for read; may sleep
 * @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_dmem.c nouveau_dmem_migrate_to_ram: adapted (the copy is done when the engine was asked for it)
 */
function* nouveau_dmem_migrate_to_ram({ svmm }: NouveauDmem, vmf: VmFault): Path<number> {
  const args: MigrateVma = {
    vma: vmf.vma,
    src: [],
    dst: [],
    cpages: 0,
    npages: 0,
    start: vmf.address,
    end: vmf.address + PAGE_SIZE,
    pgmap_owner: ownerOf(svmm.device),
    flags: MIGRATE_VMA_SELECT.DEVICE_PRIVATE,
    fault_page: vmf.page,
  };
  if ((yield* migrate_vma_setup(args)) < 0) return VM_FAULT.SIGBUS;
  if (args.cpages === 0) return 0;
  const spage = migrate_pfn_to_page(args.src[0]!);
  if (spage !== undefined && args.src[0]! & MIGRATE_PFN.MIGRATE) {
    const dpage = yield* alloc_page();
    if (dpage !== undefined) {
      args.dst[0] = migrate_pfn(dpage.pfn);
      yield* mutex_lock(svmm.mutex);
      yield* nouveau_svmm_invalidate(svmm, args.start, args.end);
      yield* lockNewFolio(dpage);
      yield* copy_user_page(dpage, spage);
      yield* mutex_unlock(svmm.mutex);
      yield* migrate_vma_pages(args);
    }
  }
  yield* migrate_vma_finalize(args);
  return 0;
}

/** Copies one page to the GPU's memory. Returns what dst says of it. @context may sleep @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_dmem.c nouveau_dmem_migrate_copy_one: adapted (the engine does not fail; the PFN for the GPU is made by the caller) */
function* nouveau_dmem_migrate_copy_one(dmem: NouveauDmem, src: number): Path<number> {
  const spage = migrate_pfn_to_page(src);
  if (!(src & MIGRATE_PFN.MIGRATE)) return 0;
  const dpage = yield* nouveau_dmem_page_alloc_locked(dmem);
  if (dpage === undefined) return 0;
  if (spage === undefined) yield* clear_user_highpage(dpage);
  else yield* copy_user_page(dpage, spage);
  return migrate_pfn(dpage.pfn);
}

/** What the GPU gets for a page that was copied; stores only where the CPU might store. */
const gpuEntry = (dst: number, src: number): number => {
  const page = migrate_pfn_to_page(dst);
  if (page === undefined) return 0;
  return mk_pte(page, PTE.PRESENT | PTE.USER | (src & MIGRATE_PFN.WRITE ? PTE.RW : 0));
};

/**
 * The pages of one migration go to the GPU. What it has mapped of them in RAM it keeps until nouveau_pfns_map(), the
 * notifier having left that alone: what it stores there after the copy is lost. It gets what was copied, also what
 * migrate_vma_pages() has refused, and migrate_vma_finalize() is about to give back.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_dmem.c nouveau_dmem_migrate_chunk: adapted (no fence: copies are done at once)
 */
function* nouveau_dmem_migrate_chunk(dmem: NouveauDmem, args: MigrateVma): Path {
  let pfns: number[] = [];
  for (let i = 0; i < args.npages; i++) {
    const dst = yield* nouveau_dmem_migrate_copy_one(dmem, args.src[i]!);
    args.dst[i] = dst;
    pfns.push(gpuEntry(dst, args.src[i]!));
  }
  yield* migrate_vma_pages(args);
  if (knob('nouveau.pfns_map') === 'migrated')
    pfns = pfns.map((pfn, i) => (args.src[i]! & MIGRATE_PFN.MIGRATE ? pfn : 0));
  yield* nouveau_pfns_map(dmem.svmm, args.start, pfns);
  yield* migrate_vma_finalize(args);
}

/**
 * DRM_NOUVEAU_SVM_BIND: pages of RAM, and where nothing is, go to the GPU's memory.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_dmem.c nouveau_dmem_migrate_vma: adapted (one batch)
 */
export function* nouveau_dmem_migrate_vma(
  dmem: NouveauDmem,
  vma: Vma,
  start: number,
  end: number,
): Path<number> {
  const args: MigrateVma = {
    vma,
    src: [],
    dst: [],
    cpages: 0,
    npages: 0,
    start,
    end,
    pgmap_owner: ownerOf(dmem.svmm.device),
    flags: MIGRATE_VMA_SELECT.SYSTEM,
  };
  const ret = yield* migrate_vma_setup(args);
  if (ret !== 0) return ret;
  if (args.cpages > 0) yield* nouveau_dmem_migrate_chunk(dmem, args);
  return 0;
}
