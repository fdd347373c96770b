// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import type { Path } from '../../src/core/path.js';
import { Straight } from '../../src/explore/straight.js';
import {
  collapse_huge_page,
  deferred_split_scan,
  do_mprotect_pkey,
  dup_mmap,
  exit_mmap,
  FOLL,
  folio_put,
  get_user_pages_fast,
  get_user_pages_unlocked,
  munmap,
  page_folio,
  pin_user_pages_fast,
  PROT_READ,
  PROT_WRITE,
  unpin_user_page,
  userLoad,
  userStore,
  VM,
  vm_munmap,
} from '../../src/linux/index.js';
import { Testbed } from '../../src/litmus/index.js';
import { balances } from '../../src/properties/sums.js';
import { Use } from '../../src/machine/machine.js';
import { PTE, showEntry } from '../../src/machine/pte.js';
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

/** A parent with a huge page, faulted in, a child that fork has made of it, and what runs as each of them. */
function forked(pinned: boolean) {
  const kernel = smallKernel(
    { frames: 16, ptrsPerPte: 2, data: true },
    {
      knobs: { 'mmu_gather.table_free': 'with-flush' },
      thp: true,
      zeroPage: true,
    },
  );
  const m = new Testbed(kernel);
  const parent = m.process('P');
  const child = m.process('C');
  parent.mmap({ pages: 2, vm_flags: VM.HUGEPAGE });
  kernel.addVma(child.mm);
  const start = function* () {};
  const agents = [parent, child].map(
    ({ mm }) => kernel.addTask({ name: mm.name, cpu: 0, daemon: false, fair: true, mm, start }).agent,
  );
  balances(kernel);
  const straight = new Straight(kernel.system, { choose: () => 0 });
  const as = <T>(who: 0 | 1, path: () => Path<T>): T => straight.run(agents[who]!, path);
  as(0, () => userStore(0, 5));
  const { pages } = pinned ? as(0, () => pin_user_pages_fast(0, 1, FOLL.WRITE)) : { pages: [] };
  as(0, () => dup_mmap(child.mm, parent.mm));
  for (const page of pages) as(0, () => unpin_user_page(page));
  straight.judge();
  return { parent, child, as, judge: () => straight.judge() };
}

test('fork shares a huge page; who stores to it splits his PMD, and copies that page alone', () => {
  const { parent, child, as, judge } = forked(false);
  expect([parent, child].map(({ mm }) => showEntry(mm.pmd[0]!.value))).toEqual([
    'f2,R,d,huge',
    'f2,R,d,huge',
  ]);
  as(0, () => userStore(0, 6));
  judge();
  expect(parent.mm.pmd[0]!.value & PTE.PSE).toBe(0);
  expect([0, 1].map((who) => as(who as 0 | 1, () => userLoad(0)))).toEqual([6, 5]);
  as(0, () => exit_mmap(parent.mm));
  judge();
  // The last who has it keeps it in one piece.
  as(1, () => userStore(1, 7));
  judge();
  expect(child.mm.pmd[0]!.value & (PTE.PSE | PTE.RW)).toBe(PTE.PSE | PTE.RW);
  expect([0, 1].map((page) => as(1, () => userLoad(page)))).toEqual([5, 7]);
  as(1, () => exit_mmap(child.mm));
  judge();
});

test('fork splits the PMD of a huge page that is pinned, and copies what the child gets', () => {
  const { parent, child, as, judge } = forked(true);
  expect([parent, child].map(({ mm }) => mm.pmd[0]!.value & PTE.PSE)).toEqual([0, 0]);
  as(0, () => userStore(0, 6));
  expect([0, 1].map((who) => as(who as 0 | 1, () => userLoad(0)))).toEqual([6, 5]);
  as(1, () => exit_mmap(child.mm));
  as(0, () => exit_mmap(parent.mm));
  judge();
});

test('a protected huge page is writable at once when it is allowed again, and stays one page', () => {
  const { parent, as, judge } = forked(false);
  as(0, () => do_mprotect_pkey(parent.mm, 0, 2, PROT_READ));
  judge();
  as(0, () => do_mprotect_pkey(parent.mm, 0, 2, PROT_READ | PROT_WRITE));
  judge();
  expect(parent.mm.pmd[0]!.value & (PTE.PSE | PTE.RW)).toBe(PTE.PSE); // the child has it as well
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
