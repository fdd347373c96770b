// SPDX-License-Identifier: GPL-2.0-only
/** block/blk-core.c: what a task writes out while it has a plug goes to the disk when the plug is pulled. */
import type { Path } from '../../core/path.js';
import type { Folio } from '../include/mm_types.js';
import { fbatches } from '../mm/swap.js';
import { end_swap_bio_write } from '../mm/page_io.js';

/** @kernel 6.12 include/linux/blkdev.h struct blk_plug: adapted (the folios of its bios; never so many that they go by themselves) */
export interface BlkPlug {
  readonly folios: Folio[];
}

/**
 * A plug for what follows. Undefined without batches: then a write is over when it was asked for.
 * @kernel 6.12 block/blk-core.c blk_start_plug: adapted (the callers hand it down, instead of the task)
 */
export const blk_start_plug = (): BlkPlug | undefined =>
  fbatches() === undefined ? undefined : { folios: [] };

/** Writes a folio out: at once, or when the plug is pulled. @context any @kernel 6.12 block/blk-core.c submit_bio: adapted (a disk that is done at once) */
export function* submit_bio(folio: Folio, plug: BlkPlug | undefined): Path {
  if (plug === undefined) yield* end_swap_bio_write(folio);
  else plug.folios.push(folio);
}

/** Hands the disk what has gathered. @context any @kernel 6.12 block/blk-core.c blk_finish_plug: adapted (a disk that is done at once) */
export function* blk_finish_plug(plug: BlkPlug | undefined): Path {
  for (const folio of plug?.folios ?? []) yield* end_swap_bio_write(folio);
}
