// SPDX-License-Identifier: GPL-2.0-only
import type { Page } from './mm_types.js';
import type { MmuIntervalNotifier } from './mmu_notifier.js';
import { pfn_to_page } from './pgtable.js';

/** Flags of an entry of hmm_pfns, then the order of the mapping, then the PFN. @kernel 6.12 include/linux/hmm.h enum hmm_pfn_flags: adapted (the flags are the low bits; no dirty) */
export const HMM_PFN = {
  VALID: 1,
  WRITE: 2,
  ERROR: 4,
  REQ_FAULT: 1,
  REQ_WRITE: 2,
  ORDER_SHIFT: 3,
  SHIFT: 7,
} as const;

/** @kernel 6.12 include/linux/hmm.h hmm_pfn_to_page: faithful */
export const hmm_pfn_to_page = (hmm_pfn: number): Page => pfn_to_page(hmm_pfn >> HMM_PFN.SHIFT);

/** The order of what the CPU's tables map in one go: 0 for an entry of a page table. @kernel 6.12 include/linux/hmm.h hmm_pfn_to_map_order: faithful */
export const hmm_pfn_to_map_order = (hmm_pfn: number): number =>
  (hmm_pfn >> HMM_PFN.ORDER_SHIFT) & ((1 << (HMM_PFN.SHIFT - HMM_PFN.ORDER_SHIFT)) - 1);

/** @kernel 6.12 include/linux/hmm.h struct hmm_range: faithful */
export interface HmmRange {
  readonly notifier: MmuIntervalNotifier;
  readonly notifier_seq: number;
  readonly start: number;
  readonly end: number;
  readonly hmm_pfns: number[];
  readonly default_flags: number;
  readonly pfn_flags_mask: number;
  /** Whose device-private memory is taken as it is: see ownerOf(). Absent: nobody's. */
  readonly dev_private_owner?: number;
}
