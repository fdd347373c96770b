// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../../core/path.js';
import { type DevPagemap, put_dev_pagemap } from '../../include/memremap.js';
import type { Page } from '../../include/mm_types.js';
import { current } from '../../kernel.js';

/**
 * The page goes back to the pool, and the reference that kept the pgmap for it is dropped.
 * @context any
 * @kernel 6.12 drivers/pci/p2pdma.c p2pdma_page_free: adapted (gen_pool_free_owner is one step)
 */
export function* p2pdma_page_free(page: Page, pgmap: DevPagemap): Path {
  yield* request(current.kernel.op.devicePageFree, page.pfn + 1);
  yield* put_dev_pagemap(pgmap);
}
