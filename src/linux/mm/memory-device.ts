// SPDX-License-Identifier: GPL-2.0-only
/** mm/memory.c: a CPU touches a page that is in memory that no CPU reaches. */
import type { Path } from '../../core/path.js';
import { pgmapOf } from '../include/memremap.js';
import type { Page } from '../include/mm_types.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import { folio_get, page_folio } from '../include/page_ref.js';
import { pte_offset_map_lock, pte_unmap_unlock, pteUnchanged } from '../include/pgtable.js';
import { pfn_swap_entry_to_page } from '../include/swapops.js';
import { knob } from '../kernel.js';
import { VM_FAULT, type VmFault } from './memory-fault.js';
import { folio_put } from './swap.js';

/**
 * The page is in device-private memory: its driver brings it back. As long as the entry is there, the page has the entry's
 * reference; the fault's own is taken under the PTL, and keeps the page from being freed and used for something else
 * until the driver has looked at it. The migration counts it: see fault_page.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/memory.c do_swap_page: adapted (the part for device-private entries; no per-VMA lock; knob do_swap_page.device_private)
 */
export function* faultDevicePrivate(vmf: VmFault): Path<number> {
  const page = pfn_swap_entry_to_page(vmf.orig_pte);
  const how = knob('do_swap_page.device_private');
  vmf.page = page;
  if (how === 'none') return yield* migrateToRam(vmf, page);
  const mapped = yield* pte_offset_map_lock(vmf.pmd, vmf.address);
  if (mapped === undefined) return VM_FAULT.NONE;
  if (!(yield* pteUnchanged(mapped.ptep, vmf.orig_pte))) {
    yield* pte_unmap_unlock(mapped.ptl);
    return VM_FAULT.NONE;
  }
  const folio = yield* page_folio(page);
  if (how === 'trylock' && !(yield* folio_trylock(folio))) {
    yield* pte_unmap_unlock(mapped.ptl);
    return VM_FAULT.NONE;
  }
  yield* folio_get(folio);
  yield* pte_unmap_unlock(mapped.ptl);
  const ret = yield* migrateToRam(vmf, page);
  if (how === 'trylock') yield* folio_unlock(folio);
  yield* folio_put(folio);
  return ret;
}

/** vmf->page->pgmap->ops->migrate_to_ram(vmf). @context mmap_lock held for read; may sleep */
function* migrateToRam(vmf: VmFault, page: Page): Path<number> {
  const migrate_to_ram = pgmapOf(page)?.ops.migrate_to_ram;
  if (migrate_to_ram === undefined)
    throw new Error(`expected a driver that brings f${page.pfn} back: see addDevicePagemap()`);
  return yield* migrate_to_ram(vmf);
}
