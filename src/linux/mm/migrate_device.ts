// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { claim, load, read, testBits } from '../../core/primitives.js';
import { EBUSY, EINVAL } from '../include/errno.js';
import {
  folio_is_device_coherent,
  folio_is_device_private,
  folio_is_zone_device,
  is_device_private_page,
} from '../include/memremap.js';
import {
  heldByFault,
  lockedByFault,
  MIGRATE_PFN,
  migrate_pfn,
  migrate_pfn_to_page,
  type MigrateVma,
} from '../include/migrate.js';
import { PG, VM, VM_SPECIAL, type Folio, type Page } from '../include/mm_types.js';
import {
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init_owner,
  type MmuNotifierRange,
} from '../include/mmu_notifier.js';
import { folio_test_anon, folio_test_large } from '../include/page-flags.js';
import { folio_get, folio_ref_count, folio_try_get, page_folio } from '../include/page_ref.js';
import { folio_lock, folio_trylock, folio_unlock, lockNewFolio } from '../include/pagemap.js';
import { PAGE_SIZE, pfn_to_page } from '../include/pgtable.js';
import { current, knob } from '../kernel.js';
import { copy_user_page } from './memory-fault.js';
import { folio_migrate_flags, folio_migrate_mapping } from './migrate.js';
import { migrate_vma_collect } from './migrate_device-collect.js';
import { migrate_vma_insert_page } from './migrate_device-insert.js';
import { alloc_page } from './page_alloc.js';
import { folio_mapped } from './rmap.js';
import { newTlbUbc } from './rmap-batch.js';
import { remove_migration_ptes, try_to_migrate } from './rmap-migrate.js';
import {
  fbatches,
  folio_add_lru,
  folio_put,
  lru_add_drain,
  lru_add_drain_all,
  unlockAndPut,
} from './swap.js';
import { folio_free_swap } from './swapfile.js';
import { folio_isolate_lru, folio_putback_lru } from './vmscan.js';

/** Whether a cache has a reference on the folio: the swap cache, or that of a file. @context folio locked @kernel 6.12 include/linux/pagemap.h folio_mapping: adapted (which one is not asked) */
function* folio_mapping(folio: Folio): Path<boolean> {
  const { swap, inodes } = current.kernel;
  if (swap !== undefined && (yield* testBits(folio.flags, PG.swapcache))) return true;
  return inodes !== undefined && (yield* read(folio.mapping)) < 0;
}

/**
 * Whether nobody else has a reference on an unmapped page: a pin, or a fault that waits. For device memory one too many
 * passes; folio_migrate_mapping() is exact.
 * @context folio locked
 * @kernel 6.12 mm/migrate_device.c migrate_vma_check_page: faithful
 */
function* migrate_vma_check_page(page: Page, fault_page: Page | undefined): Path<boolean> {
  const folio = yield* page_folio(page);
  let extra = 1 + heldByFault(fault_page, page);
  if (yield* folio_test_large(folio)) return false;
  if (yield* folio_is_zone_device(folio)) extra++;
  if (yield* folio_mapping(folio)) extra++;
  const refs = yield* folio_ref_count(folio);
  return refs - extra <= (yield* read(folio._mapcount));
}

/** A page leaves the LRU, which gives it a reference in the place of the collector's. Memory of a device is on none. @context may sleep */
function* isolate(folio: Folio): Path<boolean> {
  if (yield* folio_is_zone_device(folio)) return true;
  if (!(yield* folio_isolate_lru(folio))) return false;
  yield* folio_put(folio);
  return true;
}

/**
 * Unmaps pages that are locked and referenced, wherever they are mapped. Those that can't be are mapped again as they
 * were; the others stay locked. Returns how many pages, with those that are to be made, can go on.
 * @context may sleep
 * @kernel 6.12 mm/migrate_device.c migrate_device_unmap: faithful
 */
function* migrate_device_unmap(
  src_pfns: number[],
  npages: number,
  fault_page: Page | undefined,
): Path<number> {
  let restore = 0;
  let allow_drain = fbatches() !== undefined; // without batches there is nothing to drain
  let unmapped = 0;
  yield* lru_add_drain();
  for (let i = 0; i < npages; i++) {
    const page = migrate_pfn_to_page(src_pfns[i]!);
    if (page === undefined) {
      if (src_pfns[i]! & MIGRATE_PFN.MIGRATE) unmapped++;
      continue;
    }
    const folio = yield* page_folio(page);
    if (allow_drain && !(yield* folio_is_zone_device(folio)) && !(yield* testBits(folio.flags, PG.lru))) {
      yield* lru_add_drain_all();
      allow_drain = false;
    }
    if (!(yield* isolate(folio))) {
      src_pfns[i]! &= ~MIGRATE_PFN.MIGRATE;
      restore++;
      continue;
    }
    if (yield* folio_mapped(folio)) yield* try_to_migrate(folio, 0, newTlbUbc());
    if ((yield* folio_mapped(folio)) || !(yield* migrate_vma_check_page(page, fault_page))) {
      if (!(yield* folio_is_zone_device(folio))) {
        yield* folio_get(folio);
        yield* folio_putback_lru(folio);
      }
      src_pfns[i]! &= ~MIGRATE_PFN.MIGRATE;
      restore++;
      continue;
    }
    unmapped++;
  }
  for (let i = 0; i < npages && restore > 0; i++) {
    const page = migrate_pfn_to_page(src_pfns[i]!);
    if (page === undefined || src_pfns[i]! & MIGRATE_PFN.MIGRATE) continue;
    const folio = yield* page_folio(page);
    yield* remove_migration_ptes(folio, folio);
    src_pfns[i] = 0;
    if (!lockedByFault(fault_page, folio)) yield* folio_unlock(folio);
    yield* folio_put(folio);
    restore--;
  }
  return unmapped;
}

/**
 * Collects what is mapped in [args.start, args.end), and puts migration entries in its place, in every mm. The driver
 * then allocates pages, copies, and writes the pages, locked, into args.dst. Returns 0 or -EINVAL.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/migrate_device.c migrate_vma_setup: adapted (no DAX)
 */
export function* migrate_vma_setup(args: MigrateVma): Path<number> {
  const { vma, start, end } = args;
  if (vma === undefined || (yield* load(vma.vm_flags)) & (VM.HUGETLB | VM_SPECIAL)) return -EINVAL;
  if (end - start <= 0) return -EINVAL;
  const vm_start = yield* load(vma.vm_start);
  const vm_end = yield* load(vma.vm_end);
  if (start < vm_start || start >= vm_end) return -EINVAL;
  if (end <= vm_start || end > vm_end) return -EINVAL;
  if (args.fault_page !== undefined && !(yield* is_device_private_page(args.fault_page))) return -EINVAL;
  args.cpages = 0;
  args.npages = 0;
  yield* migrate_vma_collect(args);
  if (args.cpages > 0) args.cpages = yield* migrate_device_unmap(args.src, args.npages, args.fault_page);
  return 0;
}

/** Whether the destination may have the page: device memory only takes anonymous pages that are in no cache. @context both folios locked @kernel 6.12 mm/migrate_device.c __migrate_device_pages: adapted (the part that asks) */
function* mayGoTo(newfolio: Folio, folio: Folio): Path<boolean> {
  if (!(yield* folio_is_device_private(newfolio)) && !(yield* folio_is_device_coherent(newfolio)))
    return !(yield* folio_is_zone_device(newfolio));
  if (!(yield* folio_mapping(folio))) return true;
  return (yield* folio_test_anon(folio)) && (yield* folio_free_swap(folio));
}

/**
 * Makes each destination what its source is. Where nothing was, the destination is mapped here: that is a change that
 * mirrors must hear of.
 * @context pages locked; may sleep
 * @kernel 6.12 mm/migrate_device.c __migrate_device_pages: adapted (no writeback to be asserted)
 */
function* __migrate_device_pages(
  src_pfns: number[],
  dst_pfns: readonly number[],
  npages: number,
  migrate: MigrateVma | undefined,
): Path {
  let range: MmuNotifierRange | undefined;
  for (let i = 0; i < npages; i++) {
    const newpage = migrate_pfn_to_page(dst_pfns[i]!);
    const page = migrate_pfn_to_page(src_pfns[i]!);
    if (newpage === undefined) {
      src_pfns[i]! &= ~MIGRATE_PFN.MIGRATE;
      continue;
    }
    if (page === undefined) {
      if (!(src_pfns[i]! & MIGRATE_PFN.MIGRATE)) continue;
      yield* claim(
        migrate !== undefined,
        'BUG-ON',
        'a page is to be made, and nobody says where: VM_BUG_ON(!migrate)',
      );
      const { vma, start, end, pgmap_owner } = migrate!;
      const addr = start + i * PAGE_SIZE;
      if (range === undefined) {
        range = mmu_notifier_range_init_owner(MMU_NOTIFY.MIGRATE, 0, vma!.vm_mm, addr, end, pgmap_owner);
        if (knob('migrate_vma.notifier') === 'on') yield* mmu_notifier_invalidate_range_start(range);
      }
      src_pfns[i] = yield* migrate_vma_insert_page(migrate!, addr, newpage, src_pfns[i]!);
      continue;
    }
    const newfolio = yield* page_folio(newpage);
    const folio = yield* page_folio(page);
    if (!(yield* mayGoTo(newfolio, folio))) {
      src_pfns[i]! &= ~MIGRATE_PFN.MIGRATE;
      continue;
    }
    const r = yield* folio_migrate_mapping(newfolio, folio, heldByFault(migrate?.fault_page, page));
    if (r !== 0) src_pfns[i]! &= ~MIGRATE_PFN.MIGRATE;
    else yield* folio_migrate_flags(newfolio, folio);
  }
  if (range !== undefined && knob('migrate_vma.notifier') === 'on')
    yield* mmu_notifier_invalidate_range_end(range);
}

/**
 * The pages in args.dst become what those in args.src are. args.src says afterwards which did: MIGRATE is set. The driver
 * may then change its own page table, since all pages are still locked.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/migrate_device.c migrate_vma_pages: faithful
 */
export function* migrate_vma_pages(migrate: MigrateVma): Path {
  yield* __migrate_device_pages(migrate.src, migrate.dst, migrate.npages, migrate);
}

/** As migrate_vma_pages(), after migrate_device_range(). @context may sleep @kernel 6.12 mm/migrate_device.c migrate_device_pages: faithful */
export function* migrate_device_pages(src_pfns: number[], dst_pfns: readonly number[], npages: number): Path {
  yield* __migrate_device_pages(src_pfns, dst_pfns, npages, undefined);
}

/**
 * Maps the destinations, or the sources again where there is none, and gives all pages back. The contents must have been
 * copied.
 * @context pages locked; may sleep
 * @kernel 6.12 mm/migrate_device.c migrate_device_finalize: adapted (fault_page is 6.15's: knob do_swap_page.device_private)
 */
export function* migrate_device_finalize(
  src_pfns: readonly number[],
  dst_pfns: readonly number[],
  npages: number,
  fault_page?: Page,
): Path {
  for (let i = 0; i < npages; i++) {
    const newpage = migrate_pfn_to_page(dst_pfns[i]!);
    const page = migrate_pfn_to_page(src_pfns[i]!);
    let dst = newpage === undefined ? undefined : yield* page_folio(newpage);
    if (page === undefined) {
      if (dst !== undefined) yield* unlockAndPut(dst);
      continue;
    }
    const src = yield* page_folio(page);
    if (!(src_pfns[i]! & MIGRATE_PFN.MIGRATE) || dst === undefined) {
      if (dst !== undefined) yield* unlockAndPut(dst);
      dst = src;
    }
    if (!(yield* folio_is_zone_device(dst))) yield* folio_add_lru(dst);
    yield* remove_migration_ptes(src, dst);
    if (!lockedByFault(fault_page, src)) yield* folio_unlock(src);
    yield* folio_put(src);
    if (dst !== src) yield* unlockAndPut(dst);
  }
}

/** @context mmap_lock held for read; may sleep @kernel 6.12 mm/migrate_device.c migrate_vma_finalize: faithful */
export function* migrate_vma_finalize(migrate: MigrateVma): Path {
  yield* migrate_device_finalize(migrate.src, migrate.dst, migrate.npages, migrate.fault_page);
}

/**
 * Unmaps pages of device memory that are given by their PFNs, whoever has them; free ones are left out. Goes on with
 * migrate_device_pages().
 * @context may sleep
 * @kernel 6.12 mm/migrate_device.c migrate_device_range: faithful
 */
export function* migrate_device_range(src_pfns: number[], start: number, npages: number): Path<number> {
  for (let i = 0; i < npages; i++) {
    const page = pfn_to_page(start + i);
    src_pfns[i] = 0;
    if (!(yield* folio_try_get(page))) continue; // folio_get_nontail_page()
    if (!(yield* folio_trylock(page))) {
      yield* folio_put(page);
      continue;
    }
    src_pfns[i] = migrate_pfn(page.pfn) | MIGRATE_PFN.MIGRATE;
  }
  yield* migrate_device_unmap(src_pfns, npages, undefined);
  return 0;
}

/**
 * A page of coherent device memory goes back to RAM. Returns 0 or -EBUSY. The caller's reference goes in any case.
 * @context may sleep; the folio is referenced
 * @kernel 6.12 mm/migrate_device.c migrate_device_coherent_folio: faithful
 */
export function* migrate_device_coherent_folio(folio: Folio): Path<number> {
  yield* folio_lock(folio);
  const src_pfns = [migrate_pfn(folio.pfn) | MIGRATE_PFN.MIGRATE];
  const dst_pfns = [0];
  yield* migrate_device_unmap(src_pfns, 1, undefined);
  if (!(src_pfns[0]! & MIGRATE_PFN.MIGRATE)) return -EBUSY;
  const dfolio = yield* alloc_page();
  if (dfolio !== undefined) {
    yield* lockNewFolio(dfolio);
    dst_pfns[0] = migrate_pfn(dfolio.pfn);
  }
  yield* migrate_device_pages(src_pfns, dst_pfns, 1);
  const moved = (src_pfns[0]! & MIGRATE_PFN.MIGRATE) !== 0;
  if (moved) yield* copy_user_page(dfolio!, folio);
  yield* migrate_device_finalize(src_pfns, dst_pfns, 1);
  return moved ? 0 : -EBUSY;
}
