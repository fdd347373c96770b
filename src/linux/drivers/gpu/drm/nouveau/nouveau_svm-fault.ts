// SPDX-License-Identifier: GPL-2.0-only
/** nouveau_svm.c: faults of the GPU that are no atomics, and what tells the two kinds apart; entries for migrated pages. */
import type { Path } from '../../../../../core/path.js';
import { PTE } from '../../../../../machine/pte.js';
import { EBUSY } from '../../../../include/errno.js';
import { mmap_read_lock, mmap_read_unlock } from '../../../../include/mmap_lock.js';
import { mmu_interval_read_retry, type MmuIntervalNotifier } from '../../../../include/mmu_notifier.js';
import { mk_pte, PAGE_SIZE } from '../../../../include/pgtable.js';
import { mmget_not_zero } from '../../../../include/sched/mm.js';
import { mmput } from '../../../../kernel/fork.js';
import { mutex_lock, mutex_unlock } from '../../../../kernel/locking/mutex.js';
import { knob } from '../../../../kernel.js';
import { HMM_PFN, hmm_pfn_to_page } from '../../../../include/hmm.js';
import { hmm_range_fault } from '../../../../mm/hmm.js';
import { mmu_interval_read_begin } from '../../../../mm/mmu_notifier.js';
import {
  mmu_interval_notifier_insert,
  mmu_interval_notifier_remove,
} from '../../../../mm/mmu_notifier-interval.js';
import { nouveau_atomic_range_fault, type NouveauSvmm, ownerOf } from './nouveau_svm.js';
import { nvkm_vmm_pfn_map, preallocate } from './nvkm/subdev/mmu/vmm.js';

/** What the GPU gets for what hmm_range_fault() has found; 0: nothing is there. @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_svm.c nouveau_hmm_convert_pfn: adapted (small pages; where the page is, is asked when the GPU reaches for it) */
function nouveau_hmm_convert_pfn(hmm_pfn: number): number {
  if (!(hmm_pfn & HMM_PFN.VALID)) return 0;
  const writable = hmm_pfn & HMM_PFN.WRITE ? PTE.RW : 0;
  return mk_pte(hmm_pfn_to_page(hmm_pfn), PTE.PRESENT | PTE.USER | writable);
}

/**
 * Serves a fault of a GPU access at `start` that is no atomic. The subscription is there for that long only: what the GPU
 * gets is taken away by the classic one. Returns 0 or a negative error number, after which the fault is cancelled.
 * @context may sleep; no locks held; mm_users held
 * @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_svm.c nouveau_range_fault: adapted (one page; time does not run out)
 */
export function* nouveau_range_fault(
  svmm: NouveauSvmm,
  start: number,
  hmm_flags: number,
  notifier: MmuIntervalNotifier,
): Path<number> {
  const { mm, device } = svmm;
  const hmm_pfns = [0];
  let ret = yield* mmu_interval_notifier_insert(notifier, mm, start, PAGE_SIZE);
  if (ret !== 0) return ret;
  for (;;) {
    const notifier_seq = yield* mmu_interval_read_begin(notifier);
    yield* mmap_read_lock(mm);
    ret = yield* hmm_range_fault({
      notifier,
      notifier_seq,
      start,
      end: start + PAGE_SIZE,
      hmm_pfns,
      default_flags: hmm_flags,
      pfn_flags_mask: 0,
      dev_private_owner: ownerOf(device),
    });
    yield* mmap_read_unlock(mm);
    if (ret === -EBUSY) continue;
    if (ret === 0) ret = yield* preallocate(svmm);
    if (ret !== 0) break;
    yield* mutex_lock(svmm.mutex);
    if (knob('nouveau.read_retry') === 'none' || !(yield* mmu_interval_read_retry(notifier, notifier_seq)))
      break;
    yield* mutex_unlock(svmm.mutex);
  }
  if (ret === 0) {
    // NVIF_VMM_V0_PFNMAP
    ret = yield* nvkm_vmm_pfn_map(svmm, start, nouveau_hmm_convert_pfn(hmm_pfns[0]!));
    yield* mutex_unlock(svmm.mutex);
  }
  yield* mmu_interval_notifier_remove(notifier);
  return ret;
}

/** What the GPU wanted to do. @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_svm.c FAULT_ACCESS_READ: faithful */
export const FAULT_ACCESS = { READ: 0, WRITE: 1, ATOMIC: 2, PREFETCH: 3 } as const;

/** What hmm_range_fault() is asked for. */
function hmmFlags(access: number): number {
  if (access === FAULT_ACCESS.PREFETCH) return 0;
  return access === FAULT_ACCESS.READ ? HMM_PFN.REQ_FAULT : HMM_PFN.REQ_FAULT | HMM_PFN.REQ_WRITE;
}

/**
 * Serves one fault from the GPU's buffer. `notifier`: the record on the stack. Returns whether the GPU may try again, or
 * its access is cancelled.
 * @context may sleep; no locks held
 * @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_svm.c nouveau_svm_fault: adapted (one fault; who reads the buffer is the scenario; users of the mm where it counts them)
 */
export function* nouveau_svm_fault(
  svmm: NouveauSvmm,
  addr: number,
  access: number,
  notifier: MmuIntervalNotifier,
): Path<boolean> {
  const { mm } = svmm;
  if (mm.mm_users !== undefined && !(yield* mmget_not_zero(mm))) return false;
  let ret = 0;
  if (access === FAULT_ACCESS.ATOMIC) ret = yield* nouveau_atomic_range_fault(svmm, addr, notifier);
  else ret = yield* nouveau_range_fault(svmm, addr, hmmFlags(access), notifier);
  if (mm.mm_users !== undefined) yield* mmput(mm);
  return ret === 0;
}

/**
 * Gives the GPU what it is to have from `addr` on; 0: nothing. What it has there goes, and its TLB is flushed.
 * @context may sleep; takes svmm->mutex
 * @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_svm.c nouveau_pfns_map: adapted (an entry goes before another takes its place; there the TLB is flushed behind the new one)
 */
export function* nouveau_pfns_map(svmm: NouveauSvmm, addr: number, pfns: readonly number[]): Path {
  yield* mutex_lock(svmm.mutex);
  for (let i = 0; i < pfns.length; i++) {
    yield* nvkm_vmm_pfn_map(svmm, addr + i, 0);
    if (pfns[i] !== 0) yield* nvkm_vmm_pfn_map(svmm, addr + i, pfns[i]!);
  }
  yield* mutex_unlock(svmm.mutex);
}
