// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { claim, load, read, store } from '../../core/primitives.js';
import { frameRef, type Cell, type System } from '../../core/system.js';
import { EINVAL } from '../include/errno.js';
import { folio_is_longterm_pinnable, is_zero_pfn } from '../include/mm.js';
import { mmap_read_lock, mmap_read_unlock } from '../include/mmap_lock.js';
import type { Page } from '../include/mm_types.js';
import { folio_maybe_dma_pinned, page_folio } from '../include/page_ref.js';
import { current } from '../kernel.js';
import { FOLL, unpin_user_page } from './gup.js';
import {
  get_user_pages,
  get_user_pages_fast,
  type Pinned,
  pin_user_pages,
  pin_user_pages_fast,
} from './gup-slow.js';
import { folio_put } from './swap.js';

/** @kernel 6.12 mm/gup_test.h PIN_LONGTERM_TEST_FLAG_*: faithful */
export const PIN_LONGTERM_TEST_FLAG = { USE_WRITE: 1, USE_FAST: 2 } as const;

/** What the driver is asked for. @kernel 6.12 mm/gup_test.h GUP_*, PIN_*: adapted (those that take pages and give them back) */
export type GupCommand =
  | 'GUP_FAST_BENCHMARK'
  | 'PIN_FAST_BENCHMARK'
  | 'PIN_LONGTERM_BENCHMARK'
  | 'GUP_BASIC_TEST'
  | 'PIN_BASIC_TEST';

/** @kernel 6.12 mm/gup_test.c put_back_pages: faithful */
function* put_back_pages(cmd: GupCommand, pages: readonly Page[]): Path {
  if (cmd === 'GUP_FAST_BENCHMARK' || cmd === 'GUP_BASIC_TEST')
    for (const page of pages) yield* folio_put(yield* page_folio(page)); // put_page()
  else for (const page of pages) yield* unpin_user_page(page);
}

/** Pins are to be seen as pins, and those for long to be in memory that may be pinned for long. @kernel 6.12 mm/gup_test.c verify_dma_pinned: adapted (WARN() is a claim) */
function* verify_dma_pinned(cmd: GupCommand, pages: readonly Page[]): Path {
  if (cmd === 'GUP_FAST_BENCHMARK' || cmd === 'GUP_BASIC_TEST') return;
  for (const page of pages) {
    const folio = yield* page_folio(page);
    const pinned = is_zero_pfn(folio.pfn) || (yield* folio_maybe_dma_pinned(folio));
    yield* claim(pinned, 'WARN-ON', 'WARN(!folio_maybe_dma_pinned(folio)) in verify_dma_pinned()');
    if (cmd !== 'PIN_LONGTERM_BENCHMARK') continue;
    const pinnable = yield* folio_is_longterm_pinnable(folio);
    yield* claim(pinnable, 'WARN-ON', 'WARN(!folio_is_longterm_pinnable(folio)) in verify_dma_pinned()');
  }
}

/** Takes one call's pages. @context mmap_lock held but for the fast ones; may sleep @kernel 6.12 mm/gup_test.c __gup_test_ioctl: adapted (the switch) */
function* takePages(cmd: GupCommand, addr: number, nr: number, gup_flags: number): Path<Pinned> {
  switch (cmd) {
    case 'GUP_FAST_BENCHMARK':
      return yield* get_user_pages_fast(addr, nr, gup_flags);
    case 'GUP_BASIC_TEST':
      return yield* get_user_pages(addr, nr, gup_flags);
    case 'PIN_FAST_BENCHMARK':
      return yield* pin_user_pages_fast(addr, nr, gup_flags);
    case 'PIN_BASIC_TEST':
      return yield* pin_user_pages(addr, nr, gup_flags);
    case 'PIN_LONGTERM_BENCHMARK':
      return yield* pin_user_pages(addr, nr, gup_flags | FOLL.LONGTERM);
  }
}

/**
 * Takes the pages of [addr, addr + size) of the caller, `nr_pages_per_call` at a time, and gives them back. It ends well
 * also if it got none: returns how many it got.
 * @context may sleep
 * @kernel 6.12 mm/gup_test.c __gup_test_ioctl: adapted (times are not taken; returns what it got)
 */
export function* __gup_test_ioctl(
  cmd: GupCommand,
  start: number,
  size: number,
  nr_pages_per_call: number,
  gup_flags: number,
): Path<number> {
  const { mm } = current;
  const needs_mmap_lock = cmd !== 'GUP_FAST_BENCHMARK' && cmd !== 'PIN_FAST_BENCHMARK';
  if (needs_mmap_lock) yield* mmap_read_lock(mm);
  const pages: Page[] = [];
  let nr = nr_pages_per_call;
  let addr = start;
  while (addr < start + size && nr === nr_pages_per_call) {
    const next = Math.min(addr + nr, start + size);
    const taken: Pinned = yield* takePages(cmd, addr, next - addr, gup_flags);
    nr = taken.pages.length;
    if (nr === 0) break;
    pages.push(...taken.pages);
    addr = next;
  }
  yield* verify_dma_pinned(cmd, pages);
  yield* put_back_pages(cmd, pages);
  if (needs_mmap_lock) yield* mmap_read_unlock(mm);
  return pages.length;
}

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
