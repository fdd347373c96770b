// SPDX-License-Identifier: GPL-2.0-only
import { claim, type Path, read } from '../litmus/index.js';
import {
  alloc_page,
  copy_user_page,
  lockNewFolio,
  MIGRATE_PFN,
  migrate_pfn,
  migrate_pfn_to_page,
  MIGRATE_VMA_SELECT,
  migrate_vma_finalize,
  migrate_vma_pages,
  migrate_vma_setup,
  type MigrateVma,
  pgmapOf,
  VM_FAULT,
  type VmFault,
} from '../linux/index.js';

/** What a driver gives to migrate_vma_setup(). */
export const migration = (
  range: Pick<MigrateVma, 'vma' | 'start' | 'end'>,
  pgmap_owner: number,
  flags: number,
  fault_page?: MigrateVma['fault_page'],
): MigrateVma => ({ ...range, src: [], dst: [], cpages: 0, npages: 0, pgmap_owner, flags, fault_page });

/** Gives each page that leaves device memory a page of RAM with its contents. A driver reaches its own memory only. @context pages unmapped and locked; may sleep */
export function* copyToRam(args: MigrateVma): Path {
  for (let i = 0; i < args.npages; i++) {
    const spage = migrate_pfn_to_page(args.src[i]!);
    if (spage === undefined || !(args.src[i]! & MIGRATE_PFN.MIGRATE)) continue;
    yield* claim(
      pgmapOf(spage)?.owner === args.pgmap_owner,
      'DATA',
      'a driver is to copy memory of another device',
    );
    const dpage = yield* alloc_page();
    if (dpage === undefined) continue;
    yield* lockNewFolio(dpage);
    yield* copy_user_page(dpage, spage);
    args.dst[i] = migrate_pfn(dpage.pfn);
  }
}

/** migrate_to_ram() of a driver whose mirrors obey every event: what they map is gone when the page is copied. */
export function* bringBack(vmf: VmFault, pgmap_owner: number): Path<number> {
  const { vma, address: start, page } = vmf;
  // What the driver keeps of the page says whose it is: that must still be so.
  yield* claim(
    (yield* read(page!._refcount)) > 0,
    'FRAME-REUSE',
    'a driver looks at a page that it was given back',
  );
  const range = { vma, start, end: start + 1 };
  const args = migration(range, pgmap_owner, MIGRATE_VMA_SELECT.DEVICE_PRIVATE, page);
  if ((yield* migrate_vma_setup(args)) !== 0) return VM_FAULT.SIGBUS;
  yield* copyToRam(args);
  yield* migrate_vma_pages(args);
  yield* migrate_vma_finalize(args);
  return VM_FAULT.NONE;
}
