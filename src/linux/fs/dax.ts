// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { awaitValue } from '../../core/primitives.js';
import type { Page } from '../include/mm_types.js';

/**
 * Waits until nobody uses a DAX page: the filesystem does, after it has unmapped it, before the device may go.
 * @context may sleep
 * @kernel 6.12 fs/xfs/xfs_file.c xfs_break_dax_layouts, fs/dax.c dax_layout_busy_page: adapted (one page; the file is unmapped by the caller)
 */
export function* dax_wait_page_idle(page: Page): Path {
  yield* awaitValue(page._refcount, 1);
}
