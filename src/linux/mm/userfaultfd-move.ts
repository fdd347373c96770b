// SPDX-License-Identifier: GPL-2.0-only
/** mm/userfaultfd.c: UFFDIO_MOVE. */
import type { Path } from '../../core/path.js';
import { equals, load, read, testBits, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { PTE } from '../../machine/pte.js';
import { ptep_clear_flush } from '../arch/tlb.js';
import { EAGAIN, EBUSY, EEXIST, EFAULT, ENOENT } from '../include/errno.js';
import { assertFolioLocked } from '../include/lockdep.js';
import { PG, type Folio, type Mm, type PtePointer, type Vma } from '../include/mm_types.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import { folio_test_large, PageAnonExclusive } from '../include/page-flags.js';
import { folio_lock, folio_trylock, folio_unlock } from '../include/pagemap.js';
import { folio_get, folio_maybe_dma_pinned, page_folio } from '../include/page_ref.js';
import {
  mk_pte,
  PAGE_SIZE,
  type Pte,
  pte_dirty,
  pte_mkdirty,
  pte_mksoft_dirty,
  pte_mkwrite,
  pte_none,
  pte_offset_map_nolock,
  pte_page,
  pte_present,
  pte_special,
  pte_swp_mksoft_dirty,
  pte_unmap,
  ptep_get,
  ptep_get_and_clear,
  pteUnchanged,
  set_pte,
} from '../include/pgtable.js';
import { is_device_exclusive_entry, is_migration_entry, non_swap_entry } from '../include/swapops.js';
import { knob } from '../kernel.js';
import {
  spin_lock,
  spin_lock_nested,
  spin_unlock,
  SINGLE_DEPTH_NESTING,
} from '../kernel/locking/spinlock.js';
import { migration_entry_wait } from './migrate.js';
import { folio_mapped } from './rmap.js';
import { anon_vma_lock_write, anon_vma_trylock_write, anon_vma_unlock_write } from './rmap-anon_vma.js';
import { folio_put } from './swap.js';
import { SWAP_HAS_CACHE, slotOfEntry } from './swapfile.js';
import { filemap_get_folio } from './swap_state.js';

/** What the attempts have taken so far; given back at the end. */
interface Taken {
  /** Locked and referenced, unless the attempt ended with {@link Wait.FOLIO}. */
  src_folio: Folio | undefined;
  /** The entry for which it was taken. */
  src_folio_pte: Pte;
  /** Number of the anon_vma whose lock is held for write, 0 for none. */
  src_anon_vma: number;
}

/** What an attempt would have to sleep for, which it can't with the tables mapped. Not error numbers. */
const Wait = { FOLIO: 1, ANON_VMA: 2, MIGRATION: 3 } as const;

/** Where an entry goes from, and where to. */
interface Move {
  readonly mm: Mm;
  readonly dst_vma: Vma;
  readonly dst_addr: number;
  readonly src_addr: number;
  readonly dst_pte: PtePointer;
  readonly src_pte: PtePointer;
  readonly dst_ptl: Cell;
  readonly src_ptl: Cell;
}

/** Locks both tables, which may be one. @kernel 6.12 mm/userfaultfd.c double_pt_lock: faithful */
function* double_pt_lock(dst_ptl: Cell, src_ptl: Cell): Path {
  const first = dst_ptl.at <= src_ptl.at ? dst_ptl : src_ptl;
  yield* spin_lock(first);
  if (dst_ptl !== src_ptl)
    yield* spin_lock_nested(first === dst_ptl ? src_ptl : dst_ptl, SINGLE_DEPTH_NESTING);
}

/** @kernel 6.12 mm/userfaultfd.c double_pt_unlock: faithful */
function* double_pt_unlock(dst_ptl: Cell, src_ptl: Cell): Path {
  yield* spin_unlock(dst_ptl);
  if (dst_ptl !== src_ptl) yield* spin_unlock(src_ptl);
}

/** The folio belongs to another place in the address space. @context folio locked @kernel 6.12 mm/rmap.c folio_move_anon_rmap: adapted (the index as well) */
function* folio_move_anon_rmap(folio: Folio, vma: Vma, address: number): Path {
  assertFolioLocked(folio);
  yield* write(folio.mapping, yield* read(vma.anon_vma));
  const vm_start = yield* load(vma.vm_start);
  yield* write(folio.index, address - vm_start + (yield* load(vma.vm_pgoff)));
}

/** Knob move_pages.pinned: whether the folio may be pinned, asked before the entry is cleared and after. @context both PTLs held */
function* isPinned(folio: Folio): Path<boolean> {
  return knob('move_pages.pinned') === 'looked-at' && (yield* folio_maybe_dma_pinned(folio));
}

/**
 * Moves a present entry. It is cleared and flushed first, then the pins are looked at again: GUP-fast that has taken one
 * meanwhile is seen, or sees that the entry has changed.
 * @context folio locked, anon_vma lock held for write
 * @kernel 6.12 mm/userfaultfd.c move_present_pte: faithful
 */
function* move_present_pte(move: Move, orig_src_pte: Pte, folio: Folio): Path<number> {
  const { mm, dst_pte, src_pte, dst_ptl, src_ptl } = move;
  yield* double_pt_lock(dst_ptl, src_ptl);
  let err = 0;
  if (!(yield* pteUnchanged(src_pte, orig_src_pte)) || !(yield* pteUnchanged(dst_pte, 0))) err = -EAGAIN;
  else if ((yield* isPinned(folio)) || !(yield* PageAnonExclusive(folio))) err = -EBUSY;
  else {
    const pteval = yield* ptep_clear_flush(mm, move.src_addr, src_pte);
    if (yield* isPinned(folio)) {
      yield* set_pte(src_pte, pteval);
      err = -EBUSY;
    } else {
      yield* folio_move_anon_rmap(folio, move.dst_vma, move.dst_addr);
      let pte = pte_mksoft_dirty(mk_pte(folio, PTE.PRESENT | PTE.USER));
      if (pte_dirty(pteval)) pte = pte_mkdirty(pte);
      yield* set_pte(dst_pte, pte_mkwrite(pte));
    }
  }
  yield* double_pt_unlock(dst_ptl, src_ptl);
  return err;
}

/**
 * Moves a swap entry. A folio in the swap cache goes with it: the fault at the new place would find it there.
 * @context folio locked, if there is one
 * @kernel 6.12 mm/userfaultfd.c move_swap_pte: faithful
 */
function* move_swap_pte(move: Move, orig_src_pte: Pte, folio: Folio | undefined): Path<number> {
  const { dst_pte, src_pte, dst_ptl, src_ptl } = move;
  const slot = non_swap_entry(orig_src_pte) ? undefined : slotOfEntry(orig_src_pte);
  if (folio !== undefined) {
    const cached =
      (yield* testBits(folio.flags, PG.swapcache)) && (yield* equals(folio.swap!, slot!.number + 1));
    if (!cached) return -EAGAIN;
  }
  yield* double_pt_lock(dst_ptl, src_ptl);
  let err = 0;
  if (!(yield* pteUnchanged(src_pte, orig_src_pte)) || !(yield* pteUnchanged(dst_pte, 0))) err = -EAGAIN;
  else if (folio !== undefined) yield* folio_move_anon_rmap(folio, move.dst_vma, move.dst_addr);
  // Somebody reads it in: the folio would keep the old place.
  else if (slot !== undefined && (yield* testBits(slot.map, SWAP_HAS_CACHE))) err = -EAGAIN;
  if (err === 0) {
    const pteval = yield* ptep_get_and_clear(src_pte);
    yield* set_pte(dst_pte, pte_swp_mksoft_dirty(pteval));
  }
  yield* double_pt_unlock(dst_ptl, src_ptl);
  return err;
}

/** Knob move_pages.exclusive. */
const tells = (): boolean => knob('move_pages.exclusive') === 'refused';

/**
 * One attempt, with both tables mapped. Returns 0, a negative error number, or what to {@link Wait} for.
 * @context mmap_lock held for read; may not sleep
 * @kernel 6.12 mm/userfaultfd.c move_pages_pte: adapted (the part from retry: on; small folios)
 */
function* attemptMove(move: Move, taken: Taken): Path<number> {
  const { dst_pte, src_pte, dst_ptl, src_ptl } = move;
  yield* spin_lock(dst_ptl);
  const orig_dst_pte = yield* ptep_get(dst_pte);
  yield* spin_unlock(dst_ptl);
  if (!pte_none(orig_dst_pte)) return -EEXIST;
  yield* spin_lock(src_ptl);
  const orig_src_pte = yield* ptep_get(src_pte);
  yield* spin_unlock(src_ptl);
  if (pte_none(orig_src_pte)) return -ENOENT;
  if (taken.src_folio !== undefined && taken.src_folio_pte !== orig_src_pte) return -EAGAIN;
  if (pte_present(orig_src_pte)) {
    if (taken.src_folio === undefined) {
      const err = yield* takeSource(move, orig_src_pte, taken);
      if (err !== 0) return err;
    }
    const folio = taken.src_folio!;
    if (yield* folio_test_large(folio)) return -EBUSY; // split_folio()
    if (taken.src_anon_vma === 0) {
      // The rmap walk of folio_referenced() comes without the folio lock.
      const anon_vma = yield* read(folio.mapping);
      if (anon_vma === 0 || !(yield* folio_mapped(folio))) return -EAGAIN;
      if (!(yield* anon_vma_trylock_write(anon_vma))) return Wait.ANON_VMA;
      taken.src_anon_vma = anon_vma;
    }
    return yield* move_present_pte(move, orig_src_pte, folio);
  }
  if (is_migration_entry(orig_src_pte)) return Wait.MIGRATION;
  if (non_swap_entry(orig_src_pte)) {
    if (tells() || !is_device_exclusive_entry(orig_src_pte)) return -EFAULT;
    return yield* move_swap_pte(move, orig_src_pte, undefined);
  }
  if (!(orig_src_pte & PTE.EXCLUSIVE)) return -EBUSY; // pte_swp_exclusive()
  if (taken.src_folio === undefined) {
    const folio = yield* filemap_get_folio(slotOfEntry(orig_src_pte));
    if (folio !== undefined) {
      taken.src_folio = folio;
      taken.src_folio_pte = orig_src_pte;
      if (!(yield* folio_trylock(folio))) return Wait.FOLIO;
    }
  }
  return yield* move_swap_pte(move, orig_src_pte, taken.src_folio);
}

/** Locks the folio of a present entry, with a reference; 0 if it could. @context tables mapped */
function* takeSource({ src_pte, src_ptl }: Move, orig_src_pte: Pte, taken: Taken): Path<number> {
  yield* spin_lock(src_ptl);
  if (!(yield* pteUnchanged(src_pte, orig_src_pte))) {
    yield* spin_unlock(src_ptl);
    return -EAGAIN;
  }
  const page = pte_page(orig_src_pte);
  if (pte_special(orig_src_pte) || !(yield* PageAnonExclusive(page))) {
    yield* spin_unlock(src_ptl);
    return -EBUSY;
  }
  const folio = yield* page_folio(page);
  const locked = yield* folio_trylock(folio);
  yield* folio_get(folio);
  taken.src_folio = folio;
  taken.src_folio_pte = orig_src_pte;
  yield* spin_unlock(src_ptl);
  return locked ? 0 : Wait.FOLIO;
}

/**
 * Moves the entry of one page. The notifier range covers the place that it leaves, whatever comes of it. With the tables
 * mapped nothing may sleep: what has to be waited for is, without them, and then it begins again. Returns 0 or a
 * negative error number, of which -EAGAIN asks for another call.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/userfaultfd.c move_pages_pte: adapted (small folios, no zero page, no holes)
 */
export function* move_pages_pte(
  mm: Mm,
  dst_pmd: Cell,
  src_pmd: Cell,
  dst_vma: Vma,
  dst_addr: number,
  src_addr: number,
): Path<number> {
  const taken: Taken = { src_folio: undefined, src_folio_pte: 0, src_anon_vma: 0 };
  const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, mm, src_addr, src_addr + PAGE_SIZE);
  if (tells()) yield* mmu_notifier_invalidate_range_start(range);
  let err: number;
  for (;;) {
    const dst = yield* pte_offset_map_nolock(dst_pmd, dst_addr);
    if (dst === undefined) {
      err = -EAGAIN;
      break;
    }
    const src = yield* pte_offset_map_nolock(src_pmd, src_addr);
    if (src === undefined) {
      yield* pte_unmap();
      err = -EAGAIN;
      break;
    }
    err = yield* attemptMove(
      {
        mm,
        dst_vma,
        dst_addr,
        src_addr,
        dst_pte: dst.ptep,
        src_pte: src.ptep,
        dst_ptl: dst.ptl,
        src_ptl: src.ptl,
      },
      taken,
    );
    yield* pte_unmap();
    yield* pte_unmap();
    if (err === Wait.FOLIO) yield* folio_lock(taken.src_folio!);
    else if (err === Wait.ANON_VMA) {
      const anon_vma = yield* read(taken.src_folio!.mapping);
      yield* anon_vma_lock_write(anon_vma);
      taken.src_anon_vma = anon_vma;
    } else break;
  }
  if (err === Wait.MIGRATION) {
    yield* migration_entry_wait(mm, src_pmd, src_addr);
    err = -EAGAIN;
  }
  if (taken.src_anon_vma !== 0) yield* anon_vma_unlock_write(taken.src_anon_vma);
  if (taken.src_folio !== undefined) {
    yield* folio_unlock(taken.src_folio);
    yield* folio_put(taken.src_folio);
  }
  if (tells()) yield* mmu_notifier_invalidate_range_end(range);
  return err;
}
