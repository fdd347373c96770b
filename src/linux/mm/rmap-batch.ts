// SPDX-License-Identifier: GPL-2.0-only
/** mm/rmap.c: flushes that reclaim puts off. */
import { request, type Path } from '../../core/path.js';
import { add, compareExchange, fence, read } from '../../core/primitives.js';
import { flush_tlb_mm_range } from '../arch/tlb.js';
import type { Mm } from '../include/mm_types.js';
import { mmu_notifier_arch_invalidate_secondary_tlbs } from '../include/mmu_notifier-hooks.js';
import { pte_dirty, pte_present, type Pte } from '../include/pgtable.js';
import { current, knob, type Kernel } from '../kernel.js';

/** @kernel 6.12 include/linux/rmap.h enum ttu_flags: adapted (those that paths here read) */
export const TTU = { IGNORE_MLOCK: 8, SYNC: 16, HWPOISON: 32, BATCH_FLUSH: 64, RMAP_LOCKED: 128 } as const;

/**
 * What one reclaimer has unmapped and still has to flush.
 * @kernel 6.12 include/linux/mm_types_task.h struct tlbflush_unmap_batch: adapted (on the caller's stack, not in current; mms instead of a CPU mask)
 */
export interface TlbflushUnmapBatch {
  mms: number[];
  flush_required: boolean;
  /** A writable entry may still be in a TLB: flush before the folio is written out. */
  writable: boolean;
}

export const newTlbUbc = (): TlbflushUnmapBatch => ({ mms: [], flush_required: false, writable: false });

/** Whether other CPUs run the mm, so that putting the flush off saves interrupts. @kernel 6.12 mm/rmap.c should_defer_flush: faithful */
export const should_defer_flush = (mm: Mm, flags: number): boolean =>
  (flags & TTU.BATCH_FLUSH) !== 0 &&
  knob('rmap.defer_flush') === 'on' &&
  mm.space.cpus.some((cpu) => cpu !== current.cpu);

/** Whether what reclaim does before smp_mb() is made of locked operations. */
export const lockedUnmap = (): boolean => {
  const barrier = knob('rmap.barrier');
  return barrier === 'full' || barrier === 'no-mb';
};

/** The full barrier between the PTE clear and the look at the reference count. */
export function* unmapBarrier(): Path {
  const barrier = knob('rmap.barrier');
  if (barrier === 'full' || barrier === 'mb-only') yield* fence();
}

export function defineRmapBatchOps(kernel: Kernel) {
  const { system } = kernel;
  return {
    /** atomic_inc() of cell a without any order: on weakly ordered machines it may overtake stores before it. */
    relaxedInc: system.op({
      name: 'atomic_inc',
      drains: false,
      exec: (a) => {
        system.set(a, system.mem[a]! + 1);
        return 0;
      },
      args: ['cell', 'plain', 'plain'],
      touches: (a, _b, _c, _agent, access) => void access.writes.push(a),
    }),
  };
}

/**
 * Notes that an entry was cleared without a flush: for the flush at the end of the batch, and in the mm, for others
 * that change page tables before that flush.
 * @context PTL held, PTE cleared
 * @kernel 6.12 mm/rmap.c set_tlb_ubc_flush_pending: adapted (tlb_flush_batched never wraps)
 */
export function* set_tlb_ubc_flush_pending(ubc: TlbflushUnmapBatch, mm: Mm, pteval: Pte): Path {
  if (!pte_present(pteval)) return;
  // arch_tlbbatch_add_pending(). The batch is for CPUs: devices flush at once.
  if (!ubc.mms.includes(mm.number)) ubc.mms = [...ubc.mms, mm.number];
  yield* mmu_notifier_arch_invalidate_secondary_tlbs(mm, 0, mm.space.pages);
  ubc.flush_required = true;
  if (lockedUnmap()) yield* add(mm.tlb_flush_batched, 1);
  else yield* request(current.kernel.op.relaxedInc, mm.tlb_flush_batched.at);
  if (pte_dirty(pteval)) ubc.writable = true;
}

/**
 * The batch's flush: every TLB entry of the mms that it unmapped from, on every CPU that runs them.
 * @context interrupts on
 * @kernel 6.12 arch/x86/mm/tlb.c arch_tlbbatch_flush: adapted (one interrupt for each mm, not one for all)
 */
function* arch_tlbbatch_flush(ubc: TlbflushUnmapBatch): Path {
  for (const number of ubc.mms) {
    const mm = current.kernel.mms[number]!;
    yield* flush_tlb_mm_range(mm, 0, mm.space.pages);
  }
  ubc.mms = [];
}

/** @kernel 6.12 mm/rmap.c try_to_unmap_flush: faithful */
export function* try_to_unmap_flush(ubc: TlbflushUnmapBatch): Path {
  if (!ubc.flush_required) return;
  yield* arch_tlbbatch_flush(ubc);
  ubc.flush_required = false;
  ubc.writable = false;
}

/** Flushes if a CPU may still write to a folio that is about to be written out. @kernel 6.12 mm/rmap.c try_to_unmap_flush_dirty: faithful */
export function* try_to_unmap_flush_dirty(ubc: TlbflushUnmapBatch): Path {
  if (ubc.writable) yield* try_to_unmap_flush(ubc);
}

const FLUSHED_SHIFT = 16;
const PENDING_MASK = (1 << (FLUSHED_SHIFT - 1)) - 1;

/** Whether a value of mm->tlb_flush_batched says that a deferred flush may be outstanding. */
export const flushBatchedIsPending = (batch: number): boolean =>
  (batch & PENDING_MASK) !== batch >> FLUSHED_SHIFT;

/**
 * Makes up for deferred flushes of reclaim: whoever changes entries of the mm relies on an absent entry being in no TLB.
 * @context PTL held: it orders this with the reclaimer that cleared an entry under it
 * @kernel 6.12 mm/rmap.c flush_tlb_batched_pending: faithful
 */
export function* flush_tlb_batched_pending(mm: Mm): Path {
  if (knob('rmap.batched_pending') === 'off') return;
  const batch = yield* read(mm.tlb_flush_batched);
  const pending = batch & PENDING_MASK;
  if (!flushBatchedIsPending(batch)) return;
  yield* flush_tlb_mm_range(mm, 0, mm.space.pages);
  yield* compareExchange(mm.tlb_flush_batched, batch, pending | (pending << FLUSHED_SHIFT));
}
