// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { equals, testBits } from '../../core/primitives.js';
import { PG, type Folio } from '../include/mm_types.js';
import { mmu_notifier_clear_young } from '../include/mmu_notifier-hooks.js';
import { PAGE_SIZE } from '../include/pgtable.js';
import { folioUnchanged, folio_try_get, page_folio } from '../include/page_ref.js';
import { pfn_to_online_page } from './memory_hotplug.js';
import { DEFINE_FOLIO_VMA_WALK, page_vma_mapped_walk } from './page_vma_mapped.js';
import { folio_mapped, rmapWalkBegin, rmapWalkEnd } from './rmap.js';
import { folio_put } from './swap.js';

/**
 * Takes a reference on the user page of a PFN: any PFN that user space writes into the idle bitmap. Interrupts stay on
 * and nothing is an RCU reader: a PFN walker.
 * @context may sleep
 * @kernel 6.12 mm/page_idle.c page_idle_get_folio: faithful
 */
export function* page_idle_get_folio(pfn: number): Path<Folio | undefined> {
  const page = yield* pfn_to_online_page(pfn);
  if (page === undefined || !(yield* equals(page.compound_head, 0))) return undefined; // PageTail()
  const folio = yield* page_folio(page);
  if (!(yield* testBits(folio.flags, PG.lru))) return undefined;
  if (!(yield* folio_try_get(folio))) return undefined;
  if (yield* folioUnchanged(page, folio)) {
    if (yield* testBits(folio.flags, PG.lru)) return folio;
  }
  yield* folio_put(folio);
  return undefined;
}

/**
 * Looks through the mappings of a folio whether it was used. An anonymous folio need not be locked for that, so it may
 * be just about to be mapped, or not any more. Returns how many entries it found; less than 0 if it did not look.
 * @context folio referenced; may sleep
 * @kernel 6.12 mm/page_idle.c page_idle_clear_pte_refs: adapted (anonymous folios; entries have no accessed bits, devices may)
 */
export function* page_idle_clear_pte_refs(folio: Folio): Path<number> {
  if (!(yield* folio_mapped(folio))) return -1;
  let found = 0;
  const walk = yield* rmapWalkBegin(folio);
  for (const { vma, address } of walk.targets) {
    const pvmw = DEFINE_FOLIO_VMA_WALK(folio, vma, address);
    while (yield* page_vma_mapped_walk(pvmw)) {
      found++;
      yield* mmu_notifier_clear_young(vma.vm_mm, address, address + PAGE_SIZE); // ptep_clear_young_notify()
    }
  }
  yield* rmapWalkEnd(walk);
  return found;
}
