// SPDX-License-Identifier: MIT
import { request, type Path } from '../core/path.js';
import type { Page } from '../linux/include/mm_types.js';
import { current } from '../linux/kernel.js';

/** A device stores to a page by its bus address. It asks no page table and no TLB; a page that is free breaks FRAME-REUSE. */
export function* dmaWrite(page: Page, value: number): Path {
  yield* request(current.kernel.machine.op.dmaWrite, page.pfn + 1, value);
}

/** A device loads from a page by its bus address. */
export function* dmaRead(page: Page): Path<number> {
  return yield* request(current.kernel.machine.op.dmaRead, page.pfn + 1);
}
