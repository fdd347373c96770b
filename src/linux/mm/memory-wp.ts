// SPDX-License-Identifier: GPL-2.0-only
/** mm/memory.c: stores to write-protected pages: reuse or copy. */
import { folio_test_anon, folio_test_ksm } from '../include/page-flags.js';
import type { Path } from '../../core/path.js';
import { equals, add, load, setBits, testBits } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { PTE } from '../../machine/pte.js';
import { flush_tlb_page, ptep_clear_flush } from '../arch/tlb.js';
import {
  mm_tlb_flush_pending,
  PG,
  VM,
  type Folio,
  type Page,
  type PtePointer,
  type Vma,
} from '../include/mm_types.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import { folio_get, folio_ref_count, page_folio } from '../include/page_ref.js';
import {
  PAGE_SIZE,
  mk_pte,
  pte_mkdirty,
  pte_mksoft_dirty,
  pte_mkwrite,
  pte_offset_map_lock,
  pte_soft_dirty,
  pteUnchanged,
  pte_unmap_unlock,
  type Pte,
  set_pte,
} from '../include/pgtable.js';
import { userfaultfd_pte_wp, userfaultfd_wp } from '../include/userfaultfd_k.js';
import { handle_userfault } from '../fs/userfaultfd.js';
import { current, knob } from '../kernel.js';
import { lockdep_assert_held } from '../include/lockdep.js';
import { vm_normal_page } from './memory.js';
import { fileRss, wp_page_shared } from './memory-file.js';
import { alloc_page } from './page_alloc.js';
import { folio_add_new_anon_rmap, folio_move_anon_rmap, folio_remove_rmap_pte } from './rmap.js';
import { vmf_anon_prepare } from './rmap-anon_vma.js';
import { fbatches, folio_add_lru_vma, folio_put, lru_add_drain } from './swap.js';
import { free_swap_cache } from './swap_state.js';
import { folio_free_swap } from './swapfile.js';

import { copy_user_page, FAULT_FLAG, VM_FAULT, type VmFault } from './memory-fault.js';

/** The entry, writable if the VMA allows stores. @kernel 6.12 include/linux/mm.h maybe_mkwrite: adapted (the fault's flags say what the VMA allows) */
const maybe_mkwrite = (pte: Pte, { flags }: VmFault): Pte =>
  flags & FAULT_FLAG.FORCED ? pte : pte_mkwrite(pte);

/**
 * Whether the only reference of an anonymous folio is the mapping that faults.
 * @context PTL held
 * @kernel 6.12 mm/memory.c wp_can_reuse_anon_folio: faithful
 */
function* wp_can_reuse_anon_folio(folio: Folio, vma: Vma): Path<boolean> {
  if (yield* folio_test_ksm(folio)) return false;
  // Only where there are batches can one have a reference.
  if (fbatches() !== undefined) {
    if ((yield* folio_ref_count(folio)) > 3) return false;
    if (!(yield* testBits(folio.flags, PG.lru))) yield* lru_add_drain();
  }
  const swaps = current.kernel.swap !== undefined;
  const cached = swaps && (yield* testBits(folio.flags, PG.swapcache)) ? 1 : 0;
  if ((yield* folio_ref_count(folio)) > 1 + cached) return false;
  if (!(yield* folio_trylock(folio))) return false;
  if (swaps) yield* folio_free_swap(folio);
  if (!(yield* equals(folio._refcount, 1))) {
    yield* folio_unlock(folio);
    return false;
  }
  lockdep_assert_held(folio.lock); // folio_move_anon_rmap()
  yield* folio_move_anon_rmap(folio, vma);
  yield* setBits(folio.flags, PG.anon_exclusive);
  yield* folio_unlock(folio);
  return true;
}

/** Whether a page that is written to may stay where it is: knob cow.reuse. @context PTL held */
function* mayReuse(page: Page, folio: Folio, vma: Vma): Path<boolean> {
  const rule = knob('cow.reuse');
  if (rule === 'page-count') return yield* reuseByPageCount(folio);
  if (rule === 'map-count') return yield* reuseByMapCount(folio);
  return (yield* testBits(page.flags, PG.anon_exclusive)) || (yield* wp_can_reuse_anon_folio(folio, vma));
}

/** @context PTL held @kernel 5.14 mm/memory.c do_wp_page: adapted (the part that decides for anonymous pages) */
function* reuseByPageCount(folio: Folio): Path<boolean> {
  if (yield* folio_test_ksm(folio)) return false;
  if (!(yield* equals(folio._refcount, 1))) return false;
  if (!(yield* folio_trylock(folio))) return false;
  const alone = (yield* equals(folio._mapcount, 1)) && (yield* equals(folio._refcount, 1));
  if (alone) yield* setBits(folio.flags, PG.anon_exclusive);
  yield* folio_unlock(folio);
  return alone;
}

/** @context PTL held @kernel 5.8 mm/swapfile.c reuse_swap_page: adapted (without the swap count; a locked page is copied) */
function* reuseByMapCount(folio: Folio): Path<boolean> {
  if (yield* folio_test_ksm(folio)) return false;
  if (!(yield* folio_trylock(folio))) return false;
  const alone = yield* equals(folio._mapcount, 1);
  if (alone) yield* setBits(folio.flags, PG.anon_exclusive);
  yield* folio_unlock(folio);
  return alone;
}

/**
 * A store to a write-protected private page: reuse it if it is ours alone, else copy it.
 * @context PTL held at entry, dropped at return; mmap_lock held for read
 * @kernel 6.12 mm/memory.c do_wp_page: adapted (no PFN maps)
 */
export function* do_wp_page(vmf: VmFault, ptep: PtePointer, ptl: Cell): Path<number> {
  if (!(vmf.flags & FAULT_FLAG.UNSHARE)) {
    if (userfaultfd_pte_wp(vmf.vma, vmf.orig_pte)) {
      yield* pte_unmap_unlock(ptl);
      return yield* handle_userfault(vmf);
    }
    // uffd_wp_range() flushes after it has dropped the PTL: nobody may write to the page while it is copied.
    if (userfaultfd_wp(vmf.vma) && (yield* mm_tlb_flush_pending(vmf.mm)))
      yield* flush_tlb_page(vmf.mm, vmf.address);
  }
  const page = vm_normal_page(vmf.orig_pte);
  const folio = page === undefined ? undefined : yield* page_folio(page);
  // Only a mapping of a file may be shared: without files nobody has to look.
  if (
    folio !== undefined &&
    current.kernel.inodes !== undefined &&
    (yield* load(vmf.vma.vm_flags)) & VM.SHARED
  )
    return yield* wp_page_shared(vmf, ptep, ptl, folio);
  if (page !== undefined && folio !== undefined && (yield* folio_test_anon(folio))) {
    if (yield* mayReuse(page, folio, vmf.vma)) {
      if (!(vmf.flags & FAULT_FLAG.UNSHARE))
        yield* set_pte(ptep, maybe_mkwrite(pte_mkdirty(vmf.orig_pte), vmf));
      yield* pte_unmap_unlock(ptl);
      return VM_FAULT.NONE;
    }
  }
  if (folio !== undefined) yield* folio_get(folio);
  yield* pte_unmap_unlock(ptl);
  return yield* wp_page_copy(vmf, page, folio);
}

/**
 * Copies the page and puts the copy in its place: clear and flush first, then the new entry, and only then the old
 * page's map count, so that nobody reuses the old page while a TLB still reaches it.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/memory.c wp_page_copy: faithful (no accounting)
 */
function* wp_page_copy(vmf: VmFault, old_page: Page | undefined, old_folio: Folio | undefined): Path<number> {
  const { mm, vma, address, pmd } = vmf;
  yield* vmf_anon_prepare(vma);
  const new_folio = yield* alloc_page();
  if (new_folio === undefined) {
    if (old_folio !== undefined) yield* folio_put(old_folio);
    return VM_FAULT.OOM;
  }
  yield* copy_user_page(new_folio, old_page);
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, address, address + PAGE_SIZE);
  yield* mmu_notifier_invalidate_range_start(range);
  let unused: Folio | undefined = new_folio;
  let copied = false;
  const mapped = yield* pte_offset_map_lock(pmd, address);
  if (mapped !== undefined && (yield* pteUnchanged(mapped.ptep, vmf.orig_pte))) {
    const ofFile =
      old_folio !== undefined && current.kernel.inodes !== undefined && !(yield* folio_test_anon(old_folio));
    if (ofFile) yield* add(fileRss(mm), -1);
    if (ofFile || old_page === undefined) yield* add(mm.anon_rss, 1);
    let entry = mk_pte(new_folio, PTE.PRESENT | PTE.USER);
    if (!(vmf.flags & FAULT_FLAG.UNSHARE)) entry = maybe_mkwrite(pte_mkdirty(entry), vmf);
    else if (pte_soft_dirty(vmf.orig_pte)) entry = pte_mksoft_dirty(entry);
    if (knob('cow.order') === 'clear-flush-set') yield* ptep_clear_flush(mm, address, mapped.ptep);
    yield* folio_add_new_anon_rmap(new_folio, vma, address);
    yield* folio_add_lru_vma(new_folio, vma);
    yield* set_pte(mapped.ptep, entry);
    if (knob('cow.order') === 'set-flush') yield* flush_tlb_page(mm, address);
    if (old_page !== undefined) yield* folio_remove_rmap_pte(old_page, vma);
    unused = old_folio;
    copied = true;
  }
  if (mapped !== undefined) yield* pte_unmap_unlock(mapped.ptl);
  yield* mmu_notifier_invalidate_range_end(range);
  if (unused !== undefined) yield* folio_put(unused);
  if (old_folio !== undefined) {
    if (copied) yield* free_swap_cache(old_folio);
    yield* folio_put(old_folio);
  }
  return VM_FAULT.NONE;
}
