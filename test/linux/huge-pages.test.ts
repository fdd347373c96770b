// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import {
  collapse_huge_page,
  deferred_split_scan,
  FOLL,
  folio_put,
  get_user_pages_fast,
  get_user_pages_unlocked,
  munmap,
  page_folio,
  pin_user_pages_fast,
  unpin_user_page,
  vm_munmap,
} from '../../src/linux/index.js';
import { Testbed } from '../../src/litmus/index.js';
import { balances } from '../../src/properties/sums.js';
import { Use } from '../../src/machine/machine.js';
import { onlyTask, smallKernel } from './fixtures/straight.js';

/** A machine with tables of `ptrsPerPte` entries, a process, and a way to run a path as its only task. */
function booted(ptrsPerPte: number, folio?: 'pte' | 'pmd') {
  const kernel = smallKernel(
    { frames: 8, ptrsPerPte },
    { knobs: { 'mmu_gather.table_free': 'with-flush' }, thp: true },
  );
  const m = new Testbed(kernel);
  const p = m.process('P');
  const x = p.mmap({ pages: ptrsPerPte, ...(folio === undefined ? { touched: true } : { folio }) });
  kernel.addVma(p.mm); // for what a partial munmap leaves
  const head = p.page(0);
  const { run, judge } = onlyTask({ kernel, process: p }, () => balances(kernel));
  const used = (): number => kernel.mem_map.filter(({ frame }) => frame.use.value !== Use.FREE).length;
  return { p, x, head, run, used, judge, kernel };
}

test.each(['pte', 'pmd'] as const)('a folio that a %s maps is split in place and then unmapped', (by) => {
  const { p, x, head, run, used, judge } = booted(2, by);
  expect(run(() => deferred_split_scan(head))).toBe(true);
  judge();
  expect([head.compound_head.value, head._refcount.value, head._mapcount.value]).toEqual([0, 1, 1]);
  run(() => munmap(p.mm, x.vma));
  judge();
  expect(used()).toBe(0);
});

test('munmap of a huge page frees the folio and the table that was kept for a split', () => {
  const { p, x, run, used, judge } = booted(2, 'pmd');
  run(() => munmap(p.mm, x.vma));
  judge();
  expect(used()).toBe(0);
});

test('munmap of a part of a huge page splits its PMD', () => {
  const { p, run, head, judge } = booted(2, 'pmd');
  run(() => vm_munmap(p.mm, 1, 1));
  expect(p.mm.anon_rss.value).toBe(1);
  expect(head.large!.mapcount.value).toBe(1);
  judge();
});

test.each(['pte', 'pmd'] as const)('pins on a folio that a %s maps are counted at its head', (by) => {
  const { run, head, judge } = booted(2, by);
  const { pages } = run(() => pin_user_pages_fast(0, 2, FOLL.WRITE));
  expect(pages.map(({ pfn }) => pfn - head.pfn)).toEqual([0, 1]);
  expect(head.large!.pincount.value).toBe(2);
  expect(run(() => deferred_split_scan(head))).toBe(false);
  for (const page of pages) run(() => unpin_user_page(page));
  expect(head.large!.pincount.value).toBe(0);
  judge();
});

test('the slow path goes through a huge PMD', () => {
  const { run, head, judge } = booted(2, 'pmd');
  const { pages, err } = run(() => get_user_pages_unlocked(0, 2, FOLL.WRITE));
  expect([err, ...pages.map(({ pfn }) => pfn - head.pfn)]).toEqual([0, 0, 1]);
  for (const page of pages)
    run(function* () {
      yield* folio_put(yield* page_folio(page));
    });
  judge();
});

test('a pin keeps khugepaged off; then it replaces the page, and GUP-fast finds the new one', () => {
  const { p, run, head, judge } = booted(1);
  const { pages } = run(() => pin_user_pages_fast(0, 1, FOLL.WRITE));
  expect(run(() => collapse_huge_page(p.mm, 0))).toBe(false);
  run(() => unpin_user_page(pages[0]!));
  expect(run(() => collapse_huge_page(p.mm, 0))).toBe(true);
  judge();
  const again = run(() => get_user_pages_fast(0, 1, FOLL.WRITE));
  expect(again.pages[0]).not.toBe(head);
  run(() => folio_put(again.pages[0]!));
  judge();
});
