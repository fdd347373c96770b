// SPDX-License-Identifier: GPL-2.0-only
/** lib/test_hmm.c: pages for the mirror alone. */
import type { Path } from '../../core/path.js';
import { read } from '../../core/primitives.js';
import { deviceMap } from '../../machine/machine.js';
import { PTE } from '../../machine/pte.js';
import type { Timeout } from '../drivers/gpu/drm/nouveau/nouveau_svm.js';
import { EAGAIN, EBUSY, EINVAL, EPERM } from '../include/errno.js';
import type { Page } from '../include/mm_types.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import { mmu_interval_read_retry } from '../include/mmu_notifier.js';
import { page_folio } from '../include/page_ref.js';
import { mk_pte } from '../include/pgtable.js';
import { mutex_lock, mutex_unlock } from '../kernel/locking/mutex.js';
import { knob } from '../kernel.js';
import { mmu_interval_read_begin } from '../mm/mmu_notifier.js';
import { make_device_exclusive_range } from '../mm/rmap-exclusive.js';
import { unlockAndPut } from '../mm/swap.js';
import { BATCH, type Dmirror, mirrorGet, mirrorPut, readBack } from './test_hmm.js';
import type { HmmDmirrorCmd } from './test_hmm_uapi.js';

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
 * HMM_DMIRROR_EXCLUSIVE: makes pages exclusive for the mirror, and loads them through it. Returns 0 or a negative error
 * number.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_exclusive: adapted (mmap_lock is taken anew for each batch)
 */
export function* dmirror_exclusive(dmirror: Dmirror, cmd: HmmDmirrorCmd): Path<number> {
  const { addr, npages } = cmd;
  if (!(yield* mirrorGet(dmirror))) return -EINVAL;
  const err = yield* exclusiveRange(dmirror, addr, npages);
  yield* mirrorPut(dmirror);
  if (err !== 0) return err;
  return yield* readBack(dmirror, cmd);
}

/**
 * What dmirror_exclusive() does to page tables, and all that a fault of an atomic asks for; in 6.15 one page at a time, so
 * that no two folios are locked at once. Returns 0 or a negative error number. With knob test_hmm.read_retry: -EBUSY after
 * `timeout` more rounds.
 * @context may sleep; the caller has mm_users
 */
export function* exclusiveRange(
  dmirror: Dmirror,
  addr: number,
  npages: number,
  timeout: Timeout = 'never',
): Path<number> {
  const batch = knob('make.walk') === 'folio-walk' ? 1 : BATCH;
  const end = addr + npages;
  for (let at = addr; at < end; at += batch) {
    const err = yield* exclusiveBatch(dmirror, at, Math.min(batch, end - at), timeout);
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
  const { mm } = dmirror;
  const owner = knob('test_hmm.owner_filter') === 'on' ? dmirror.owner : 0;
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
