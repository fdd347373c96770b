// SPDX-License-Identifier: GPL-2.0-only
/** mm/huge_memory.c: faults on anonymous memory that a PMD maps, or is to map. */
import type { Path } from '../../core/path.js';
import { add, equals, load, setBits } from '../../core/primitives.js';
import { PTE } from '../../machine/pte.js';
import { PG, VM, type Folio, type Vma } from '../include/mm_types.js';
import { nth_page, PageAnonExclusive } from '../include/page-flags.js';
import { folio_get, folio_ref_count, page_folio } from '../include/page_ref.js';
import { folio_lock, folio_trylock, folio_unlock } from '../include/pagemap.js';
import {
  HPAGE_PMD_NR,
  mk_pte,
  pmd_page,
  pmdUnchanged,
  type Pmd,
  pte_mkdirty,
  pte_mkwrite,
  set_pmd,
} from '../include/pgtable.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { lockdep_assert_held } from '../include/lockdep.js';
import { __split_huge_pmd } from './huge_memory.js';
import { clear_user_highpage, FAULT_FLAG, VM_FAULT, type VmFault } from './memory-fault.js';
import { alloc_charge_folio, free_unref_page, pte_alloc_one } from './page_alloc.js';
import { pgtable_trans_huge_deposit } from './pgtable-generic.js';
import { folio_move_anon_rmap } from './rmap.js';
import { vmf_anon_prepare } from './rmap-anon_vma.js';
import { folio_add_new_anon_rmap_pmd } from './rmap-large.js';
import { folio_add_lru_vma, folio_put } from './swap.js';

const haddrOf = (address: number): number => address - (address % HPAGE_PMD_NR());

/**
 * Whether a fault may map a folio of the size of a PMD.
 * @context mmap_lock held
 * @kernel 6.12 include/linux/huge_mm.h thp_vma_allowable_order, thp_vma_suitable_order: adapted (anonymous memory with MADV_HUGEPAGE, as with enabled=madvise)
 */
export function* thp_vma_allowable_order(vma: Vma, address: number): Path<boolean> {
  const haddr = haddrOf(address);
  const vm_flags = yield* load(vma.vm_flags);
  if (!(vm_flags & VM.HUGEPAGE) || vm_flags & (VM.SHARED | VM.NOHUGEPAGE)) return false;
  if ((yield* load(vma.vm_file)) !== 0) return false;
  return haddr >= (yield* load(vma.vm_start)) && haddr + HPAGE_PMD_NR() <= (yield* load(vma.vm_end));
}

/** The PMD, writable if the VMA allows stores. @context mmap_lock held @kernel 6.12 mm/huge_memory.c maybe_pmd_mkwrite: faithful */
function* maybe_pmd_mkwrite(pmd: Pmd, vma: Vma): Path<Pmd> {
  return (yield* load(vma.vm_flags)) & VM.WRITE ? pte_mkwrite(pmd) : pmd;
}

/**
 * Maps a new folio by an empty PMD, and keeps a page table for the day when it is split.
 * @context mmap_lock held; may sleep
 * @kernel 6.12 mm/huge_memory.c __do_huge_pmd_anonymous_page: adapted (no userfaultfd, no memory cgroup, no deferred split)
 */
function* __do_huge_pmd_anonymous_page(vmf: VmFault, folio: Folio): Path<number> {
  const { mm, vma, address, pmd } = vmf;
  const haddr = haddrOf(address);
  const pgtable = yield* pte_alloc_one();
  if (pgtable === undefined) {
    yield* folio_put(folio);
    return VM_FAULT.OOM;
  }
  for (let i = 0; i < HPAGE_PMD_NR(); i++) yield* clear_user_highpage(nth_page(folio, i));
  yield* spin_lock(mm.page_table_lock);
  if (!(yield* pmdUnchanged(pmd, 0))) {
    yield* spin_unlock(mm.page_table_lock);
    yield* free_unref_page(pgtable);
    yield* folio_put(folio);
    return VM_FAULT.NONE;
  }
  const entry = pte_mkdirty(mk_pte(folio, PTE.PRESENT | PTE.USER | PTE.PSE));
  const writable = yield* maybe_pmd_mkwrite(entry, vma);
  yield* folio_add_new_anon_rmap_pmd(folio, vma, haddr);
  yield* folio_add_lru_vma(folio, vma);
  yield* pgtable_trans_huge_deposit(mm, haddr, pgtable);
  yield* set_pmd(pmd, writable);
  yield* add(mm.anon_rss, HPAGE_PMD_NR());
  yield* spin_unlock(mm.page_table_lock);
  return VM_FAULT.NONE;
}

/**
 * Serves a fault where nothing is mapped by a folio of the size of a PMD; VM_FAULT.FALLBACK: small pages have to do.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/huge_memory.c do_huge_pmd_anonymous_page: adapted (no huge zero page: a load maps a folio as well)
 */
export function* do_huge_pmd_anonymous_page(vmf: VmFault): Path<number> {
  yield* vmf_anon_prepare(vmf.vma);
  const folio = yield* alloc_charge_folio();
  if (folio === undefined) return VM_FAULT.FALLBACK;
  return yield* __do_huge_pmd_anonymous_page(vmf, folio);
}

/**
 * A store to a folio that a PMD maps read-only: it stays if it is ours alone, else the PMD is split, and the page that
 * was written to is copied (VM_FAULT.FALLBACK).
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/huge_memory.c do_huge_pmd_wp_page: adapted (no huge zero page, no swap cache)
 */
export function* do_huge_pmd_wp_page(vmf: VmFault, orig_pmd: Pmd): Path<number> {
  const { mm, vma, address, pmd, flags } = vmf;
  yield* spin_lock(mm.page_table_lock);
  if (!(yield* pmdUnchanged(pmd, orig_pmd))) {
    yield* spin_unlock(mm.page_table_lock);
    return VM_FAULT.NONE;
  }
  const page = pmd_page(orig_pmd);
  const folio = yield* page_folio(page);
  let reuse = yield* PageAnonExclusive(page);
  if (!reuse) {
    if (!(yield* folio_trylock(folio))) {
      yield* folio_get(folio);
      yield* spin_unlock(mm.page_table_lock);
      yield* folio_lock(folio);
      yield* spin_lock(mm.page_table_lock);
      if (!(yield* pmdUnchanged(pmd, orig_pmd))) {
        yield* spin_unlock(mm.page_table_lock);
        yield* folio_unlock(folio);
        yield* folio_put(folio);
        return VM_FAULT.NONE;
      }
      yield* folio_put(folio);
    }
    reuse = yield* PageAnonExclusive(page);
    if (!reuse && (yield* folio_ref_count(folio)) <= 1 && (yield* equals(folio._refcount, 1))) {
      lockdep_assert_held(folio.lock); // folio_move_anon_rmap()
      yield* folio_move_anon_rmap(folio, vma);
      yield* setBits(page.flags, PG.anon_exclusive);
      reuse = true;
    }
    yield* folio_unlock(folio);
  }
  if (reuse && !(flags & FAULT_FLAG.UNSHARE))
    yield* set_pmd(pmd, yield* maybe_pmd_mkwrite(pte_mkdirty(orig_pmd), vma));
  yield* spin_unlock(mm.page_table_lock);
  if (reuse) return VM_FAULT.NONE;
  yield* __split_huge_pmd(mm, address, false);
  return VM_FAULT.FALLBACK;
}
