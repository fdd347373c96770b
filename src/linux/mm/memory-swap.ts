// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { equals, add, load, setBits, testBits } from '../../core/primitives.js';
import { makeSwapEntry, pfnOf, PTE, SwapType, swapType } from '../../machine/pte.js';
import { assertFolioLocked } from '../include/lockdep.js';
import { PG, VM, type Folio, type PtePointer } from '../include/mm_types.js';
import { folio_test_anon } from '../include/page-flags.js';
import { folio_lock, folio_unlock } from '../include/pagemap.js';
import {
  pteUnchanged,
  mk_pte,
  type Pte,
  pte_clear,
  pte_mkdirty,
  pte_mkwrite,
  pte_offset_map_lock,
  pte_unmap_unlock,
  set_pte,
} from '../include/pgtable.js';
import { is_migration_entry } from '../include/swapops.js';
import { knob } from '../kernel.js';
import { FAULT_FLAG, VM_FAULT, type VmFault } from './memory-fault.js';
import { migration_entry_wait } from './migrate.js';
import { folio_add_anon_rmap_pte, folio_add_new_anon_rmap } from './rmap.js';
import { folio_put } from './swap.js';
import { read_swap_cache_async } from './swap_state.js';
import { folio_free_swap, free_swap_and_cache, slotOfEntry, swap_duplicate, swap_free } from './swapfile.js';

/** @kernel 6.12 mm/memory.c should_try_to_free_swap: adapted (swap is never full) */
function* should_try_to_free_swap(folio: Folio, flags: number): Path<boolean> {
  if (!(flags & FAULT_FLAG.WRITE)) return false;
  if (!(yield* testBits(folio.flags, PG.swapcache))) return false;
  return yield* equals(folio._refcount, 2);
}

/**
 * Takes a swap-type entry away that is not read in any more. Returns what that does to the mm's resident pages.
 * @context PTL held
 * @kernel 6.12 mm/memory.c zap_pte_range: adapted (swap and migration entries)
 */
export function* zapNonpresent(ptep: PtePointer, pte: Pte): Path<number> {
  if (swapType(pte) === SwapType.SWAP) yield* free_swap_and_cache(pte);
  yield* pte_clear(ptep);
  return is_migration_entry(pte) ? -1 : 0;
}

/**
 * fork(): copies a swap-type entry. The page behind it is shared from then on, and both entries say so. Returns what
 * that does to the child's resident pages.
 * @context both PTLs held
 * @kernel 6.12 mm/memory.c copy_nonpresent_pte: adapted (swap and migration entries)
 */
export function* copy_nonpresent_pte(
  vm_flags: number,
  dst_pte: PtePointer,
  src_pte: PtePointer,
  orig_pte: Pte,
): Path<number> {
  let pte = orig_pte;
  const type = swapType(orig_pte);
  if (type === SwapType.SWAP) {
    yield* swap_duplicate(slotOfEntry(orig_pte));
    if (knob('fork.swp_exclusive') === 'clear') pte &= ~PTE.EXCLUSIVE;
  } else if (!is_migration_entry(orig_pte)) return 0;
  else if (type !== SwapType.MIGRATION_READ && !(vm_flags & VM.SHARED))
    pte = makeSwapEntry(SwapType.MIGRATION_READ, pfnOf(orig_pte));
  if (pte !== orig_pte) yield* set_pte(src_pte, pte);
  yield* set_pte(dst_pte, pte);
  return is_migration_entry(pte) ? 1 : 0;
}

/**
 * Serves a fault on a swap-type entry: reads a swapped page in, waits for a migration to end.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/memory.c do_swap_page: adapted (swap and migration entries; a write fault on a shared page takes a second fault)
 */
export function* do_swap_page(vmf: VmFault): Path<number> {
  const { mm, vma, address, pmd, orig_pte, flags } = vmf;
  if (swapType(orig_pte) !== SwapType.SWAP) {
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
  const mapped = cached ? yield* pte_offset_map_lock(pmd, address) : undefined;
  if (mapped === undefined || !(yield* pteUnchanged(mapped.ptep, orig_pte))) {
    if (mapped !== undefined) yield* pte_unmap_unlock(mapped.ptl);
    yield* folio_unlock(folio);
    yield* folio_put(folio);
    return VM_FAULT.NONE;
  }
  const marked = (orig_pte & PTE.EXCLUSIVE) !== 0;
  yield* swap_free(slot);
  if (yield* should_try_to_free_swap(folio, flags)) yield* folio_free_swap(folio);
  yield* add(mm.anon_rss, 1);
  let pte = mk_pte(folio, PTE.PRESENT | PTE.USER);
  const exclusive = marked || (yield* equals(folio._refcount, 1));
  if (exclusive && (yield* load(vma.vm_flags)) & VM.WRITE) {
    pte = pte_mkwrite(pte);
    if (flags & FAULT_FLAG.WRITE) pte = pte_mkdirty(pte);
  }
  if (!(yield* folio_test_anon(folio))) yield* folio_add_new_anon_rmap(folio, vma, address, exclusive);
  else {
    assertFolioLocked(folio); // __page_check_anon_rmap()
    yield* folio_add_anon_rmap_pte(folio);
    if (exclusive) yield* setBits(folio.flags, PG.anon_exclusive);
  }
  yield* set_pte(mapped.ptep, pte);
  yield* folio_unlock(folio);
  yield* pte_unmap_unlock(mapped.ptl);
  return VM_FAULT.NONE;
}
