// SPDX-License-Identifier: MIT
/** What watches and moves pages from outside of a fault, one call after the other: userfaultfd, the NUMA scan, KSM, … */
import { describe, expect, test } from 'vitest';
import { check } from '../../src/explore/check.js';
import {
  clear_refs_write,
  dup_mmap,
  EBUSY,
  EEXIST,
  ENOENT,
  get_mergeable_page,
  folio_put,
  memory_failure,
  mprotect,
  move_pages,
  page_idle_clear_pte_refs,
  pagemap_read,
  PM,
  PROT_READ,
  PROT_WRITE,
  task_numa_work,
  try_to_merge_with_ksm_page,
  unuse_mm,
  userfaultfd_writeprotect,
  userLoad,
  userStore,
  VM,
} from '../../src/linux/index.js';
import type { KernelOptions } from '../../src/linux/kernel.js';
import { deadlocks, scenario, see, Testbed } from '../../src/litmus/index.js';
import { pfnOf, PTE, swapType, SwapType } from '../../src/machine/pte.js';
import { balances } from '../../src/properties/sums.js';
import { onlyTask, smallKernel } from './fixtures/straight.js';

/** A machine, a process on it, and a way to run a path as its only task. */
function booted(options: Partial<KernelOptions> = {}) {
  const kernel = smallKernel({ frames: 9, ptrsPerPte: 2, data: 1 }, options);
  const m = new Testbed(kernel);
  const p = m.process('P', { pages: 4 });
  return { kernel, m, p, ...onlyTask({ kernel, process: p }, () => balances(kernel)) };
}

describe('userfaultfd', () => {
  test('a store to a write-protected page ends in SIGBUS, and goes on when it is given free', () => {
    const { m, p, run, judge } = booted();
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const ptep = p.ptep(x.start);
    const ctx = m.userfaultfd([x], { sigbus: true });
    expect(run(() => userfaultfd_writeprotect(ctx, x.start, 1, true))).toBe(0);
    expect(ptep.cell.value & (PTE.RW | PTE.UFFD_WP)).toBe(PTE.UFFD_WP);
    expect(run(() => userStore(x.start, 1))).toBe('SIGBUS');
    expect(run(() => userLoad(x.start))).toBe(0);
    expect(run(() => userfaultfd_writeprotect(ctx, x.start, 1, false))).toBe(0);
    expect(ptep.cell.value & (PTE.RW | PTE.UFFD_WP)).toBe(PTE.RW); // the page is this process's alone
    expect(run(() => userStore(x.start, 1))).toBeUndefined();
    judge();
  });

  test('mprotect keeps the bit, and does not give the permission back', () => {
    const { m, p, run } = booted();
    const x = p.mmap({ pages: 1, touched: true });
    const ptep = p.ptep(x.start);
    const ctx = m.userfaultfd([x], { sigbus: true });
    run(() => userfaultfd_writeprotect(ctx, x.start, 1, true));
    run(() => mprotect(p.mm, x.vma, PROT_READ));
    run(() => mprotect(p.mm, x.vma, PROT_READ | PROT_WRITE));
    expect(ptep.cell.value & (PTE.RW | PTE.UFFD_WP)).toBe(PTE.UFFD_WP);
    expect(run(() => userStore(x.start, 1))).toBe('SIGBUS');
  });

  test('a child of fork is not watched', () => {
    const { m, p, run, judge } = booted();
    const x = p.mmap({ pages: 1, touched: true });
    const c = m.child('C', p);
    const ctx = m.userfaultfd([x], { sigbus: true });
    run(() => userfaultfd_writeprotect(ctx, x.start, 1, true));
    expect(run(() => dup_mmap(c.mm, p.mm))).toBe(0);
    expect(p.ptep(x.start).cell.value & PTE.UFFD_WP).toBe(PTE.UFFD_WP);
    expect(c.ptep(x.start).cell.value & PTE.UFFD_WP).toBe(0);
    judge();
  });

  const waits = scenario({
    id: 'uffd-wait',
    family: 'test',
    question: 'Does a store wait until the monitor has served it?',
    machine: { cpus: 2, frames: 2 },
    machines: ['bcast'],
    knobs: { monitor: ['serves', 'sleeps'] },
    bounds: 'one store, one monitor',
    setup(m) {
      const p = m.process('P', { cpus: [0] });
      const x = p.mmap({ pages: 1, touched: true });
      const { cell } = p.ptep(x.start);
      cell.init((cell.value & ~PTE.RW) | PTE.UFFD_WP);
      return { x, ctx: m.userfaultfd([x]) };
    },
    agents: ({ x, ctx }, { monitor }) => ({
      *user() {
        yield* userStore(x.start);
        see('stored');
      },
      *monitor() {
        if (monitor === 'serves') yield* userfaultfd_writeprotect(ctx, x.start, 1, false);
      },
    }),
    sometimes: ['stored'],
    expect: { base: 'safe', 'monitor=sleeps': deadlocks() },
  });
  test.each(waits.variants.map((variant) => [variant.name, variant] as const))('%s', (_, variant) => {
    const { asExpected, detail } = check(waits, variant);
    expect(asExpected, detail).toBe(true);
  });
});

describe('UFFDIO_MOVE', () => {
  test('moves an exclusive page, and says what stands in the way', () => {
    const { m, p, run, judge } = booted({ softDirty: true });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const y = p.mmap({ pages: 1 });
    const z = p.mmap({ pages: 1, touched: true, shared: true });
    const page = p.page(x.start);
    const from = p.ptep(x.start);
    const to = p.ptep(y.start);
    const shared = p.ptep(z.start);
    const ctx = m.userfaultfd([x, y]);
    run(() => userStore(x.start, 5));
    expect(run(() => move_pages(ctx, y.start, x.start, 1))).toBe(1);
    expect(from.cell.value).toBe(0);
    expect(pfnOf(to.cell.value)).toBe(page.pfn);
    expect(to.cell.value & (PTE.RW | PTE.DIRTY | PTE.SOFT_DIRTY)).toBe(PTE.RW | PTE.DIRTY | PTE.SOFT_DIRTY);
    expect(page.index.value).toBe(y.start);
    expect(run(() => userLoad(y.start))).toBe(5);
    expect(run(() => move_pages(ctx, y.start, x.start, 1))).toBe(-EEXIST);
    expect(run(() => move_pages(ctx, x.start, z.start, 1))).toBe(-EBUSY);
    expect(shared.cell.value).not.toBe(0);
    run(() => move_pages(ctx, x.start, y.start, 1));
    expect(run(() => move_pages(ctx, y.start, y.start, 1))).toBe(-ENOENT);
    judge();
  });

  test('moves a swap entry', () => {
    const { m, p, run, judge } = booted({ swapSlots: 1 });
    const x = p.mmap({ pages: 1 });
    const y = p.mmap({ pages: 1 });
    m.swapOut(p, x.vma, x.start, 7);
    const ctx = m.userfaultfd([y]);
    expect(run(() => move_pages(ctx, y.start, x.start, 1))).toBe(1);
    expect(run(() => userLoad(y.start))).toBe(7);
    judge();
  });
});

test('fork copies swap-type entries: a poisoned page is poisoned for the child, a write-protected one is not', () => {
  const { m, p, run, judge } = booted({ swapSlots: 1 });
  const x = p.mmap({ pages: 1, touched: true });
  const y = p.mmap({ pages: 1 });
  const poisoned = p.page(x.start);
  const c = m.child('C', p);
  m.userfaultfd([y]);
  m.swapOut(p, y.vma, y.start, 7);
  const { cell } = p.ptep(y.start);
  cell.init(cell.value | PTE.UFFD_WP);
  run(() => memory_failure(poisoned.pfn));
  run(() => dup_mmap(c.mm, p.mm));
  const copies = [x.start, y.start].map((addr) => c.ptep(addr).cell.value);
  expect(copies.map(swapType)).toEqual([SwapType.HWPOISON, SwapType.SWAP]);
  expect(copies[1]! & PTE.UFFD_WP).toBe(0);
  expect(cell.value & PTE.UFFD_WP).toBe(PTE.UFFD_WP);
  judge();
});

test('the NUMA scan takes the access away, and the fault gives it back', () => {
  const { p, run, judge } = booted();
  const x = p.mmap({ pages: 1, touched: true, dirty: true });
  const ptep = p.ptep(x.start);
  const before = ptep.cell.value;
  run(() => task_numa_work());
  expect(ptep.cell.value & (PTE.PRESENT | PTE.PROTNONE)).toBe(PTE.PROTNONE);
  expect(run(() => userStore(x.start, 3))).toBeUndefined();
  expect(ptep.cell.value).toBe(before);
  judge();
});

test('KSM merges a page with one of the same contents only', () => {
  const { m, p, run, judge } = booted({ ksmNodes: 1 });
  const x = p.mmap({ pages: 1, touched: true, dirty: true, vm_flags: VM.MERGEABLE });
  const q = m.process('Q', { cpus: [] });
  const y = q.mmap({ pages: 1, touched: true });
  const kpage = q.page(y.start);
  const mine = p.page(x.start);
  const ptep = p.ptep(x.start);
  m.ksmPage(q, y, kpage);
  const merge = () =>
    run(function* () {
      const page = yield* get_mergeable_page(p.mm, x.start);
      const err = yield* try_to_merge_with_ksm_page(p.mm, x.start, page!, kpage);
      yield* folio_put(page!);
      return err;
    });
  run(() => userStore(x.start, 4));
  expect(merge()).not.toBe(0);
  expect(pfnOf(ptep.cell.value)).toBe(mine.pfn);
  expect(ptep.cell.value & PTE.RW).toBe(0);
  run(() => userStore(x.start, 0));
  expect(merge()).toBe(0);
  expect(pfnOf(ptep.cell.value)).toBe(kpage.pfn);
  run(() => userStore(x.start, 4)); // breaks COW
  expect(pfnOf(ptep.cell.value)).not.toBe(kpage.pfn);
  judge();
});

test('a broken page is taken away for good', () => {
  const { p, run, judge } = booted();
  const x = p.mmap({ pages: 1, touched: true });
  const page = p.page(x.start);
  const ptep = p.ptep(x.start);
  expect(run(() => memory_failure(page.pfn))).toBe(0);
  expect(swapType(ptep.cell.value)).toBe(SwapType.HWPOISON);
  expect(run(() => userLoad(x.start))).toBe('SIGBUS');
  expect(page._refcount.value).toBe(1);
  expect(run(() => memory_failure(page.pfn))).toBeLessThan(0);
  judge();
});

test('clear_refs forgets what was written, and notices what is written then', () => {
  const { p, run, judge } = booted({ softDirty: true });
  const x = p.mmap({ pages: 1, touched: true });
  const softDirty = (): boolean =>
    (run(() => pagemap_read(p.mm, x.start, 1))[0]!.flags & PM.SOFT_DIRTY) !== 0;
  run(() => userStore(x.start, 1));
  run(() => clear_refs_write(p.mm));
  expect(softDirty()).toBe(false);
  run(() => userLoad(x.start));
  expect(softDirty()).toBe(false);
  run(() => userStore(x.start, 2));
  expect(softDirty()).toBe(true);
  judge();
});

test('a walk over a large folio finds all its entries', () => {
  const { p, run, judge } = booted({ thp: true });
  p.mmap({ pages: 2, folio: 'pte' });
  const head = p.page(0);
  expect(run(() => page_idle_clear_pte_refs(head))).toBe(2);
  judge();
});

test('swapoff reads in what is in swap, and leaves the rest alone', () => {
  const { m, p, run, judge } = booted({ swapSlots: 1 });
  const x = p.mmap({ pages: 1, touched: true, dirty: true });
  const y = p.mmap({ pages: 1 });
  m.swapOut(p, y.vma, y.start, 7);
  m.exclusive(p, x.start);
  const entry = p.ptep(x.start);
  const before = entry.cell.value;
  const there = p.ptep(y.start);
  expect(run(() => unuse_mm(p.mm))).toBe(0);
  expect(entry.cell.value).toBe(before);
  expect(there.cell.value & PTE.PRESENT).toBe(PTE.PRESENT);
  expect(run(() => userLoad(y.start))).toBe(7);
  judge();
});
