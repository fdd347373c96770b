// SPDX-License-Identifier: GPL-2.0-only
/** mm/memory.c: swap-type entries are zapped, copied by fork, and faulted on. */
import type { Path } from '../../core/path.js';
import { add, clearBits, equals, load, setBits, testBits } from '../../core/primitives.js';
import { makeSwapEntry, pfnOf, PTE, SwapType, swapType } from '../../machine/pte.js';
import { assertFolioLocked } from '../include/lockdep.js';
import { PG, VM, type Folio, type PtePointer, type Vma } from '../include/mm_types.js';
import { folio_test_anon } from '../include/page-flags.js';
import { folio_lock, folio_unlock } from '../include/pagemap.js';
import {
  pteUnchanged,
  mk_pte,
  type Pte,
  pte_clear,
  pte_mkdirty,
  pte_mksoft_dirty,
  pte_mkuffd_wp,
  pte_mkwrite,
  pte_offset_map_lock,
  pte_swp_clear_uffd_wp,
  pte_swp_soft_dirty,
  pte_swp_uffd_wp,
  pte_unmap_unlock,
  set_pte,
} from '../include/pgtable.js';
import { folio_get, page_folio } from '../include/page_ref.js';
import { folio_try_dup_anon_rmap_pte } from '../include/rmap.js';
import {
  deviceExclusiveEntry,
  is_device_exclusive_entry,
  is_device_private_entry,
  is_migration_entry,
  is_writable_device_exclusive_entry,
  is_writable_device_private_entry,
  make_readable_device_exclusive_entry,
  make_readable_device_private_entry,
  pfn_swap_entry_to_page,
} from '../include/swapops.js';
import { is_cow_mapping } from '../include/mm.js';
import { EAGAIN, EBUSY, ENOENT } from '../include/errno.js';
import { pte_needs_soft_dirty_wp } from './internal.js';
import { userfaultfd_pte_wp, userfaultfd_wp } from '../include/userfaultfd_k.js';
import { knob } from '../kernel.js';
import { copy_user_page, FAULT_FLAG, VM_FAULT, type VmFault } from './memory-fault.js';
import { do_wp_page } from './memory-wp.js';
import { remove_device_exclusive_entry, try_restore_exclusive_pte } from './memory-exclusive.js';
import { migration_entry_wait } from './migrate.js';
import { faultDevicePrivate } from './memory-device.js';
import { folio_add_anon_rmap_pte, folio_add_new_anon_rmap, folio_remove_rmap_pte } from './rmap.js';
import { fbatches, folio_put, lru_add_drain } from './swap.js';
import { read_swap_cache_async } from './swap_state.js';
import { folio_free_swap, free_swap_and_cache, slotOfEntry, swap_duplicate, swap_free } from './swapfile.js';

/** @kernel 6.12 mm/memory.c should_try_to_free_swap: adapted (swap is never full) */
function* should_try_to_free_swap(folio: Folio, vma: Vma, flags: number): Path<boolean> {
  if (fbatches() !== undefined) {
    if (!(yield* testBits(folio.flags, PG.swapcache))) return false;
    if ((yield* load(vma.vm_flags)) & VM.LOCKED || (yield* testBits(folio.flags, PG.mlocked))) return true;
  }
  if (!(flags & FAULT_FLAG.WRITE)) return false;
  if (!(yield* testBits(folio.flags, PG.swapcache))) return false;
  return yield* equals(folio._refcount, 2);
}

/**
 * Takes a swap-type entry away that is not read in any more. Returns what that does to the mm's resident pages.
 * @context PTL held
 * @kernel 6.12 mm/memory.c zap_pte_range: adapted (swap, migration, device-private and device-exclusive entries)
 */
export function* zapNonpresent(vma: Vma, ptep: PtePointer, pte: Pte): Path<number> {
  const device = is_device_exclusive_entry(pte) || is_device_private_entry(pte);
  if (device) {
    const page = pfn_swap_entry_to_page(pte);
    if (is_device_private_entry(pte) || knob('zap.exclusive_rmap') === 'removed')
      yield* folio_remove_rmap_pte(page, vma);
    yield* folio_put(yield* page_folio(page));
  } else if (swapType(pte) === SwapType.SWAP) yield* free_swap_and_cache(pte);
  yield* pte_clear(ptep);
  return device || is_migration_entry(pte) ? -1 : 0;
}

/** What fork has copied of one table, for the counters. @kernel 6.12 mm/memory.c init_rss_vec: adapted (two of the counters) */
export interface RssVec {
  anon: number;
  file: number;
}

/**
 * fork(): copies a swap-type entry. The page behind it is shared from then on, and both entries say so. Returns 0,
 * -ENOENT if the entry of the parent is present now and is to be copied as such, -EBUSY if it can't be made so, or -EAGAIN if the
 * child needs a page of its own, which can't be allocated under the PTL.
 * @context both PTLs held
 * @kernel 6.12 mm/memory.c copy_nonpresent_pte: adapted (no markers; knob fork.exclusive)
 */
export function* copy_nonpresent_pte(
  dst_vma: Vma,
  src_vma: Vma,
  dst_pte: PtePointer,
  src_pte: PtePointer,
  orig_pte: Pte,
  addr: number,
  prealloc: Folio | undefined,
  rss: RssVec,
): Path<number> {
  const vm_flags = yield* load(dst_vma.vm_flags);
  let pte = orig_pte;
  const type = swapType(orig_pte);
  if (type === SwapType.SWAP) {
    yield* swap_duplicate(slotOfEntry(orig_pte));
    if (knob('fork.swp_exclusive') === 'clear') pte &= ~PTE.EXCLUSIVE;
  } else if (is_migration_entry(orig_pte)) {
    rss.anon++;
    if (type !== SwapType.MIGRATION_READ && is_cow_mapping(vm_flags))
      pte = makeSwapEntry(
        SwapType.MIGRATION_READ,
        pfnOf(orig_pte),
        orig_pte & (PTE.SOFT_DIRTY | PTE.UFFD_WP),
      );
  } else if (is_device_private_entry(orig_pte)) {
    const page = pfn_swap_entry_to_page(orig_pte);
    const folio = yield* page_folio(page);
    yield* folio_get(folio);
    rss.anon++;
    yield* folio_try_dup_anon_rmap_pte(folio, page, src_vma);
    if (is_writable_device_private_entry(orig_pte) && is_cow_mapping(vm_flags))
      pte = make_readable_device_private_entry(pfnOf(orig_pte), orig_pte);
  } else if (is_device_exclusive_entry(orig_pte)) {
    const how = knob('fork.exclusive');
    if (how === 'early-copy' || how === 'early-copy-exclusive')
      return yield* copyExclusiveEarly(dst_vma, dst_pte, orig_pte, addr, prealloc, rss);
    if (how !== 'copy') {
      if ((yield* try_restore_exclusive_pte(src_pte, src_vma, addr)) !== 0) return -EBUSY;
      return -ENOENT;
    }
    const page = pfn_swap_entry_to_page(orig_pte);
    const folio = yield* page_folio(page);
    yield* folio_get(folio);
    rss.anon++;
    if (knob('fork.exclusive_flag') === 'cleared') yield* clearBits(page.flags, PG.anon_exclusive);
    if (knob('exclusive.mapcount') === 'kept') yield* folio_add_anon_rmap_pte(page);
    if (is_writable_device_exclusive_entry(orig_pte) && is_cow_mapping(vm_flags))
      pte = make_readable_device_exclusive_entry(pfnOf(orig_pte), orig_pte);
  }
  if (pte !== orig_pte) yield* set_pte(src_pte, pte);
  if (!userfaultfd_wp(dst_vma)) pte = pte_swp_clear_uffd_wp(pte);
  yield* set_pte(dst_pte, pte);
  return 0;
}

/**
 * fork() of a page that a device has for itself: the child gets a page of its own, and the parent's entry and its device
 * are left alone. Knob fork.exclusive: a proposal of the thread, in no kernel.
 * @context both PTLs held
 */
function* copyExclusiveEarly(
  dst_vma: Vma,
  dst_pte: PtePointer,
  orig_pte: Pte,
  addr: number,
  prealloc: Folio | undefined,
  rss: RssVec,
): Path<number> {
  if (prealloc === undefined) return -EAGAIN;
  yield* copy_user_page(prealloc, pfn_swap_entry_to_page(orig_pte));
  yield* folio_add_new_anon_rmap(prealloc, dst_vma, addr);
  rss.anon++;
  if (knob('fork.exclusive') === 'early-copy-exclusive') {
    yield* set_pte(dst_pte, deviceExclusiveEntry(prealloc.pfn, true, orig_pte));
    if (knob('exclusive.mapcount') === 'dropped') yield* folio_remove_rmap_pte(prealloc);
    return COPIED_TO_OWN_PAGE;
  }
  let pte = pte_mkdirty(mk_pte(prealloc, PTE.PRESENT | PTE.USER));
  if ((yield* load(dst_vma.vm_flags)) & VM.WRITE) pte = pte_mkwrite(pte);
  yield* set_pte(dst_pte, pte);
  return COPIED_TO_OWN_PAGE;
}

/** copy_nonpresent_pte() has used the page that was allocated for it. */
export const COPIED_TO_OWN_PAGE = 1;

/**
 * Serves a fault on a swap-type entry: reads a swapped page in, waits for a migration to end.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/memory.c do_swap_page: adapted (swap and migration entries)
 */
export function* do_swap_page(vmf: VmFault): Path<number> {
  const { mm, vma, address, pmd, orig_pte, flags } = vmf;
  if (swapType(orig_pte) !== SwapType.SWAP) {
    if (is_device_exclusive_entry(orig_pte)) return yield* remove_device_exclusive_entry(vmf);
    if (is_device_private_entry(orig_pte)) return yield* faultDevicePrivate(vmf);
    if (!is_migration_entry(orig_pte)) return VM_FAULT.SIGBUS;
    yield* migration_entry_wait(mm, pmd, address);
    return VM_FAULT.NONE;
  }
  const slot = slotOfEntry(orig_pte);
  const folio = yield* read_swap_cache_async(slot);
  if (folio === undefined) {
    const still = yield* pte_offset_map_lock(pmd, address);
    if (still === undefined) return VM_FAULT.NONE;
    const same = yield* pteUnchanged(still.ptep, orig_pte);
    yield* pte_unmap_unlock(still.ptl);
    return same ? VM_FAULT.OOM : VM_FAULT.NONE;
  }
  yield* folio_lock(folio);
  // The reference does not keep it in the swap cache: that it is still there, for this entry, is known only now.
  const cached =
    knob('do_swap_page.recheck') === 'off' ||
    ((yield* testBits(folio.flags, PG.swapcache)) && (yield* equals(folio.swap!, slot.number + 1)));
  if (fbatches() !== undefined && flags & FAULT_FLAG.WRITE && !(yield* testBits(folio.flags, PG.lru)))
    yield* lru_add_drain(); // or a batch's reference looks like somebody else's
  const mapped = cached ? yield* pte_offset_map_lock(pmd, address) : undefined;
  if (mapped === undefined || !(yield* pteUnchanged(mapped.ptep, orig_pte))) {
    if (mapped !== undefined) yield* pte_unmap_unlock(mapped.ptl);
    yield* folio_unlock(folio);
    yield* folio_put(folio);
    return VM_FAULT.NONE;
  }
  const marked = (orig_pte & PTE.EXCLUSIVE) !== 0;
  yield* swap_free(slot);
  if (yield* should_try_to_free_swap(folio, vma, flags)) yield* folio_free_swap(folio);
  yield* add(mm.anon_rss, 1);
  let pte = mk_pte(folio, PTE.PRESENT | PTE.USER);
  const exclusive = marked || (yield* equals(folio._refcount, 1));
  if (pte_swp_soft_dirty(orig_pte)) pte = pte_mksoft_dirty(pte);
  if (pte_swp_uffd_wp(orig_pte)) pte = pte_mkuffd_wp(pte);
  let store = (flags & FAULT_FLAG.WRITE) !== 0;
  if (exclusive && (yield* load(vma.vm_flags)) & VM.WRITE && !userfaultfd_pte_wp(vma, pte)) {
    if (!(yield* pte_needs_soft_dirty_wp(vma, pte))) {
      pte = pte_mkwrite(pte);
      if (store) pte = pte_mkdirty(pte);
      store = false;
    }
  }
  vmf.orig_pte = pte;
  if (!(yield* folio_test_anon(folio))) yield* folio_add_new_anon_rmap(folio, vma, address, exclusive);
  else {
    assertFolioLocked(folio); // __page_check_anon_rmap()
    yield* folio_add_anon_rmap_pte(folio, vma);
    if (exclusive) yield* setBits(folio.flags, PG.anon_exclusive);
  }
  yield* set_pte(mapped.ptep, pte);
  yield* folio_unlock(folio);
  if (store) return yield* do_wp_page(vmf, mapped.ptep, mapped.ptl);
  yield* pte_unmap_unlock(mapped.ptl);
  return VM_FAULT.NONE;
}
