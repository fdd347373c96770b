// SPDX-License-Identifier: GPL-2.0-only
/** mm/migrate_device.c: a page of device memory is mapped where nothing was. */
import type { Path } from '../../core/path.js';
import { add, load } from '../../core/primitives.js';
import { pfnOf } from '../../machine/pte.js';
import { ptep_clear_flush } from '../arch/tlb.js';
import {
  folio_is_device_coherent,
  folio_is_device_private,
  folio_is_zone_device,
} from '../include/memremap.js';
import { MIGRATE_PFN, type MigrateVma } from '../include/migrate.js';
import { is_zero_pfn, vma_is_anonymous } from '../include/mm.js';
import { VM, type Folio, type Page, type Vma } from '../include/mm_types.js';
import { folio_get, page_folio } from '../include/page_ref.js';
import {
  mk_pte,
  pmd_leaf,
  pmd_offset,
  pmdp_get_lockless,
  type Pte,
  pte_mkdirty,
  pte_mkwrite,
  pte_none,
  pte_offset_map_lock,
  pte_present,
  pte_unmap_unlock,
  ptep_get,
  set_pte,
} from '../include/pgtable.js';
import {
  make_readable_device_private_entry,
  make_writable_device_private_entry,
} from '../include/swapops.js';
import { knob } from '../kernel.js';
import { pte_alloc } from './memory-fault.js';
import { vm_page_prot } from './mprotect.js';
import { folio_add_new_anon_rmap } from './rmap.js';
import { anon_vma_prepare } from './rmap-anon_vma.js';
import { folio_add_lru_vma } from './swap.js';
import { pmd_alloc } from './memory-pmd.js';

/** The entry for the new page, undefined if it is of a kind that is not mapped like that. @context mmap_lock held @kernel 6.12 mm/migrate_device.c migrate_vma_insert_page: adapted (the part that makes the entry) */
function* entryFor(vma: Vma, page: Page, folio: Folio): Path<Pte | undefined> {
  const vm_flags = yield* load(vma.vm_flags);
  if (yield* folio_is_device_private(folio))
    return vm_flags & VM.WRITE
      ? make_writable_device_private_entry(page.pfn)
      : make_readable_device_private_entry(page.pfn, 0);
  if ((yield* folio_is_zone_device(folio)) && !(yield* folio_is_device_coherent(folio))) return undefined;
  const entry = mk_pte(page, vm_page_prot(vm_flags));
  return vm_flags & VM.WRITE ? pte_mkwrite(pte_mkdirty(entry)) : entry;
}

/**
 * Maps a page that the device has made where there was nothing, or the zero page. Nothing has kept that as it was since
 * migrate_vma_setup(): it is looked at again under the PTL. Returns what src says then: without MIGRATE if the page was
 * not wanted any more.
 * @context mmap_lock held for read, page locked and referenced; may sleep
 * @kernel 6.12 mm/migrate_device.c migrate_vma_insert_page: adapted (no memcg, no uptodate bit, no userfaultfd for missing pages, no check_stable_address_space(); upper levels folded)
 */
export function* migrate_vma_insert_page(
  migrate: MigrateVma,
  addr: number,
  page: Page,
  src: number,
): Path<number> {
  const aborted = src & ~MIGRATE_PFN.MIGRATE;
  const vma = migrate.vma!;
  const mm = vma.vm_mm;
  const folio = yield* page_folio(page);
  if (!(yield* vma_is_anonymous(vma))) return aborted;
  yield* pmd_alloc(mm, addr);
  const pmdp = pmd_offset(mm, addr);
  if (pmd_leaf(yield* pmdp_get_lockless(pmdp))) return aborted;
  if (!(yield* pte_alloc(mm, pmdp))) return aborted;
  yield* anon_vma_prepare(vma);
  const entry = yield* entryFor(vma, page, folio);
  if (entry === undefined) return aborted;
  const mapped = yield* pte_offset_map_lock(pmdp, addr);
  if (mapped === undefined) return aborted;
  const orig_pte = yield* ptep_get(mapped.ptep);
  const zero = pte_present(orig_pte) && is_zero_pfn(pfnOf(orig_pte));
  if (!zero && !pte_none(orig_pte) && knob('migrate_vma_insert_page.recheck') === 'on') {
    yield* pte_unmap_unlock(mapped.ptl);
    return aborted;
  }
  yield* add(mm.anon_rss, 1);
  yield* folio_add_new_anon_rmap(folio, vma, addr);
  if (!(yield* folio_is_zone_device(folio))) yield* folio_add_lru_vma(folio, vma);
  yield* folio_get(folio);
  if (zero) yield* ptep_clear_flush(mm, addr, mapped.ptep);
  yield* set_pte(mapped.ptep, entry);
  yield* pte_unmap_unlock(mapped.ptl);
  return MIGRATE_PFN.MIGRATE;
}
