// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { frameRef } from '../../core/system.js';
import { Use } from '../../machine/machine.js';
import { current, type Kernel } from '../kernel.js';
import type { Page } from '../include/mm_types.js';

/**
 * The allocator hands out any free frame: which one is a choice of the explorer, and frame symmetry folds the choices
 * that do not differ. Per-CPU lists, zones and orders are left out.
 */
export function definePageAllocOps(kernel: Kernel) {
  const { system } = kernel;
  const free = (): Page[] =>
    kernel.mem_map.filter(
      (page) => page.frame.use.value === Use.FREE && kernel.hotplug?.isolated(page) !== true,
    );
  return {
    /** Takes a free frame for use a; b = 1: may sleep and reclaim. Observes frame + 1, or 0 if none is free. */
    pageAlloc: system.op({
      name: 'alloc_page',
      choices: () => Math.max(1, free().length),
      exec: (a, _b, _c, _agent, choice) => {
        const page = free()[choice];
        if (page === undefined) return 0;
        system.touch(page._refcount.at);
        system.set(page.frame.use.at, a);
        system.set(page._refcount.at, 1);
        return page.pfn + 1;
      },
      result: frameRef,
      sleeps: (_a, b) => b === 1,
      pseudoLocks: (_a, b) => (b === 1 ? ['fs_reclaim'] : []),
      touches: (_a, _b, _c, _agent, access) => {
        for (const page of kernel.mem_map) access.writes.push(page.frame.use.at, page._refcount.at);
      },
      describe: (_a, _b, _c, observed) =>
        observed === 0 ? 'no free frame' : `alloc_page() = f${observed - 1}`,
    }),
    /** Gives frame a - 1 back. */
    pageFree: system.op({
      name: 'free_page',
      exec: (a) => {
        const page = kernel.mem_map[a - 1]!;
        system.touch(page.flags.at);
        const { use } = page.frame;
        if (use.value !== Use.DATA && use.value !== Use.TABLE) {
          system.fail('FREE-ONCE', `f${page.pfn} is freed, but it is ${use.type.show(use.value)}`);
        }
        system.set(use.at, Use.FREE);
        for (const field of [
          page._refcount,
          page.flags,
          page._mapcount,
          page.compound_head,
          page.mapping,
          page.index,
        ])
          system.set(field.at, 0);
        for (const entry of [...page.frame.pte, ...page.frame.pteHigh]) system.set(entry.at, 0);
        return 0;
      },
      args: [frameRef, 'plain', 'plain'],
      touches: (a, _b, _c, _agent, access) => {
        const page = kernel.mem_map[a - 1]!;
        access.writes.push(
          page.frame.use.at,
          page._refcount.at,
          page.flags.at,
          ...page.frame.pte.map((cell) => cell.at),
        );
      },
      describe: (a) => `free f${a - 1}`,
    }),
  };
}

/**
 * Allocates a frame for data, any free one; undefined if there is none.
 * @context may sleep (GFP_KERNEL)
 * @kernel 6.12 mm/page_alloc.c alloc_pages: adapted (order 0, no zones, no reclaim)
 */
export function* alloc_page(): Path<Page | undefined> {
  const frame = yield* request(current.kernel.op.pageAlloc, Use.DATA, 1);
  return frame === 0 ? undefined : current.kernel.mem_map[frame - 1]!;
}

/**
 * Allocates a page table, empty.
 * @context may sleep
 * @kernel 6.12 include/asm-generic/pgalloc.h pte_alloc_one: adapted
 */
export function* pte_alloc_one(): Path<Page | undefined> {
  const frame = yield* request(current.kernel.op.pageAlloc, Use.TABLE, 1);
  return frame === 0 ? undefined : current.kernel.mem_map[frame - 1]!;
}

/**
 * Gives a frame whose count reached zero back to the allocator.
 * @context any
 * @kernel 6.12 mm/page_alloc.c free_unref_page: adapted (no per-CPU lists)
 */
export function* free_unref_page(page: Page): Path {
  yield* request(current.kernel.op.pageFree, page.pfn + 1);
}
