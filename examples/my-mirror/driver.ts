// SPDX-License-Identifier: MIT
/**
 * A driver that mirrors a process for a device: the skeleton to put your own in. It has the two halves that every mirror
 * has, a callback and a fault path, and one lock that both take.
 */
import {
  type Cell,
  type Device,
  deviceFlush,
  deviceMap,
  deviceUnmap,
  type Path,
  type Process,
  PTE,
  type Region,
  type Testbed,
} from 'shootdown';
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
  mmu_notifier_range_blockable,
  type Mm,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  mutex_lock,
  mutex_trylock,
  mutex_unlock,
} from 'shootdown/linux';

/** Ways to get it wrong. The first one is none. */
export const MISTAKES = ['none', 'no-set-seq', 'retry-unlocked', 'begin-late', 'no-retry'] as const;
export type Mistake = (typeof MISTAKES)[number];

/** What the driver keeps of one mirrored range. Made at set-up: paths only use it. */
export interface MyMirror {
  readonly mm: Mm;
  readonly gpu: Device;
  readonly lock: Cell;
  readonly sub: MmuIntervalNotifier;
}

/** Set-up: the device, the driver's lock, and the subscription to the range. Nothing runs yet. */
export function myMirror(m: Testbed, p: Process, range: Region, mistake: Mistake, name = 'gpu0'): MyMirror {
  const gpu = m.device(name, { mirrors: p });
  const lock = m.mutex(`${name}.lock`);
  const sub = p.intervalNotifier(range, myOps(gpu, lock, mistake));
  return { mm: p.mm, gpu, lock, sub };
}

/** The callback: takes the range off the device. When it returns, the device does not reach the pages any more. */
function myOps(gpu: Device, lock: Cell, mistake: Mistake): MmuIntervalNotifierOps {
  return {
    *invalidate(sub, range, cur_seq) {
      if (mmu_notifier_range_blockable(range)) yield* mutex_lock(lock);
      else if (!(yield* mutex_trylock(lock))) return false;
      if (mistake !== 'no-set-seq') yield* mmu_interval_set_seq(sub, cur_seq);
      yield* deviceUnmap(gpu, range.start, range.end);
      yield* deviceFlush(gpu, range.start, range.end);
      yield* mutex_unlock(lock);
      return true;
    },
  };
}

/** The fault path: maps the page at `addr` for the device. Returns false if the process has none there. */
export function* serveFault({ mm, gpu, lock, sub }: MyMirror, addr: number, mistake: Mistake): Path<boolean> {
  for (;;) {
    let seq = yield* mmu_interval_read_begin(sub);
    const range = {
      notifier: sub,
      notifier_seq: seq,
      start: addr,
      end: addr + 1,
      hmm_pfns: [0],
      default_flags: HMM_PFN.REQ_FAULT,
      pfn_flags_mask: 0,
    };
    yield* mmap_read_lock(mm);
    const err = yield* hmm_range_fault(range);
    yield* mmap_read_unlock(mm);
    if (err === -EBUSY) continue;
    if (err !== 0) return false;
    const [pfn = 0] = range.hmm_pfns;

    if (mistake === 'begin-late') seq = yield* mmu_interval_read_begin(sub);
    if (mistake === 'retry-unlocked' && (yield* mmu_interval_read_retry(sub, seq))) continue;
    yield* mutex_lock(lock);
    const checked = mistake !== 'no-retry' && mistake !== 'retry-unlocked';
    const retry = checked && (yield* mmu_interval_read_retry(sub, seq));
    if (!retry) yield* deviceMap(gpu, addr, deviceEntry(pfn));
    yield* mutex_unlock(lock);
    if (!retry) return true;
  }
}

/** What the device's page table gets for what hmm_range_fault() found. */
function deviceEntry(hmm_pfn: number): number {
  return mk_pte(hmm_pfn_to_page(hmm_pfn), PTE.PRESENT | (hmm_pfn & HMM_PFN.WRITE ? PTE.RW : 0));
}
