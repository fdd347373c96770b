// SPDX-License-Identifier: GPL-2.0-only
/** mm/ksm.c: two pages of the same contents become one. */
import type { Path } from '../../core/path.js';
import { equals, load, read, setBits, testBits, write } from '../../core/primitives.js';
import { makeSwapEntry, NO_FRAME, pfnOf, PTE, swapType } from '../../machine/pte.js';
import { ptep_clear_flush } from '../arch/tlb.js';
import { EFAULT } from '../include/errno.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import {
  type Folio,
  mm_tlb_flush_pending,
  type Mm,
  type Page,
  PG,
  VM,
  type Vma,
} from '../include/mm_types.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { folio_test_anon, PageAnonExclusive } from '../include/page-flags.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import { folio_get, folio_ref_count } from '../include/page_ref.js';
import {
  mk_pte,
  PAGE_SIZE,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmd_present,
  pmdp_get_lockless,
  type Pte,
  pte_dirty,
  pte_mkclean,
  pte_offset_map_lock,
  pte_page,
  pte_present,
  pte_special,
  pte_unmap_unlock,
  pte_wrprotect,
  pte_write,
  ptep_get,
  pteUnchanged,
  set_pte,
} from '../include/pgtable.js';
import { current, knob } from '../kernel.js';
import { PAGE_MAPPING_KSM } from './ksm.js';
import { find_vma } from './mmap.js';
import { vm_page_prot } from './mprotect.js';
import { folio_mark_dirty } from './page-writeback.js';
import { DEFINE_FOLIO_VMA_WALK, page_vma_mapped_walk, page_vma_mapped_walk_done } from './page_vma_mapped.js';
import {
  folio_add_anon_rmap_pte,
  folio_mapped,
  folio_remove_rmap_pte,
  folio_try_share_anon_rmap_pte,
} from './rmap.js';
import { folio_put } from './swap.js';
import { folio_free_swap } from './swapfile.js';

/** Nothing was found, or it is not to be merged. */
const NO_ENTRY = -1;

/** Where the VMA would map the page. @kernel 6.12 mm/rmap.c page_address_in_vma: adapted (anonymous small folios; whether the VMA has its anon_vma is not asked) */
function* page_address_in_vma(page: Page, vma: Vma): Path<number> {
  const index = yield* read(page.index);
  const vm_start = yield* load(vma.vm_start);
  return index - (yield* load(vma.vm_pgoff)) + vm_start;
}

/**
 * Knob ksm.nonpresent: pte_write(), pte_dirty(), pte_mkclean() and pte_wrprotect() of a swap-type entry, as x86-64 lays
 * entries out. RW is where the soft-dirty bit is, and the software dirty bit is the upper bit of the inverted offset: it is
 * set, and when it is cleared the entry names a PFN that does not exist.
 */
const needsProtection = (entry: Pte): boolean => !pte_present(entry) || pte_write(entry) || pte_dirty(entry);
const cleanWrprotect = (entry: Pte): Pte =>
  pte_present(entry)
    ? pte_wrprotect(pte_mkclean(entry))
    : makeSwapEntry(swapType(entry), NO_FRAME + pfnOf(entry), entry & PTE.UFFD_WP);

/**
 * Makes sure that nobody can write to the page: write-protects its entry, unless somebody has more references than the
 * mappings and the caller. The entry is cleared and flushed before the counts are compared: GUP-fast that comes later
 * sees that it has changed. Returns the entry as it is then, or {@link NO_ENTRY}.
 * @context folio locked and referenced; mmap_lock held for read; may sleep
 * @kernel 6.12 mm/ksm.c write_protect_page: adapted (returns the entry)
 */
function* write_protect_page(vma: Vma, folio: Folio): Path<Pte> {
  const mm = vma.vm_mm;
  const pvmw = DEFINE_FOLIO_VMA_WALK(folio, vma, yield* page_address_in_vma(folio, vma));
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, pvmw.address, pvmw.address + PAGE_SIZE);
  yield* mmu_notifier_invalidate_range_start(range);
  if (!(yield* page_vma_mapped_walk(pvmw))) {
    yield* mmu_notifier_invalidate_range_end(range);
    return NO_ENTRY;
  }
  const ptep = pvmw.ptep!;
  const anon_exclusive = yield* PageAnonExclusive(folio);
  let entry: Pte = yield* ptep_get(ptep);
  if (knob('ksm.nonpresent') === 'refused' && !pte_present(entry)) entry = NO_ENTRY;
  else if (needsProtection(entry) || anon_exclusive || (yield* mm_tlb_flush_pending(mm))) {
    const swapped = current.kernel.swap !== undefined && (yield* testBits(folio.flags, PG.swapcache)) ? 1 : 0;
    entry = yield* ptep_clear_flush(mm, pvmw.address, ptep);
    const mapcount = yield* read(folio._mapcount);
    const kept =
      mapcount + 1 + swapped !== (yield* folio_ref_count(folio)) ||
      (anon_exclusive && (yield* folio_try_share_anon_rmap_pte(folio, folio)) !== 0);
    if (kept) {
      yield* set_pte(ptep, entry);
      entry = NO_ENTRY;
    } else {
      if (!pte_present(entry) || pte_dirty(entry)) yield* folio_mark_dirty(folio);
      entry = cleanWrprotect(entry);
      yield* set_pte(ptep, entry);
    }
  }
  yield* page_vma_mapped_walk_done(pvmw);
  yield* mmu_notifier_invalidate_range_end(range);
  return entry;
}

/**
 * Maps `kpage` where the VMA maps `page`, if the entry is still the write-protected one.
 * @context page locked and referenced; mmap_lock held for read; may sleep
 * @kernel 6.12 mm/ksm.c replace_page: adapted (no zero page)
 */
function* replace_page(vma: Vma, page: Page, kpage: Page, orig_pte: Pte): Path<number> {
  const mm = vma.vm_mm;
  const addr = yield* page_address_in_vma(page, vma);
  const pmd = pmd_offset(mm, addr);
  const pmde = yield* pmdp_get_lockless(pmd);
  if (pmd_none(pmde) || !pmd_present(pmde) || pmd_leaf(pmde)) return -EFAULT;
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, addr, addr + PAGE_SIZE);
  yield* mmu_notifier_invalidate_range_start(range);
  let err = -EFAULT;
  const mapped = yield* pte_offset_map_lock(pmd, addr);
  if (mapped !== undefined) {
    if (yield* pteUnchanged(mapped.ptep, orig_pte)) {
      yield* folio_get(kpage);
      yield* folio_add_anon_rmap_pte(kpage);
      const newpte = mk_pte(kpage, vm_page_prot(yield* load(vma.vm_flags)));
      yield* ptep_clear_flush(mm, addr, mapped.ptep);
      yield* set_pte(mapped.ptep, newpte);
      yield* folio_remove_rmap_pte(page);
      if (current.kernel.swap !== undefined && !(yield* folio_mapped(page))) yield* folio_free_swap(page);
      yield* folio_put(page);
      err = 0;
    }
    yield* pte_unmap_unlock(mapped.ptl);
  }
  yield* mmu_notifier_invalidate_range_end(range);
  return err;
}

/** Whether the contents are the same. @kernel 6.12 mm/ksm.c pages_identical: adapted (contents are one token) */
function* pages_identical(page: Page, kpage: Page): Path<boolean> {
  const { data } = page.frame;
  if (data === undefined) return true;
  return yield* equals(kpage.frame.data!, yield* read(data));
}

/**
 * Merges a page with a KSM page of the same contents; without one it becomes a KSM page itself.
 * @context mmap_lock held for read; page referenced
 * @kernel 6.12 mm/ksm.c try_to_merge_one_page: adapted (small folios)
 */
export function* try_to_merge_one_page(vma: Vma, page: Page, kpage: Page | undefined): Path<number> {
  if (!(yield* folio_test_anon(page))) return -EFAULT;
  if (!(yield* folio_trylock(page))) return -EFAULT;
  let err = -EFAULT;
  const orig_pte = yield* write_protect_page(vma, page);
  if (orig_pte !== NO_ENTRY) {
    if (kpage === undefined) {
      yield* write(page.mapping, PAGE_MAPPING_KSM); // folio_set_stable_node(folio, NULL)
      yield* setBits(page.flags, PG.ksm);
      yield* folio_mark_dirty(page);
      err = 0;
    } else if (yield* pages_identical(page, kpage)) err = yield* replace_page(vma, page, kpage, orig_pte);
  }
  yield* folio_unlock(page);
  return err;
}

/**
 * The page that ksmd looks at next, with a reference: what a VM_MERGEABLE VMA maps at the address.
 * @context may sleep; takes mmap_lock for read
 * @kernel 6.12 mm/ksm.c get_mergeable_page: adapted (folio_walk_start() folded in)
 */
export function* get_mergeable_page(mm: Mm, addr: number): Path<Page | undefined> {
  yield* mmap_read_lock(mm);
  let page: Page | undefined;
  const vma = yield* find_vma(mm, addr);
  if (vma !== undefined && (yield* load(vma.vm_flags)) & VM.MERGEABLE) {
    const mapped = yield* pte_offset_map_lock(pmd_offset(mm, addr), addr);
    if (mapped !== undefined) {
      const pte = yield* ptep_get(mapped.ptep);
      if (pte_present(pte) && !pte_special(pte) && (yield* folio_test_anon(pte_page(pte)))) {
        page = pte_page(pte);
        yield* folio_get(page);
      }
      yield* pte_unmap_unlock(mapped.ptl);
    }
  }
  yield* mmap_read_unlock(mm);
  return page;
}

/**
 * As {@link try_to_merge_one_page}, for the VMA that is there now.
 * @context may sleep; takes mmap_lock for read; page referenced
 * @kernel 6.12 mm/ksm.c try_to_merge_with_ksm_page: adapted (the rmap item is not moved to the stable node)
 */
export function* try_to_merge_with_ksm_page(
  mm: Mm,
  addr: number,
  page: Page,
  kpage: Page | undefined,
): Path<number> {
  yield* mmap_read_lock(mm);
  let err = -EFAULT;
  const vma = yield* find_vma(mm, addr);
  if (vma !== undefined && (yield* load(vma.vm_flags)) & VM.MERGEABLE)
    err = yield* try_to_merge_one_page(vma, page, kpage);
  yield* mmap_read_unlock(mm);
  return err;
}
