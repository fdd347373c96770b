// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import type { Vma } from '../include/mm_types.js';
import { tlb_finish_mmu, tlb_gather_mmu } from './mmu_gather.js';
import { change_protection, MM_CP } from './mprotect.js';

/**
 * Takes the access from the entries of [addr, end), so that the next one faults and says which node it comes from.
 * @context mmap_lock held for read
 * @kernel 6.12 mm/mempolicy.c change_prot_numa: faithful
 */
export function* change_prot_numa(vma: Vma, addr: number, end: number): Path {
  const tlb = yield* tlb_gather_mmu(vma.vm_mm);
  yield* change_protection(tlb, vma, addr, end, 0, MM_CP.PROT_NUMA);
  yield* tlb_finish_mmu(tlb);
}
