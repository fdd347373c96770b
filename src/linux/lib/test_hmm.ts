// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { read } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { type Device, deviceErase, deviceLoad, deviceMap, deviceStore } from '../../machine/machine.js';
import { PTE } from '../../machine/pte.js';
import { lockMappedFolio, ownerOf, type Timeout } from '../drivers/gpu/drm/nouveau/nouveau_svm.js';
import { EAGAIN, EBUSY, EFAULT, EPERM } from '../include/errno.js';
import type { Mm, Page } from '../include/mm_types.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import {
  MMU_NOTIFY,
  mmu_interval_read_retry,
  mmu_interval_set_seq,
  mmu_notifier_range_blockable,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  type MmuNotifierRange,
} from '../include/mmu_notifier.js';
import { page_folio } from '../include/page_ref.js';
import { mk_pte, PAGE_SIZE } from '../include/pgtable.js';
import { defineMutex, mutex_lock, mutex_trylock, mutex_unlock } from '../kernel/locking/mutex.js';
import { type Kernel, knob } from '../kernel.js';
import { HMM_PFN, hmm_pfn_to_page, hmm_range_fault, type HmmRange } from '../mm/hmm.js';
import { mmu_interval_read_begin } from '../mm/mmu_notifier.js';
import { mmu_interval_notifier_insert, mmu_interval_notifier_remove } from '../mm/mmu_notifier-interval.js';
import { make_device_exclusive_range } from '../mm/rmap-exclusive.js';
import { unlockAndPut } from '../mm/swap.js';

/**
 * An open device file of the test driver.
 * @kernel 6.12 lib/test_hmm.c struct dmirror: adapted (the xarray is the page table of a device that has atomics of its own)
 */
export class Dmirror {
  readonly mutex: Cell;
  /** Over the whole mm; set-up gives it. */
  notifier: MmuIntervalNotifier | undefined;

  constructor(
    kernel: Kernel,
    /** mdevice, with `pt`. */
    readonly device: Device,
    readonly mm: Mm,
  ) {
    this.mutex = defineMutex(kernel.system, `${device.name}.dmirror.mutex`, 'dmirror.mutex');
  }
}

/** Drops the mirror's entries of [start, end). @context dmirror->mutex held @kernel 6.12 lib/test_hmm.c dmirror_do_update: adapted (one step; waits for device atomics, which the kernel's has not) */
function* dmirror_do_update(dmirror: Dmirror, start: number, end: number): Path {
  yield* deviceErase(dmirror.device, start, end);
}

/** The subscription of a mirror. */
export class DmirrorMinOps implements MmuIntervalNotifierOps {
  constructor(private readonly dmirror: Dmirror) {}

  /**
   * @context may sleep if the range is blockable
   * @kernel 6.12 lib/test_hmm.c dmirror_interval_invalidate: faithful
   */
  *invalidate(mni: MmuIntervalNotifier, range: MmuNotifierRange, cur_seq: number): Path<boolean> {
    const { dmirror } = this;
    const own = range.owner === ownerOf(dmirror.device);
    if (range.event === MMU_NOTIFY.MIGRATE && own) return true;
    if (range.event === MMU_NOTIFY.EXCLUSIVE && own && knob('test_hmm.owner_filter') === 'on') return true;
    if (mmu_notifier_range_blockable(range)) yield* mutex_lock(dmirror.mutex);
    else if (!(yield* mutex_trylock(dmirror.mutex))) return false;
    if (knob('test_hmm.callback_lock') === 'folio') yield* lockMappedFolio(dmirror.device, range.start);
    yield* mmu_interval_set_seq(mni, cur_seq);
    yield* dmirror_do_update(dmirror, range.start, range.end);
    yield* mutex_unlock(dmirror.mutex);
    return true;
  }
}

/** The process opens the device file: from then on the whole mm is mirrored. @context may sleep; the caller has mm_users @kernel 6.12 lib/test_hmm.c dmirror_fops_open: adapted (the record is there) */
export function* dmirror_fops_open({ notifier, mm }: Dmirror): Path<number> {
  return yield* mmu_interval_notifier_insert(notifier!, mm, 0, mm.space.pages);
}

/** The last use of the device file ends. @context may sleep @kernel 6.12 lib/test_hmm.c dmirror_fops_release: adapted (no device memory) */
export function* dmirror_fops_release(dmirror: Dmirror): Path {
  yield* mmu_interval_notifier_remove(dmirror.notifier!);
  yield* deviceErase(dmirror.device, 0, dmirror.mm.space.pages); // xa_destroy()
}

/**
 * Enters what hmm_range_fault() has found.
 * @context dmirror->mutex held, and no invalidation has come between
 * @kernel 6.12 lib/test_hmm.c dmirror_do_fault: adapted (memory does not run out)
 */
function* dmirror_do_fault(dmirror: Dmirror, range: HmmRange): Path<number> {
  for (let pfn = range.start; pfn < range.end; pfn++) {
    const hmm_pfn = range.hmm_pfns[pfn - range.start]!;
    const writable = (hmm_pfn & HMM_PFN.WRITE) !== 0;
    if (!writable && range.default_flags & HMM_PFN.REQ_WRITE) return -EFAULT;
    const page = hmm_pfn_to_page(hmm_pfn);
    yield* deviceMap(dmirror.device, pfn, mk_pte(page, PTE.PRESENT | PTE.USER | (writable ? PTE.RW : 0)));
  }
  return 0;
}

/** @context may sleep @kernel 6.12 lib/test_hmm.c dmirror_range_fault: adapted (time does not run out) */
function* dmirror_range_fault(
  dmirror: Dmirror,
  start: number,
  end: number,
  default_flags: number,
): Path<number> {
  const { mm } = dmirror;
  const notifier = dmirror.notifier!;
  for (;;) {
    const notifier_seq = yield* mmu_interval_read_begin(notifier);
    const hmm_pfns = Array.from({ length: (end - start) / PAGE_SIZE }, () => 0);
    const range: HmmRange = {
      notifier,
      notifier_seq,
      start,
      end,
      hmm_pfns,
      default_flags,
      pfn_flags_mask: 0,
    };
    yield* mmap_read_lock(mm);
    const ret = yield* hmm_range_fault(range);
    yield* mmap_read_unlock(mm);
    if (ret === -EBUSY) continue;
    if (ret !== 0) return ret;
    yield* mutex_lock(dmirror.mutex);
    if (yield* mmu_interval_read_retry(notifier, notifier_seq)) {
      yield* mutex_unlock(dmirror.mutex);
      continue;
    }
    const err = yield* dmirror_do_fault(dmirror, range);
    yield* mutex_unlock(dmirror.mutex);
    return err;
  }
}

/** Serves a fault of the device. Returns 0 or a negative error number. @context may sleep; the caller has mm_users @kernel 6.12 lib/test_hmm.c dmirror_fault: adapted (one batch) */
export function* dmirror_fault(dmirror: Dmirror, start: number, end: number, write: boolean): Path<number> {
  return yield* dmirror_range_fault(dmirror, start, end, HMM_PFN.REQ_FAULT | (write ? HMM_PFN.REQ_WRITE : 0));
}

/**
 * HMM_DMIRROR_READ of one page, through the mirror. Returns its contents, or a negative error number.
 * @context may sleep; the caller has mm_users
 * @kernel 6.12 lib/test_hmm.c dmirror_read, dmirror_do_read: adapted (one page; what is read is returned)
 */
export function* dmirror_read(dmirror: Dmirror, addr: number): Path<number> {
  for (;;) {
    yield* mutex_lock(dmirror.mutex);
    const value = yield* deviceLoad(dmirror.device, addr);
    yield* mutex_unlock(dmirror.mutex);
    if (value !== undefined) return value;
    const ret = yield* dmirror_fault(dmirror, addr, addr + PAGE_SIZE, false);
    if (ret !== 0) return ret;
  }
}

/**
 * HMM_DMIRROR_WRITE of one page, through the mirror. Returns 0 or a negative error number.
 * @context may sleep; the caller has mm_users
 * @kernel 6.12 lib/test_hmm.c dmirror_write, dmirror_do_write: adapted (one page; exclusive entries allow stores)
 */
export function* dmirror_write(dmirror: Dmirror, addr: number, value: number): Path<number> {
  for (;;) {
    yield* mutex_lock(dmirror.mutex);
    const stored = yield* deviceStore(dmirror.device, addr, value);
    yield* mutex_unlock(dmirror.mutex);
    if (stored !== undefined) return 0;
    const ret = yield* dmirror_fault(dmirror, addr, addr + PAGE_SIZE, true);
    if (ret !== 0) return ret;
  }
}

/** Whether the mirror has an exclusive entry in [start, end): 0 if not, else -EPERM. @context dmirror->mutex held @kernel 6.12 lib/test_hmm.c dmirror_check_atomic: faithful */
export function* dmirror_check_atomic(dmirror: Dmirror, start: number, end: number): Path<number> {
  for (let pfn = start; pfn < end; pfn++) {
    const entry = yield* read(dmirror.device.pte[pfn]!);
    if (entry & PTE.ATOMIC) return -EPERM;
  }
  return 0;
}

/**
 * Enters the pages that were made exclusive. Returns how many, or with knob test_hmm.read_retry -EAGAIN.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_atomic_map: adapted (entries allow stores as well as atomics; memory does not run out)
 */
function* dmirror_atomic_map(
  start: number,
  end: number,
  pages: readonly (Page | undefined)[],
  dmirror: Dmirror,
  seq: number,
): Path<number> {
  let mapped = 0;
  yield* mutex_lock(dmirror.mutex);
  if (knob('test_hmm.read_retry') === 'locked' && (yield* mmu_interval_read_retry(dmirror.notifier!, seq))) {
    yield* mutex_unlock(dmirror.mutex);
    return -EAGAIN;
  }
  for (let i = 0; i < end - start; i++) {
    const page = pages[i];
    if (page === undefined) continue;
    yield* deviceMap(dmirror.device, start + i, mk_pte(page, PTE.PRESENT | PTE.USER | PTE.RW | PTE.ATOMIC));
    mapped++;
  }
  yield* mutex_unlock(dmirror.mutex);
  return mapped;
}

/**
 * HMM_DMIRROR_EXCLUSIVE: makes [addr, addr + npages) exclusive for the mirror; in 6.15 one page at a time, so that no two
 * folios are locked at once. Returns 0 or a negative error number. With knob test_hmm.read_retry: -EBUSY after `timeout`
 * more rounds.
 * @context may sleep; the caller has mm_users
 * @kernel 6.12 lib/test_hmm.c dmirror_exclusive: adapted (mmap_lock is taken anew for each batch; the pages are not read back)
 */
export function* dmirror_exclusive(
  dmirror: Dmirror,
  addr: number,
  npages: number,
  timeout: Timeout = 'never',
): Path<number> {
  const batch = knob('make.walk') === 'folio-walk' ? 1 : npages;
  for (let at = addr; at < addr + npages; at += batch) {
    const err = yield* exclusiveBatch(dmirror, at, batch, timeout);
    if (err !== 0) return err;
  }
  return 0;
}

/**
 * The batch of one call of make_device_exclusive_range(). mmap_lock is held until the entries are made, which keeps
 * munmap() and mprotect() out, and the folio locks CPU faults; what needs neither may come between.
 * @context may sleep
 */
function* exclusiveBatch(dmirror: Dmirror, addr: number, npages: number, timeout: Timeout): Path<number> {
  const { mm, device } = dmirror;
  const owner = knob('test_hmm.owner_filter') === 'on' ? ownerOf(device) : 0;
  const retries = knob('test_hmm.read_retry') === 'locked';
  let rounds = 0;
  for (;;) {
    const seq = retries ? yield* mmu_interval_read_begin(dmirror.notifier!) : 0;
    yield* mmap_read_lock(mm);
    const { ret, pages } = yield* make_device_exclusive_range(mm, addr, addr + npages, owner);
    const toMake = knob('test_hmm.mmap_lock') === 'to-make';
    if (toMake) yield* mmap_read_unlock(mm);
    if (knob('test_hmm.hold_folio') === 'off') yield* releasePages(pages);
    // A count of GUP's: pages that make has refused are among them.
    const mapped = ret === npages ? yield* dmirror_atomic_map(addr, addr + npages, pages, dmirror, seq) : 0;
    if (knob('test_hmm.hold_folio') === 'on') yield* releasePages(pages);
    if (!toMake) yield* mmap_read_unlock(mm);
    if (mapped === -EAGAIN && rounds !== timeout) {
      if (typeof timeout === 'number') rounds++;
      continue;
    }
    return mapped < npages ? -EBUSY : 0;
  }
}

/** Gives back what make_device_exclusive_range() returned. @context any */
function* releasePages(pages: readonly (Page | undefined)[]): Path {
  for (const page of pages) {
    if (page === undefined) continue;
    const folio = yield* page_folio(page);
    yield* unlockAndPut(folio);
  }
}
