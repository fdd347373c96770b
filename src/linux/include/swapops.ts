// SPDX-License-Identifier: GPL-2.0-only
import { makeSwapEntry, pfnOf, PTE, SwapType, swapType } from '../../machine/pte.js';
import { knob } from '../kernel.js';
import type { Page } from './mm_types.js';
import { pfn_to_page, type Pte } from './pgtable.js';

const CARRIED = PTE.SOFT_DIRTY | PTE.UFFD_WP;
/** The bits of a present entry that a swap-type entry carries on. */
export const carriedBits = (pte: Pte): number => pte & CARRIED;

/** @kernel 6.12 include/linux/swapops.h is_device_exclusive_entry: faithful */
export const is_device_exclusive_entry = (pte: Pte): boolean => {
  const type = swapType(pte);
  return type === SwapType.DEVICE_EXCLUSIVE_READ || type === SwapType.DEVICE_EXCLUSIVE_WRITE;
};

/** Knob exclusive.entry: with one type no entry says that it was writable. @kernel 6.12 include/linux/swapops.h is_writable_device_exclusive_entry: faithful */
export const is_writable_device_exclusive_entry = (pte: Pte): boolean =>
  swapType(pte) === SwapType.DEVICE_EXCLUSIVE_WRITE;

/** @kernel 6.12 include/linux/swapops.h make_readable_device_exclusive_entry: adapted (an entry, with the soft-dirty and uffd-wp bits of `from`) */
export const make_readable_device_exclusive_entry = (pfn: number, from: Pte): Pte =>
  makeSwapEntry(SwapType.DEVICE_EXCLUSIVE_READ, pfn, from & CARRIED);

/** @kernel 6.12 include/linux/swapops.h make_writable_device_exclusive_entry: adapted (an entry, with the soft-dirty and uffd-wp bits of `from`) */
export const make_writable_device_exclusive_entry = (pfn: number, from: Pte): Pte =>
  makeSwapEntry(SwapType.DEVICE_EXCLUSIVE_WRITE, pfn, from & CARRIED);

/** What a present entry becomes; 6.15 has one type, which says nothing about stores. */
export const deviceExclusiveEntry = (pfn: number, writable: boolean, from: Pte): Pte =>
  writable && knob('exclusive.entry') === 'write-read'
    ? make_writable_device_exclusive_entry(pfn, from)
    : make_readable_device_exclusive_entry(pfn, from);

/** @kernel 6.12 include/linux/swapops.h is_device_private_entry: faithful */
export const is_device_private_entry = (pte: Pte): boolean => {
  const type = swapType(pte);
  return type === SwapType.DEVICE_READ || type === SwapType.DEVICE_WRITE;
};

/** @kernel 6.12 include/linux/swapops.h is_writable_device_private_entry: faithful */
export const is_writable_device_private_entry = (pte: Pte): boolean =>
  swapType(pte) === SwapType.DEVICE_WRITE;

/** @kernel 6.12 include/linux/swapops.h make_readable_device_private_entry: adapted (an entry, with the uffd-wp bit of `from`) */
export const make_readable_device_private_entry = (pfn: number, from: Pte): Pte =>
  makeSwapEntry(SwapType.DEVICE_READ, pfn, from & PTE.UFFD_WP);

/** @kernel 6.12 include/linux/swapops.h make_writable_device_private_entry: adapted (an entry) */
export const make_writable_device_private_entry = (pfn: number): Pte =>
  makeSwapEntry(SwapType.DEVICE_WRITE, pfn);

/** The page that a migration, device-private or device-exclusive entry names. @kernel 6.12 include/linux/swapops.h pfn_swap_entry_to_page: faithful */
export const pfn_swap_entry_to_page = (pte: Pte): Page => pfn_to_page(pfnOf(pte));

/** Whether an entry says that its page is on the move. @kernel 6.12 include/linux/swapops.h is_migration_entry: faithful */
export const is_migration_entry = (pte: Pte): boolean => {
  const type = swapType(pte);
  return (
    type === SwapType.MIGRATION_READ ||
    type === SwapType.MIGRATION_READ_EXCLUSIVE ||
    type === SwapType.MIGRATION_WRITE
  );
};

/** @kernel 6.12 include/linux/swapops.h is_writable_migration_entry: faithful */
export const is_writable_migration_entry = (pte: Pte): boolean => swapType(pte) === SwapType.MIGRATION_WRITE;

/** @kernel 6.12 include/linux/swapops.h make_readable_exclusive_migration_entry: adapted (an entry, with the soft-dirty and uffd-wp bits of `from`) */
export const make_readable_exclusive_migration_entry = (pfn: number, from: Pte): Pte =>
  makeSwapEntry(SwapType.MIGRATION_READ_EXCLUSIVE, pfn, from & CARRIED);

/**
 * The migration entry for a page that was mapped writable, or read-only.
 * @kernel 6.12 include/linux/swapops.h make_writable_migration_entry, make_readable_exclusive_migration_entry, make_readable_migration_entry: adapted (an entry, with the soft-dirty and uffd-wp bits of `from`)
 */
export const migrationEntry = (pfn: number, writable: boolean, exclusive: boolean, from: Pte): Pte =>
  makeSwapEntry(
    writable
      ? SwapType.MIGRATION_WRITE
      : exclusive
        ? SwapType.MIGRATION_READ_EXCLUSIVE
        : SwapType.MIGRATION_READ,
    pfn,
    from & CARRIED,
  );

/** The page is poisoned: who touches it is killed. @kernel 6.12 include/linux/swapops.h make_hwpoison_entry: faithful */
export const make_hwpoison_entry = (page: Page): Pte => makeSwapEntry(SwapType.HWPOISON, page.pfn);

/** @kernel 6.12 include/linux/swapops.h is_hwpoison_entry: faithful */
export const is_hwpoison_entry = (pte: Pte): boolean => swapType(pte) === SwapType.HWPOISON;

/** Whether a swap-type entry is anything else than a place in swap. @kernel 6.12 include/linux/swapops.h non_swap_entry: faithful */
export const non_swap_entry = (pte: Pte): boolean => swapType(pte) !== SwapType.SWAP;
