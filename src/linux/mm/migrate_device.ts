// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { setBits } from '../../core/primitives.js';
import type { MigrateVma } from '../include/migrate.js';
import { PG, type Folio, type Page } from '../include/mm_types.js';
import { folio_get, page_folio } from '../include/page_ref.js';
import { folio_trylock, folio_unlock } from '../include/pagemap.js';
import { pte_offset_map_lock, pte_unmap_unlock, pteUnchanged } from '../include/pgtable.js';
import { pfn_swap_entry_to_page } from '../include/swapops.js';
import { VM_FAULT, type VmFault } from './memory-fault.js';
import { migrate_folio } from './migrate.js';
import { alloc_page } from './page_alloc.js';
import { newTlbUbc, try_to_unmap_flush } from './rmap-batch.js';
import { remove_migration_ptes, try_to_migrate } from './rmap-migrate.js';
import { folio_mapped } from './rmap.js';
import { folio_put } from './swap.js';

/**
 * A CPU touched a page that is in device memory: the driver brings it back, for all who have it. If the page is busy the
 * fault is taken again.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/memory.c do_swap_page: adapted (the part for device-private entries)
 */
export function* faultInDevicePrivate(vmf: VmFault): Path<number> {
  const page = pfn_swap_entry_to_page(vmf.orig_pte);
  const mapped = yield* pte_offset_map_lock(vmf.pmd, vmf.address);
  if (mapped === undefined) return VM_FAULT.NONE;
  if (!(yield* pteUnchanged(mapped.ptep, vmf.orig_pte))) {
    yield* pte_unmap_unlock(mapped.ptl);
    return VM_FAULT.NONE;
  }
  const folio = yield* page_folio(page);
  yield* folio_get(folio);
  yield* pte_unmap_unlock(mapped.ptl);
  const ret = yield* migrate_to_ram(page);
  yield* folio_put(folio);
  return ret;
}

/**
 * What drivers do with migrate_vma_setup(), migrate_vma_pages() and migrate_vma_finalize(): a page of system memory takes
 * the place of the one in device memory, in every mm.
 * @context the page is referenced; may sleep
 * @kernel 6.12 lib/test_hmm.c dmirror_devmem_fault: adapted (one page; told as CLEAR for each mm, not as MIGRATE; the fault's reference is that of the migration)
 */
function* migrate_to_ram(page: Page): Path<number> {
  const src = yield* page_folio(page);
  if (!(yield* folio_trylock(src))) return VM_FAULT.NONE;
  const dst = yield* alloc_page();
  if (dst === undefined) {
    yield* folio_unlock(src);
    return VM_FAULT.SIGBUS;
  }
  yield* folio_trylock(dst);
  const ubc = newTlbUbc();
  yield* try_to_migrate(src, 0, ubc);
  yield* try_to_unmap_flush(ubc);
  const moved = !(yield* folio_mapped(src)) && (yield* migrate_folio(dst, src)) === 0;
  if (moved) yield* setBits(dst.flags, PG.lru);
  yield* remove_migration_ptes(src, moved ? dst : src);
  yield* folio_unlock(src);
  yield* folio_unlock(dst);
  yield* folio_put(dst);
  return VM_FAULT.NONE;
}

const toCome = (name: string): never => {
  throw new Error(`${name}() is not there yet`);
};

/**
 * Collects what is mapped in [args.start, args.end), and puts migration entries in its place. Returns 0 or -EINVAL.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/migrate_device.c migrate_vma_setup: stubbed
 */
export function* migrate_vma_setup(_args: MigrateVma): Path<number> {
  return toCome('migrate_vma_setup');
}

/** @context mmap_lock held for read; may sleep @kernel 6.12 mm/migrate_device.c migrate_vma_pages: stubbed */
export function* migrate_vma_pages(_migrate: MigrateVma): Path {
  toCome('migrate_vma_pages');
}

/** @context mmap_lock held for read; may sleep @kernel 6.12 mm/migrate_device.c migrate_vma_finalize: stubbed */
export function* migrate_vma_finalize(_migrate: MigrateVma): Path {
  toCome('migrate_vma_finalize');
}

/** @context may sleep @kernel 6.12 mm/migrate_device.c migrate_device_range: stubbed */
export function* migrate_device_range(_src_pfns: number[], _start: number, _npages: number): Path<number> {
  return toCome('migrate_device_range');
}

/** @context may sleep @kernel 6.12 mm/migrate_device.c migrate_device_pages: stubbed */
export function* migrate_device_pages(_src_pfns: number[], _dst_pfns: number[], _npages: number): Path {
  toCome('migrate_device_pages');
}

/** @context may sleep @kernel 6.12 mm/migrate_device.c migrate_device_finalize: stubbed */
export function* migrate_device_finalize(_src_pfns: number[], _dst_pfns: number[], _npages: number): Path {
  toCome('migrate_device_finalize');
}

/** @context may sleep @kernel 6.12 mm/migrate_device.c migrate_device_coherent_folio: stubbed */
export function* migrate_device_coherent_folio(_folio: Folio): Path<number> {
  return toCome('migrate_device_coherent_folio');
}
