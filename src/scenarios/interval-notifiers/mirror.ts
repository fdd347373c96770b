// SPDX-License-Identifier: GPL-2.0-only
import type { Cell, Path, Process, Region, Testbed } from '../../litmus/index.js';
import {
  EBUSY,
  HMM_PFN,
  hmm_pfn_to_page,
  hmm_range_fault,
  mk_pte,
  mmap_read_lock,
  mmap_read_unlock,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  mmu_interval_set_seq,
  type Mm,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  mutex_lock,
  mutex_unlock,
} from '../../linux/index.js';
import { type Device, deviceFlush, deviceMap, deviceUnmap } from '../../machine/machine.js';
import { PTE } from '../../machine/pte.js';

/** A device that mirrors a process, and its driver's lock: what the driver of these scenarios is made of. */
export interface Mirror {
  readonly mm: Mm;
  readonly gpu: Device;
  readonly user_lock: Cell;
}

export function mirror(m: Testbed, p: Process): Mirror {
  return { mm: p.mm, gpu: m.device('gpu0', { mirrors: p }), user_lock: m.mutex('gpu0.lock') };
}

/** The driver's callback: under its lock it notes the number, and takes the range off the device. */
export function tearDown(
  { gpu, user_lock }: Mirror,
  { lock = true, setSeq = true }: { lock?: boolean; setSeq?: boolean } = {},
): MmuIntervalNotifierOps {
  return {
    *invalidate(sub, range, cur_seq) {
      if (lock) yield* mutex_lock(user_lock);
      if (setSeq) yield* mmu_interval_set_seq(sub, cur_seq);
      yield* deviceUnmap(gpu, range.start, range.end);
      yield* deviceFlush(gpu, range.start, range.end);
      if (lock) yield* mutex_unlock(user_lock);
      return true;
    },
  };
}

/** Reads the entry of one page, faulting it in. Returns the device's entry for it; -EBUSY or another error. */
export function* look(
  mm: Mm,
  notifier: MmuIntervalNotifier,
  notifier_seq: number,
  addr: number,
): Path<number> {
  const range = {
    notifier,
    notifier_seq,
    start: addr,
    end: addr + 1,
    hmm_pfns: [0],
    default_flags: HMM_PFN.REQ_FAULT,
    pfn_flags_mask: 0,
  };
  yield* mmap_read_lock(mm);
  const err = yield* hmm_range_fault(range);
  yield* mmap_read_unlock(mm);
  return err === 0 ? deviceEntry(range.hmm_pfns[0]!) : err;
}

/** What the device gets for what hmm_range_fault() found. */
export const deviceEntry = (hmm_pfn: number): number =>
  mk_pte(hmm_pfn_to_page(hmm_pfn), PTE.PRESENT | (hmm_pfn & HMM_PFN.WRITE ? PTE.RW : 0));

/** Serves one fault of the device as documented. Returns whether it mapped the page: else there is none any more. */
export function* serveFault(
  { mm, gpu, user_lock }: Mirror,
  sub: MmuIntervalNotifier,
  addr: number,
): Path<boolean> {
  for (;;) {
    const seq = yield* mmu_interval_read_begin(sub);
    const entry = yield* look(mm, sub, seq, addr);
    if (entry === -EBUSY) continue;
    if (entry < 0) return false;
    yield* mutex_lock(user_lock);
    const retry = yield* mmu_interval_read_retry(sub, seq);
    if (!retry) yield* deviceMap(gpu, addr, entry);
    yield* mutex_unlock(user_lock);
    if (!retry) return true;
  }
}

export type { Region };
