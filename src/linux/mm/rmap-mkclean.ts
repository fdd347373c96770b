// SPDX-License-Identifier: GPL-2.0-only
/** mm/rmap.c: entries are cleaned and write-protected for writeback. */
import type { Path } from '../../core/path.js';
import { load } from '../../core/primitives.js';
import { makeSwapEntry, NO_FRAME, pfnOf, PTE, swapType } from '../../machine/pte.js';
import { ptep_clear_flush } from '../arch/tlb.js';
import { assertFolioLocked } from '../include/lockdep.js';
import { type Folio, VM, type Vma } from '../include/mm_types.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../include/mmu_notifier.js';
import {
  PAGE_SIZE,
  type Pte,
  pte_dirty,
  pte_mkclean,
  pte_present,
  pte_wrprotect,
  pte_write,
  ptep_get,
  set_pte,
} from '../include/pgtable.js';
import { knob } from '../kernel.js';
import { DEFINE_FOLIO_VMA_WALK, page_vma_mapped_walk } from './page_vma_mapped.js';
import { folio_mapped, rmapWalkBegin, rmapWalkEnd } from './rmap.js';

/**
 * Knob mkclean.nonpresent: pte_wrprotect() and pte_mkclean() of a swap-type entry. On x86-64 the software dirty bit is
 * the upper bit of its inverted offset: without it the entry names a PFN that does not exist.
 */
const cleanWrprotect = (entry: Pte): Pte =>
  pte_present(entry)
    ? pte_mkclean(pte_wrprotect(entry))
    : makeSwapEntry(swapType(entry), NO_FRAME + pfnOf(entry), entry & PTE.UFFD_WP);

/**
 * Write-protects and cleans the folio's entries in one VMA, so that the next store faults. Whoever mirrors the VMA is told
 * before. Returns how many entries it changed.
 * @context folio locked; may sleep
 * @kernel 6.12 mm/rmap.c page_vma_mkclean_one: adapted (small folios)
 */
function* page_vma_mkclean_one(folio: Folio, vma: Vma, address: number): Path<number> {
  const mm = vma.vm_mm;
  let cleaned = 0;
  const pvmw = DEFINE_FOLIO_VMA_WALK(folio, vma, address);
  const range = mmu_notifier_range_init(MMU_NOTIFY.PROTECTION_PAGE, 0, mm, address, address + PAGE_SIZE);
  yield* mmu_notifier_invalidate_range_start(range);
  while (yield* page_vma_mapped_walk(pvmw)) {
    const ptep = pvmw.ptep!;
    const found = yield* ptep_get(ptep);
    if (!pte_present(found) && knob('mkclean.nonpresent') === 'skipped') continue;
    if (pte_present(found) && !pte_dirty(found) && !pte_write(found)) continue;
    const entry = yield* ptep_clear_flush(mm, pvmw.address, ptep);
    yield* set_pte(ptep, cleanWrprotect(entry));
    cleaned++;
  }
  yield* mmu_notifier_invalidate_range_end(range);
  return cleaned;
}

/**
 * Before a page of a file is written out: no process may store to it without a fault. A folio that is not mapped needs
 * nothing. Returns how many entries were dirty or writable.
 * @context folio locked; may sleep
 * @kernel 6.12 mm/rmap.c folio_mkclean: adapted (the mappings are found as those of an anonymous folio are)
 */
export function* folio_mkclean(folio: Folio): Path<number> {
  assertFolioLocked(folio);
  if (!(yield* folio_mapped(folio))) return 0;
  let cleaned = 0;
  const walk = yield* rmapWalkBegin(folio);
  for (const { vma, address } of walk.targets) {
    const skipped = ((yield* load(vma.vm_flags)) & VM.SHARED) === 0; // invalid_mkclean_vma()
    if (!skipped) cleaned += yield* page_vma_mkclean_one(folio, vma, address);
  }
  yield* rmapWalkEnd(walk);
  return cleaned;
}
