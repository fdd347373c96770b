// SPDX-License-Identifier: GPL-2.0-only
/**
 * lib/test_hmm.c: the test driver. Its structures, its notifier, and how it loads and stores through the mirror; the
 * other commands, device memory and the operations of the file are in test_hmm-*.ts.
 */
import type { Path } from '../../core/path.js';
import { claim, read } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { type Device, deviceErase, deviceLoad, deviceMap, deviceStore } from '../../machine/machine.js';
import { PTE } from '../../machine/pte.js';
import { lockMappedFolio, ownerOf } from '../drivers/gpu/drm/nouveau/nouveau_svm.js';
import { EBUSY, EFAULT, ENOENT } from '../include/errno.js';
import type { Mm } from '../include/mm_types.js';
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
import { mk_pte, PAGE_SIZE, pte_page } from '../include/pgtable.js';
import { mmget_not_zero } from '../include/sched/mm.js';
import { mmput } from '../kernel/fork.js';
import { defineMutex, mutex_lock, mutex_trylock, mutex_unlock } from '../kernel/locking/mutex.js';
import { type Kernel, knob } from '../kernel.js';
import { HMM_PFN, hmm_pfn_to_page, type HmmRange } from '../include/hmm.js';
import { hmm_range_fault } from '../mm/hmm.js';
import { mmu_interval_read_begin } from '../mm/mmu_notifier.js';
import { BACKING_PAGE, type DmirrorDevice } from './test_hmm-devmem.js';
import type { HmmDmirrorCmd } from './test_hmm_uapi.js';

/** Pages that one round of a command takes: what its arrays on the stack have room for. */
export const BATCH = 64;

/**
 * An open device file of the test driver.
 * @kernel 6.12 lib/test_hmm.c struct dmirror: adapted (the xarray is the page table of a device that has atomics of its own)
 */
export class Dmirror {
  readonly mutex: Cell;
  /** Over the whole mm; set-up gives it. */
  notifier: MmuIntervalNotifier | undefined;
  /** The one that dmirror_range_snapshot() has on its stack; set-up gives it to who takes snapshots. */
  snapshot: MmuIntervalNotifier | undefined;
  /** Index in `mdevice.mirrors`. */
  readonly number: number;

  constructor(
    kernel: Kernel,
    /** Its `pt`. */
    readonly device: Device,
    /** notifier.mm */
    readonly mm: Mm,
    /** Undefined where the device has no memory. */
    readonly mdevice?: DmirrorDevice,
  ) {
    this.number = mdevice === undefined ? 0 : mdevice.mirrors.push(this) - 1;
    this.mutex = defineMutex(kernel.system, `${device.name}.dmirror.mutex`, 'dmirror.mutex');
  }

  /** Whom events that this device causes name: mdevice. */
  get owner(): number {
    return this.mdevice?.owner ?? ownerOf(this.device);
  }
}

/** A reference on the mirrored mm, which is that of another process maybe; it is there where nobody counts them. @context any */
export function* mirrorGet({ mm }: Dmirror): Path<boolean> {
  return mm.mm_users === undefined || (yield* mmget_not_zero(mm));
}
/** The end of {@link mirrorGet}. @context may sleep */
export function* mirrorPut({ mm }: Dmirror): Path {
  if (mm.mm_users !== undefined) yield* mmput(mm);
}

/**
 * Drops the mirror's entries of [start, end), and that of the page after it, since the end of xa_for_each_range() is
 * still inside.
 * @context dmirror->mutex held
 * @kernel 6.12 lib/test_hmm.c dmirror_do_update: adapted (one step; waits for device atomics, which the kernel's has not)
 */
function* dmirror_do_update(dmirror: Dmirror, start: number, end: number): Path {
  yield* deviceErase(dmirror.device, start, Math.min(end + 1, dmirror.mm.space.pages));
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
    const own = range.owner === dmirror.owner;
    if (range.event === MMU_NOTIFY.MIGRATE && own && knob('test_hmm.migrate_event') === 'ignored')
      return true;
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
    let page = hmm_pfn_to_page(hmm_pfn);
    if (knob('test_hmm.backing_page') === 'entered') page = yield* BACKING_PAGE(page);
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
      dev_private_owner: dmirror.owner,
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

/** Serves a fault of the device. Returns 0 or a negative error number. @context may sleep @kernel 6.12 lib/test_hmm.c dmirror_fault: faithful */
export function* dmirror_fault(dmirror: Dmirror, start: number, end: number, write: boolean): Path<number> {
  const default_flags = HMM_PFN.REQ_FAULT | (write ? HMM_PFN.REQ_WRITE : 0);
  let ret = 0;
  if (!(yield* mirrorGet(dmirror))) return -EFAULT;
  for (let addr = start; addr < end && ret === 0; addr += BATCH)
    ret = yield* dmirror_range_fault(dmirror, addr, Math.min(addr + BATCH, end), default_flags);
  yield* mirrorPut(dmirror);
  return ret;
}

/** What a command copies in or out. @kernel 6.12 lib/test_hmm.c struct dmirror_bounce: faithful */
interface DmirrorBounce {
  readonly ptr: number[];
  readonly addr: number;
  cpages: number;
}

/** @kernel 6.12 lib/test_hmm.c dmirror_bounce_init: adapted (memory does not run out) */
function dmirror_bounce_init(addr: number, npages: number): DmirrorBounce {
  return { ptr: Array.from({ length: npages }, () => 0), addr, cpages: 0 };
}

/** To the buffer of the caller, whose page is there. */
function copy_to_user(to: number[], { ptr }: DmirrorBounce): void {
  for (let i = 0; i < ptr.length; i++) to[i] = ptr[i]!;
}

/** Knob test_hmm.backing_page: memcpy_from_page() of what the mirror has. @context dmirror->mutex held */
function* assertKernelMapping({ device }: Dmirror, pfn: number): Path {
  if (knob('test_hmm.backing_page') === 'entered') return;
  const entry = yield* read(device.pte[pfn]!);
  const backed = entry === 0 || pte_page(entry).frame.device !== 'private';
  yield* claim(
    backed,
    'BUG-ON',
    'the driver reaches into a device-private page, which has no kernel mapping',
  );
}

/**
 * Loads [start, end) through the mirror; -ENOENT at the first page that it has not.
 * @context dmirror->mutex held
 * @kernel 6.12 lib/test_hmm.c dmirror_do_read: faithful
 */
function* dmirror_do_read(dmirror: Dmirror, start: number, end: number, bounce: DmirrorBounce): Path<number> {
  for (let pfn = start; pfn < end; pfn++) {
    yield* assertKernelMapping(dmirror, pfn);
    const value = yield* deviceLoad(dmirror.device, pfn);
    if (value === undefined) return -ENOENT;
    bounce.ptr[pfn - bounce.addr] = value;
    bounce.cpages++;
  }
  return 0;
}

/** Loads what a command has mapped, for its caller to verify. Returns 0 or -ENOENT. @context may sleep */
export function* readBack(dmirror: Dmirror, cmd: HmmDmirrorCmd): Path<number> {
  const bounce = dmirror_bounce_init(cmd.addr, cmd.npages);
  yield* mutex_lock(dmirror.mutex);
  const ret = yield* dmirror_do_read(dmirror, cmd.addr, cmd.addr + cmd.npages, bounce);
  yield* mutex_unlock(dmirror.mutex);
  if (ret === 0) copy_to_user(cmd.ptr, bounce);
  cmd.cpages = bounce.cpages;
  return ret;
}

/**
 * HMM_DMIRROR_READ: loads pages through the mirror. Returns 0 or a negative error number.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_read: faithful
 */
export function* dmirror_read(dmirror: Dmirror, cmd: HmmDmirrorCmd): Path<number> {
  const end = cmd.addr + cmd.npages;
  const bounce = dmirror_bounce_init(cmd.addr, cmd.npages);
  let start = cmd.addr;
  let ret = 0;
  for (;;) {
    yield* mutex_lock(dmirror.mutex);
    ret = yield* dmirror_do_read(dmirror, start, end, bounce);
    yield* mutex_unlock(dmirror.mutex);
    if (ret !== -ENOENT) break;
    start = cmd.addr + bounce.cpages;
    ret = yield* dmirror_fault(dmirror, start, end, false);
    if (ret !== 0) break;
    cmd.faults++;
  }
  if (ret === 0) copy_to_user(cmd.ptr, bounce);
  cmd.cpages = bounce.cpages;
  return ret;
}

/**
 * Stores [start, end) through the mirror; -ENOENT at the first page that it has not for stores: an entry for atomics is
 * none.
 * @context dmirror->mutex held
 * @kernel 6.12 lib/test_hmm.c dmirror_do_write: faithful
 */
function* dmirror_do_write(
  dmirror: Dmirror,
  start: number,
  end: number,
  bounce: DmirrorBounce,
): Path<number> {
  for (let pfn = start; pfn < end; pfn++) {
    const entry = yield* read(dmirror.device.pte[pfn]!);
    if (entry & PTE.ATOMIC) return -ENOENT;
    yield* assertKernelMapping(dmirror, pfn);
    const stored = yield* deviceStore(dmirror.device, pfn, bounce.ptr[pfn - bounce.addr]!);
    if (stored === undefined) return -ENOENT;
    bounce.cpages++;
  }
  return 0;
}

/**
 * HMM_DMIRROR_WRITE: stores pages through the mirror. Returns 0 or a negative error number.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_write: faithful
 */
export function* dmirror_write(dmirror: Dmirror, cmd: HmmDmirrorCmd): Path<number> {
  const end = cmd.addr + cmd.npages;
  const bounce: DmirrorBounce = { ptr: cmd.ptr, addr: cmd.addr, cpages: 0 };
  let start = cmd.addr;
  let ret = 0;
  for (;;) {
    yield* mutex_lock(dmirror.mutex);
    ret = yield* dmirror_do_write(dmirror, start, end, bounce);
    yield* mutex_unlock(dmirror.mutex);
    if (ret !== -ENOENT) break;
    start = cmd.addr + bounce.cpages;
    ret = yield* dmirror_fault(dmirror, start, end, true);
    if (ret !== 0) break;
    cmd.faults++;
  }
  cmd.cpages = bounce.cpages;
  return ret;
}
