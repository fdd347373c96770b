// SPDX-License-Identifier: GPL-2.0-only
/** lib/test_hmm.c: what the process has mapped, as a device would see it. */
import type { Path } from '../../core/path.js';
import { EBUSY, EINVAL } from '../include/errno.js';
import { MEMORY_DEVICE, pgmapOf } from '../include/memremap.js';
import { is_zero_pfn } from '../include/mm.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import {
  mmu_interval_read_retry,
  mmu_interval_set_seq,
  mmu_notifier_range_blockable,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  type MmuNotifierRange,
} from '../include/mmu_notifier.js';
import { HPAGE_PMD_ORDER } from '../include/pgtable.js';
import { mutex_lock, mutex_trylock, mutex_unlock } from '../kernel/locking/mutex.js';
import { HMM_PFN, hmm_pfn_to_map_order, hmm_pfn_to_page, type HmmRange } from '../include/hmm.js';
import { hmm_range_fault } from '../mm/hmm.js';
import { mmu_interval_read_begin } from '../mm/mmu_notifier.js';
import { mmu_interval_notifier_insert, mmu_interval_notifier_remove } from '../mm/mmu_notifier-interval.js';
import { BATCH, type Dmirror, mirrorGet, mirrorPut } from './test_hmm.js';
import { HMM_DMIRROR_PROT, type HmmDmirrorCmd } from './test_hmm_uapi.js';

/** The subscription of one snapshot. */
export class DmirrorMrnOps implements MmuIntervalNotifierOps {
  constructor(private readonly dmirror: Dmirror) {}

  /**
   * The number is all that has to change: whatever comes between invalidates the whole snapshot.
   * @context may sleep if the range is blockable
   * @kernel 6.12 lib/test_hmm.c dmirror_snapshot_invalidate: faithful
   */
  *invalidate(mni: MmuIntervalNotifier, range: MmuNotifierRange, cur_seq: number): Path<boolean> {
    const { dmirror } = this;
    if (mmu_notifier_range_blockable(range)) yield* mutex_lock(dmirror.mutex);
    else if (!(yield* mutex_trylock(dmirror.mutex))) return false;
    yield* mmu_interval_set_seq(mni, cur_seq);
    yield* mutex_unlock(dmirror.mutex);
    return true;
  }
}

/** What is said of one page. @kernel 6.12 lib/test_hmm.c dmirror_mkentry: adapted (no PUDs) */
function dmirror_mkentry({ owner }: Dmirror, entry: number): number {
  if (entry & HMM_PFN.ERROR) return HMM_DMIRROR_PROT.ERROR;
  if (!(entry & HMM_PFN.VALID)) return HMM_DMIRROR_PROT.NONE;
  const page = hmm_pfn_to_page(entry);
  const pgmap = pgmapOf(page);
  const local = pgmap?.owner === owner;
  let perm: number = HMM_DMIRROR_PROT.NONE;
  if (pgmap?.type === MEMORY_DEVICE.PRIVATE)
    perm = local ? HMM_DMIRROR_PROT.DEV_PRIVATE_LOCAL : HMM_DMIRROR_PROT.DEV_PRIVATE_REMOTE;
  else if (pgmap?.type === MEMORY_DEVICE.COHERENT)
    perm = local ? HMM_DMIRROR_PROT.DEV_COHERENT_LOCAL : HMM_DMIRROR_PROT.DEV_COHERENT_REMOTE;
  else if (is_zero_pfn(page.pfn)) perm = HMM_DMIRROR_PROT.ZERO;
  perm |= entry & HMM_PFN.WRITE ? HMM_DMIRROR_PROT.WRITE : HMM_DMIRROR_PROT.READ;
  const order = hmm_pfn_to_map_order(entry);
  return order !== 0 && order === HPAGE_PMD_ORDER() ? perm | HMM_DMIRROR_PROT.PMD : perm;
}

/**
 * Sees [start, end) under a subscription of its own, until nothing has come between. Returns 0 or a negative error number.
 * @context may sleep; the caller has mm_users
 * @kernel 6.12 lib/test_hmm.c dmirror_range_snapshot: adapted (time does not run out)
 */
function* dmirror_range_snapshot(dmirror: Dmirror, start: number, end: number, perm: number[]): Path<number> {
  const { mm } = dmirror;
  const notifier = dmirror.snapshot!;
  let ret = yield* mmu_interval_notifier_insert(notifier, mm, start, end - start);
  if (ret !== 0) return ret;
  for (;;) {
    const notifier_seq = yield* mmu_interval_read_begin(notifier);
    const hmm_pfns = Array.from({ length: end - start }, () => 0);
    const range: HmmRange = {
      notifier,
      notifier_seq,
      start,
      end,
      hmm_pfns,
      default_flags: 0,
      pfn_flags_mask: 0,
      dev_private_owner: dmirror.owner,
    };
    yield* mmap_read_lock(mm);
    ret = yield* hmm_range_fault(range);
    yield* mmap_read_unlock(mm);
    if (ret === -EBUSY) continue;
    if (ret !== 0) break;
    yield* mutex_lock(dmirror.mutex);
    const retry = yield* mmu_interval_read_retry(notifier, notifier_seq);
    if (!retry) for (const entry of hmm_pfns) perm.push(dmirror_mkentry(dmirror, entry));
    yield* mutex_unlock(dmirror.mutex);
    if (!retry) break;
  }
  yield* mmu_interval_notifier_remove(notifier);
  return ret;
}

/**
 * HMM_DMIRROR_SNAPSHOT: what pages are mapped, and for what; nothing is faulted in. Returns 0 or a negative error number.
 * @context may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_snapshot: faithful
 */
export function* dmirror_snapshot(dmirror: Dmirror, cmd: HmmDmirrorCmd): Path<number> {
  const end = cmd.addr + cmd.npages;
  let ret = 0;
  if (!(yield* mirrorGet(dmirror))) return -EINVAL;
  for (let addr = cmd.addr; addr < end; addr += BATCH) {
    const next = Math.min(addr + BATCH, end);
    const perm: number[] = [];
    ret = yield* dmirror_range_snapshot(dmirror, addr, next, perm);
    if (ret !== 0) break;
    for (let i = 0; i < perm.length; i++) cmd.ptr[addr - cmd.addr + i] = perm[i]!;
    cmd.cpages += perm.length;
  }
  yield* mirrorPut(dmirror);
  return ret;
}
