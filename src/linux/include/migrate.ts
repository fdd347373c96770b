// SPDX-License-Identifier: GPL-2.0-only
import { current, knob } from '../kernel.js';
import type { Page, Vma } from './mm_types.js';

/** Flags of an entry of migrate_vma.src and .dst; the PFN is above them. @kernel 6.12 include/linux/migrate.h MIGRATE_PFN_*: faithful */
export const MIGRATE_PFN = { VALID: 1, MIGRATE: 2, WRITE: 8, SHIFT: 6 } as const;

/** @kernel 6.12 include/linux/migrate.h migrate_pfn: faithful */
export const migrate_pfn = (pfn: number): number => (pfn << MIGRATE_PFN.SHIFT) | MIGRATE_PFN.VALID;

/** The page that an entry names, undefined if it names none. @kernel 6.12 include/linux/migrate.h migrate_pfn_to_page: faithful */
export const migrate_pfn_to_page = (mpfn: number): Page | undefined =>
  mpfn & MIGRATE_PFN.VALID ? current.kernel.mem_map[mpfn >> MIGRATE_PFN.SHIFT] : undefined;

/** Whether the fault that a migration is for holds the lock of the page itself: knob do_swap_page.device_private. */
export const lockedByFault = (fault_page: Page | undefined, page: Page): boolean =>
  fault_page === page && knob('do_swap_page.device_private') === 'trylock';

/** References that a fault has on the page that it is about: knob do_swap_page.device_private. */
export const heldByFault = (fault_page: Page | undefined, page: Page): number =>
  fault_page === page && knob('do_swap_page.device_private') !== 'none' ? 1 : 0;

/** Which pages are to be migrated. @kernel 6.12 include/linux/migrate.h enum migrate_vma_direction: faithful */
export const MIGRATE_VMA_SELECT = { SYSTEM: 1, DEVICE_PRIVATE: 2, DEVICE_COHERENT: 4 } as const;

/**
 * What migrate_vma_setup(), migrate_vma_pages() and migrate_vma_finalize() hand on to each other. The caller gives
 * `src` and `dst` as empty arrays.
 * @kernel 6.12 include/linux/migrate.h struct migrate_vma: faithful
 */
export interface MigrateVma {
  readonly vma: Vma | undefined;
  /** By page: what is there, and whether it is to be migrated. */
  readonly src: number[];
  /** By page: where it goes to; the caller's business, between setup and pages. The pages are locked and referenced. */
  readonly dst: number[];
  cpages: number;
  npages: number;
  start: number;
  end: number;
  /** Whose device memory is to be migrated, and whose notifier callbacks need not mind: see ownerOf(); 0 for none. */
  readonly pgmap_owner: number;
  /** MIGRATE_VMA_SELECT. */
  readonly flags: number;
  /** The page that a CPU fault is about: it has one reference more. */
  readonly fault_page?: Page | undefined;
}
