// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load, read, store } from '../../core/primitives.js';
import { frameRef, type Cell, type System } from '../../core/system.js';
import { EINVAL } from '../include/errno.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import type { Page } from '../include/mm_types.js';
import { current } from '../kernel.js';
import { FOLL, unpin_user_page } from './gup.js';
import { type Pinned, pin_user_pages, pin_user_pages_fast } from './gup-slow.js';

/** @kernel 6.12 mm/gup_test.h PIN_LONGTERM_TEST_FLAG_*: faithful */
export const PIN_LONGTERM_TEST_FLAG = { USE_WRITE: 1, USE_FAST: 2 } as const;

/**
 * What the driver has pinned: once for the whole system, by whichever process.
 * @kernel 6.12 mm/gup_test.c pin_longterm_test_pages: adapted (pin_longterm_test_mutex left out)
 */
export class GupTest {
  /** 0: nothing; else pages + 1. */
  readonly nr: Cell;
  readonly pages: Cell[] = [];

  constructor(private readonly system: System) {
    this.nr = system.cell('pin_longterm_test.nr');
  }

  page(i: number): Cell {
    return (this.pages[i] ??= this.system.cell(`pin_longterm_test.pages[${i}]`, 0, { type: frameRef }));
  }
}

/** @kernel 6.12 mm/gup_test.c pin_longterm_test_stop: faithful */
export function* pin_longterm_test_stop(test: GupTest): Path {
  const nr = yield* load(test.nr);
  for (let i = 0; i + 1 < nr; i++) {
    const pfn = (yield* load(test.page(i))) - 1;
    yield* unpin_user_page(current.kernel.mem_map[pfn]!);
    yield* store(test.page(i), 0);
  }
  yield* store(test.nr, 0);
}

/**
 * Pins [addr, addr + nr_pages) of the caller for long. Returns 0 or a negative error number; then nothing is pinned.
 * @context may sleep
 * @kernel 6.12 mm/gup_test.c pin_longterm_test_start: faithful
 */
export function* pin_longterm_test_start(
  test: GupTest,
  addr: number,
  nr_pages: number,
  flags: number,
): Path<number> {
  const { mm } = current;
  if ((yield* load(test.nr)) !== 0) return -EINVAL;
  if (flags & ~(PIN_LONGTERM_TEST_FLAG.USE_WRITE | PIN_LONGTERM_TEST_FLAG.USE_FAST)) return -EINVAL;
  if (nr_pages === 0) return -EINVAL;
  const gup_flags = FOLL.LONGTERM | (flags & PIN_LONGTERM_TEST_FLAG.USE_WRITE ? FOLL.WRITE : 0);
  const fast = (flags & PIN_LONGTERM_TEST_FLAG.USE_FAST) !== 0;
  if (!fast) yield* mmap_read_lock(mm);
  yield* store(test.nr, 1);
  let ret = 0;
  let pinned = 0;
  while (pinned < nr_pages && ret === 0) {
    const left = nr_pages - pinned;
    const { pages, err }: Pinned = fast
      ? yield* pin_user_pages_fast(addr + pinned, left, gup_flags)
      : yield* pin_user_pages(addr + pinned, left, gup_flags);
    for (const page of pages) {
      yield* store(test.page(pinned), page.pfn + 1);
      pinned++;
    }
    yield* store(test.nr, pinned + 1);
    if (pages.length === 0) {
      yield* pin_longterm_test_stop(test);
      ret = err;
    }
  }
  if (!fast) yield* mmap_read_unlock(mm);
  return ret;
}

/** The contents of the pinned pages, or a negative error number. @kernel 6.12 mm/gup_test.c pin_longterm_test_read: faithful */
export function* pin_longterm_test_read(test: GupTest): Path<number[] | number> {
  const nr = yield* load(test.nr);
  if (nr === 0) return -EINVAL;
  const contents: number[] = [];
  for (let i = 0; i + 1 < nr; i++) {
    const pfn = (yield* load(test.page(i))) - 1;
    const page: Page = current.kernel.mem_map[pfn]!;
    contents.push(page.frame.data === undefined ? 0 : yield* read(page.frame.data));
  }
  return contents;
}
