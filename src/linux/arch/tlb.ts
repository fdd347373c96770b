// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { packRange } from '../../machine/range.js';
import { mmu_notifier_arch_invalidate_secondary_tlbs } from '../include/mmu_notifier-hooks.js';
import type { Mm, PtePointer } from '../include/mm_types.js';
import { is_swap_pte, PAGE_SIZE, type Pte, ptep_get_and_clear } from '../include/pgtable.js';
import { current } from '../kernel.js';

/**
 * Drops the TLB entries of pages [start, end) of `mm` on every CPU that runs it. On an `ipi` machine it returns when
 * each of those CPUs has handled an interrupt, so no IRQ-off region that was running there still runs; on a `bcast`
 * machine it says nothing about IRQ-off regions.
 * @context interrupts on; a PTL may be held
 * @kernel 6.12 arch/x86/mm/tlb.c flush_tlb_mm_range: adapted (no generations; freed tables also drop the walk caches)
 */
export function* flush_tlb_mm_range(mm: Mm, start: number, end: number): Path {
  const { machine } = current.kernel;
  const range = packRange(start, end);
  if (machine.options.tlb === 'bcast') yield* request(machine.op.flushBroadcast, mm.number, range);
  else {
    let others = 0;
    for (const cpu of mm.space.cpus) if (cpu !== current.cpu) others |= 1 << cpu;
    if (mm.space.cpus.includes(current.cpu)) yield* request(machine.op.flushLocal, mm.number, range);
    if (others !== 0) {
      yield* request(machine.op.ipiSend, others);
      while ((yield* request(machine.op.ipiAnswer, mm.number, range)) === 0);
    }
  }
  yield* mmu_notifier_arch_invalidate_secondary_tlbs(mm, start, end);
}

/** @kernel 6.12 arch/x86/include/asm/tlbflush.h flush_tlb_page: faithful */
export function* flush_tlb_page(mm: Mm, addr: number): Path {
  yield* flush_tlb_mm_range(mm, addr, addr + PAGE_SIZE);
}

/** @kernel 6.12 arch/x86/include/asm/tlbflush.h flush_tlb_mm: faithful */
export function* flush_tlb_mm(mm: Mm): Path {
  yield* flush_tlb_mm_range(mm, 0, mm.space.pages);
}

/**
 * Clears the entry, then flushes: when it returns no CPU reaches the page through it. What is not present no CPU had.
 * @context PTL held
 * @kernel 6.12 mm/pgtable-generic.c ptep_clear_flush: adapted (PROT_NONE entries are always flushed)
 */
export function* ptep_clear_flush(mm: Mm, addr: number, ptep: PtePointer): Path<Pte> {
  const pte = yield* ptep_get_and_clear(ptep);
  if (!is_swap_pte(pte)) yield* flush_tlb_page(mm, addr); // pte_accessible()
  return pte;
}
