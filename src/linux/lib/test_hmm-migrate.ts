// SPDX-License-Identifier: GPL-2.0-only
/** lib/test_hmm.c: pages go to device memory and come back. */
import type { Path } from '../../core/path.js';
import { claim, load, store } from '../../core/primitives.js';
import { deviceErase, deviceMap } from '../../machine/machine.js';
import { PTE } from '../../machine/pte.js';
import { EINVAL } from '../include/errno.js';
import { is_zone_device_page, pgmapOf } from '../include/memremap.js';
import {
  MIGRATE_PFN,
  migrate_pfn,
  migrate_pfn_to_page,
  MIGRATE_VMA_SELECT,
  type MigrateVma,
} from '../include/migrate.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import { type Page, VM, type Vma } from '../include/mm_types.js';
import { lockNewFolio } from '../include/pagemap.js';
import { mk_pte } from '../include/pgtable.js';
import { mutex_lock, mutex_unlock } from '../kernel/locking/mutex.js';
import { current } from '../kernel.js';
import { clear_user_highpage, copy_user_page, VM_FAULT, type VmFault } from '../mm/memory-fault.js';
import { migrate_vma_finalize, migrate_vma_pages, migrate_vma_setup } from '../mm/migrate_device.js';
import { find_vma } from '../mm/mmap.js';
import { alloc_page } from '../mm/page_alloc.js';
import { BATCH, type Dmirror, mirrorGet, mirrorPut, readBack } from './test_hmm.js';
import { BACKING_PAGE, dmirror_devmem_alloc_page } from './test_hmm-devmem.js';
import { HMM_DMIRROR_MEMORY_DEVICE, type HmmDmirrorCmd } from './test_hmm_uapi.js';

/** @kernel 6.12 lib/test_hmm.c dmirror_select_device: faithful */
const dmirror_select_device = ({ mdevice }: Dmirror): number =>
  mdevice!.zone_device_type === HMM_DMIRROR_MEMORY_DEVICE.PRIVATE
    ? MIGRATE_VMA_SELECT.DEVICE_PRIVATE
    : MIGRATE_VMA_SELECT.DEVICE_COHERENT;

/**
 * Copies the pages that were collected to device memory; where there was none, a zeroed one is made.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_migrate_alloc_and_copy: faithful
 */
function* dmirror_migrate_alloc_and_copy(args: MigrateVma, dmirror: Dmirror): Path {
  const mdevice = dmirror.mdevice!;
  const vma = args.vma!;
  for (let i = 0; i < args.npages; i++) {
    const src = args.src[i]!;
    if (!(src & MIGRATE_PFN.MIGRATE)) continue;
    const spage = migrate_pfn_to_page(src);
    const already = spage !== undefined && (yield* is_zone_device_page(spage));
    yield* claim(!already, 'WARN-ON', 'a page is in device memory already (dmirror_migrate_alloc_and_copy)');
    const dpage = yield* dmirror_devmem_alloc_page(mdevice);
    if (dpage === undefined) continue;
    const rpage = yield* BACKING_PAGE(dpage);
    if (spage === undefined) yield* clear_user_highpage(rpage);
    else yield* copy_user_page(rpage, spage);
    yield* store(dpage.zone_device_mirror!, dmirror.number + 1); // rpage->zone_device_data
    args.dst[i] = migrate_pfn(dpage.pfn);
    const made = spage === undefined && ((yield* load(vma.vm_flags)) & VM.WRITE) !== 0;
    if (src & MIGRATE_PFN.WRITE || made) args.dst[i]! |= MIGRATE_PFN.WRITE;
  }
}

/**
 * Enters the pages of device memory in the mirror.
 * @context all pages locked; may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_migrate_finalize_and_map: adapted (memory does not run out)
 */
function* dmirror_migrate_finalize_and_map(args: MigrateVma, dmirror: Dmirror): Path {
  yield* mutex_lock(dmirror.mutex);
  for (let i = 0; i < args.npages; i++) {
    const dst = args.dst[i]!;
    if (!(args.src[i]! & MIGRATE_PFN.MIGRATE)) continue;
    const dpage = migrate_pfn_to_page(dst);
    if (dpage === undefined) continue;
    const page = yield* BACKING_PAGE(dpage);
    const writable = dst & MIGRATE_PFN.WRITE ? PTE.RW : 0;
    const at = args.start + i;
    yield* deviceErase(dmirror.device, at, at + 1); // what xa_store() replaces
    yield* deviceMap(dmirror.device, at, mk_pte(page, PTE.PRESENT | PTE.USER | writable));
  }
  yield* mutex_unlock(dmirror.mutex);
}

/**
 * Copies the pages that were collected to RAM, and takes them off the mirror that they were brought to device memory by.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_devmem_fault_alloc_and_copy: adapted (says whether there was memory for all)
 */
function* dmirror_devmem_fault_alloc_and_copy(args: MigrateVma, dmirror: Dmirror): Path<boolean> {
  let all = true;
  for (let i = 0; i < args.npages; i++) {
    const src = migrate_pfn_to_page(args.src[i]!);
    if (src === undefined || !(args.src[i]! & MIGRATE_PFN.MIGRATE)) continue;
    const spage = yield* BACKING_PAGE(src);
    const dpage = yield* alloc_page();
    if (dpage === undefined) {
      all = false;
      continue;
    }
    yield* lockNewFolio(dpage);
    yield* deviceErase(dmirror.device, args.start + i, args.start + i + 1);
    yield* copy_user_page(dpage, spage);
    args.dst[i] = migrate_pfn(dpage.pfn) | (args.src[i]! & MIGRATE_PFN.WRITE);
  }
  return all;
}

/** @kernel 6.12 lib/test_hmm.c dmirror_successful_migrated_pages: faithful */
function dmirror_successful_migrated_pages({ src, npages }: MigrateVma): number {
  const moved = MIGRATE_PFN.VALID | MIGRATE_PFN.MIGRATE;
  return src.slice(0, npages).filter((entry) => (entry & moved) === moved).length;
}

/** The next part of a range that one migration takes: in one VMA, which can be read. undefined: there is none. @context mmap_lock held for read */
function* nextPart(dmirror: Dmirror, addr: number, end: number, flags: number): Path<MigrateVma | undefined> {
  const vma: Vma | undefined = yield* find_vma(dmirror.mm, addr); // vma_lookup()
  if (vma === undefined || !((yield* load(vma.vm_flags)) & VM.READ)) return undefined;
  const vm_end = yield* load(vma.vm_end);
  return {
    vma,
    src: [],
    dst: [],
    cpages: 0,
    npages: 0,
    start: addr,
    end: Math.min(end, addr + BATCH, vm_end),
    pgmap_owner: dmirror.owner,
    flags,
  };
}

/**
 * HMM_DMIRROR_MIGRATE_TO_SYS: brings pages back from the device's memory. Returns 0 or a negative error number.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_migrate_to_system: faithful
 */
export function* dmirror_migrate_to_system(dmirror: Dmirror, cmd: HmmDmirrorCmd): Path<number> {
  const { mm } = dmirror;
  const end = cmd.addr + cmd.npages;
  if (!(yield* mirrorGet(dmirror))) return -EINVAL;
  let ret = 0;
  cmd.cpages = 0;
  yield* mmap_read_lock(mm);
  let addr = cmd.addr;
  while (addr < end) {
    const args = yield* nextPart(dmirror, addr, end, dmirror_select_device(dmirror));
    if (args === undefined) {
      ret = -EINVAL;
      break;
    }
    const next = args.end;
    ret = yield* migrate_vma_setup(args);
    if (ret !== 0) break;
    yield* dmirror_devmem_fault_alloc_and_copy(args, dmirror);
    yield* migrate_vma_pages(args);
    cmd.cpages += dmirror_successful_migrated_pages(args);
    yield* migrate_vma_finalize(args);
    addr = next;
  }
  yield* mmap_read_unlock(mm);
  yield* mirrorPut(dmirror);
  return ret;
}

/**
 * HMM_DMIRROR_MIGRATE_TO_DEV: brings pages to the device's memory, and loads them through the mirror. Returns 0 or a
 * negative error number; -ENOENT if the mirror has not all of them.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_migrate_to_device: faithful
 */
export function* dmirror_migrate_to_device(dmirror: Dmirror, cmd: HmmDmirrorCmd): Path<number> {
  const { mm } = dmirror;
  const end = cmd.addr + cmd.npages;
  if (!(yield* mirrorGet(dmirror))) return -EINVAL;
  let ret = 0;
  yield* mmap_read_lock(mm);
  let addr = cmd.addr;
  while (addr < end) {
    const args = yield* nextPart(dmirror, addr, end, MIGRATE_VMA_SELECT.SYSTEM);
    if (args === undefined) {
      ret = -EINVAL;
      break;
    }
    const next = args.end;
    ret = yield* migrate_vma_setup(args);
    if (ret !== 0) break;
    yield* dmirror_migrate_alloc_and_copy(args, dmirror);
    yield* migrate_vma_pages(args);
    yield* dmirror_migrate_finalize_and_map(args, dmirror);
    yield* migrate_vma_finalize(args);
    addr = next;
  }
  yield* mmap_read_unlock(mm);
  yield* mirrorPut(dmirror);
  if (ret !== 0) return ret;
  return yield* readBack(dmirror, cmd);
}

/** The mirror that has brought a page to device memory: zone_device_data of the RAM that stands for it. */
function* mirrorOf(page: Page): Path<Dmirror> {
  const number = yield* load(page.zone_device_mirror!);
  const { owner } = pgmapOf(page)!;
  const mdevice = current.kernel.dmirror_devices.find((device) => device.owner === owner)!;
  return mdevice.mirrors[number - 1]!;
}

/**
 * A CPU touched a page in device memory that it does not reach: brings it back.
 * @context vmf->page referenced (since 6.15 locked as well), mmap_lock held for read; may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_devmem_fault: adapted (VM_FAULT_OOM if there is no RAM for it)
 */
export function* dmirror_devmem_fault(vmf: VmFault): Path<number> {
  const page = vmf.page!;
  const dmirror = yield* mirrorOf(page);
  const args: MigrateVma = {
    vma: vmf.vma,
    src: [],
    dst: [],
    cpages: 0,
    npages: 0,
    start: vmf.address,
    end: vmf.address + 1,
    pgmap_owner: dmirror.owner,
    flags: dmirror_select_device(dmirror),
    fault_page: page,
  };
  if ((yield* migrate_vma_setup(args)) !== 0) return VM_FAULT.SIGBUS;
  const all = yield* dmirror_devmem_fault_alloc_and_copy(args, dmirror);
  yield* migrate_vma_pages(args);
  yield* migrate_vma_finalize(args);
  return all ? VM_FAULT.NONE : VM_FAULT.OOM;
}
