// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, store } from '../../core/primitives.js';
import { frameRef, type Cell, type System } from '../../core/system.js';
import { current } from '../kernel.js';
import type { Folio } from './mm_types.js';

/** @kernel 6.12 include/linux/pagevec.h PAGEVEC_SIZE: faithful */
export const PAGEVEC_SIZE = 31;

/**
 * struct folio_batch of one CPU: folios, each with a reference, that wait for something to be done to all of them.
 * @kernel 6.12 include/linux/pagevec.h struct folio_batch: adapted (with a mark for each folio, which mlock keeps in the pointer)
 */
export class FolioBatch {
  readonly nr: Cell;
  readonly folios: readonly Cell[];
  readonly marks: readonly Cell[];

  constructor(system: System, name: string) {
    this.nr = system.cell(`${name}.nr`);
    const row = (field: string, options = {}): Cell[] =>
      Array.from({ length: PAGEVEC_SIZE }, (_, i) => system.cell(`${name}.${field}[${i}]`, 0, options));
    this.folios = row('folios', { type: frameRef });
    this.marks = row('marks');
  }
}

/** struct cpu_fbatches, and mlock's. @kernel 6.12 mm/swap.c struct cpu_fbatches: adapted (those that flags or references tell of) */
export interface CpuFbatches {
  readonly lru_add: FolioBatch;
  readonly lru_move_tail: FolioBatch;
  readonly lru_deactivate: FolioBatch;
  readonly lru_lazyfree: FolioBatch;
  readonly lru_activate: FolioBatch;
  readonly mlock_fbatch: FolioBatch;
}

/** Adds a folio, which the caller has taken a reference on; returns whether there is room for more. @context does not migrate to another CPU @kernel 6.12 include/linux/pagevec.h folio_batch_add: faithful */
export function* folio_batch_add(fbatch: FolioBatch, folio: Folio, mark = 0): Path<boolean> {
  const nr = yield* load(fbatch.nr);
  yield* store(fbatch.folios[nr]!, folio.pfn + 1);
  yield* store(fbatch.marks[nr]!, mark);
  yield* store(fbatch.nr, nr + 1);
  return nr + 1 < PAGEVEC_SIZE;
}

/** Empties a batch; returns what was in it. The references are the caller's now. @context the CPU's own batch */
export function* takeBatch(fbatch: FolioBatch): Path<{ folio: Folio; mark: number }[]> {
  const nr = yield* load(fbatch.nr);
  const taken: { folio: Folio; mark: number }[] = [];
  for (let i = 0; i < nr; i++) {
    const pfn = (yield* load(fbatch.folios[i]!)) - 1;
    const mark = yield* load(fbatch.marks[i]!);
    taken.push({ folio: current.kernel.mem_map[pfn]!, mark });
    yield* store(fbatch.folios[i]!, 0);
  }
  if (nr > 0) yield* store(fbatch.nr, 0);
  return taken;
}
