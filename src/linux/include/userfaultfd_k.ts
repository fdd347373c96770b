// SPDX-License-Identifier: GPL-2.0-only
import type { Cell, System } from '../../core/system.js';
import type { Mm, Vma } from './mm_types.js';
import { pte_uffd_wp, type Pte } from './pgtable.js';

/**
 * struct userfaultfd_ctx: one userfaultfd. Which VMAs it watches is fixed at set-up.
 * @kernel 6.12 include/linux/userfaultfd_k.h struct userfaultfd_ctx: adapted (write-protect mode; no events of fork and mremap, no release)
 */
export class UserfaultfdCtx {
  /** fault_pending_wqh: the tasks that wait for their fault to be served, one bit each. */
  readonly fault_pending_wqh: Cell;

  constructor(
    system: System,
    readonly name: string,
    readonly mm: Mm,
    /** UFFD_FEATURE_SIGBUS: a fault is not queued, it ends in SIGBUS. */
    readonly sigbus: boolean,
  ) {
    this.fault_pending_wqh = system.cell(`${name}.fault_pending_wqh`);
  }
}

/** Whether a userfaultfd watches the VMA for stores to write-protected pages. @kernel 6.12 include/linux/userfaultfd_k.h userfaultfd_wp: faithful */
export const userfaultfd_wp = (vma: Vma): boolean => vma.vm_userfaultfd_ctx !== undefined;

/** Whether a store through the entry is the userfaultfd's business. @kernel 6.12 include/linux/userfaultfd_k.h userfaultfd_pte_wp: faithful */
export const userfaultfd_pte_wp = (vma: Vma, pte: Pte): boolean => userfaultfd_wp(vma) && pte_uffd_wp(pte);
