// SPDX-License-Identifier: GPL-2.0-only
/** mm/huge_memory.c: the protection of what a PMD maps is changed. */
import type { Path } from '../../core/path.js';
import type { Cell } from '../../core/system.js';
import type { Vma } from '../include/mm_types.js';
import { folio_test_anon, PageAnonExclusive } from '../include/page-flags.js';
import { page_folio } from '../include/page_ref.js';
import {
  HPAGE_PMD_NR,
  pmd_leaf,
  pmd_page,
  pmd_protnone,
  pmd_write,
  pmdp_get_lockless,
  type Pmd,
  pte_mkwrite,
  set_pmd,
} from '../include/pgtable.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { pte_needs_soft_dirty_wp } from './internal.js';
import { type MmuGather, __tlb_adjust_range } from './mmu_gather.js';
import { MM_CP, pte_modify, pte_needs_flush } from './mprotect.js';
import { pmdp_invalidate_ad } from './pgtable-generic.js';

/** Whether the PMD may become writable without a fault. @context pmd lock held @kernel 6.12 mm/huge_memory.c can_change_pmd_writable: adapted (private mappings, no userfaultfd) */
function* can_change_pmd_writable(vma: Vma, pmd: Pmd): Path<boolean> {
  if (pmd_protnone(pmd)) return false;
  if (yield* pte_needs_soft_dirty_wp(vma, pmd)) return false;
  const page = pmd_page(pmd);
  return (yield* folio_test_anon(yield* page_folio(page))) && (yield* PageAnonExclusive(page));
}

/**
 * Gives a huge PMD another protection; false if it is huge no longer. It is never none in between, since who walks the
 * tables without the lock would skip it, and not present when it is read, so that no dirty bit is lost. The caller flushes.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/huge_memory.c change_huge_pmd: adapted (no migration entry at the PMD, no NUMA hints, no uffd-wp)
 */
export function* change_huge_pmd(
  tlb: MmuGather,
  vma: Vma,
  pmd: Cell,
  addr: number,
  newprot: number,
  cp_flags: number,
): Path<boolean> {
  const mm = vma.vm_mm;
  yield* spin_lock(mm.page_table_lock);
  if (!pmd_leaf(yield* pmdp_get_lockless(pmd))) {
    yield* spin_unlock(mm.page_table_lock);
    return false;
  }
  const oldpmd = yield* pmdp_invalidate_ad(pmd);
  let entry = pte_modify(oldpmd, newprot);
  if (
    cp_flags & MM_CP.TRY_CHANGE_WRITABLE &&
    !pmd_write(entry) &&
    (yield* can_change_pmd_writable(vma, entry))
  )
    entry = pte_mkwrite(entry);
  yield* set_pmd(pmd, entry);
  if (pte_needs_flush(oldpmd, entry)) __tlb_adjust_range(tlb, addr, HPAGE_PMD_NR()); // huge_pmd_needs_flush()
  yield* spin_unlock(mm.page_table_lock);
  return true;
}
