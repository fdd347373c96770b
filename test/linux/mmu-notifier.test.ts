// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import type { Path } from '../../src/core/path.js';
import {
  dup_mmap,
  EAGAIN,
  exit_mmap,
  madvise_dontneed,
  madvise_free,
  mmap_write_lock,
  mmap_write_unlock,
  MMU_NOTIFY,
  mmu_interval_notifier_insert,
  mmu_interval_notifier_insert_locked,
  mmu_interval_notifier_remove,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_invalidate_range_start_nonblock,
  mmu_notifier_range_init,
  mmu_notifier_register,
  mmu_notifier_unregister,
  mprotect,
  munmap,
  PROT_READ,
  shrink_inactive_list,
  userStore,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  type MmuNotifierOps,
  type MmuNotifierRange,
} from '../../src/linux/index.js';
import { lockdep, watchAlways } from '../../src/properties/index.js';
import { Testbed } from '../../src/litmus/index.js';
import { onlyTask, smallKernel } from './fixtures/straight.js';

/** A kernel with a process of `pages` pages and one task; paths run straight through, with all properties on. */
function booted({ pages = 4, seqModulus = 0, huge = false } = {}) {
  const kernel = smallKernel(
    { frames: 16, ptrsPerPte: huge ? 2 : 4, data: true },
    { knobs: { 'mmu_gather.table_free': 'with-flush' }, thp: huge, swapSlots: 4, seqModulus },
  );
  const m = new Testbed(kernel);
  const p = m.process('P', { pages });
  const x = p.mmap(huge ? { pages: 2, folio: 'pmd' } : { pages, touched: true });
  const told: string[] = [];
  const task = onlyTask(
    { kernel, process: p },
    () => watchAlways(kernel),
    () => lockdep(kernel.system),
  );
  const tell = (who: string, range: MmuNotifierRange): void => {
    const event = Object.entries(MMU_NOTIFY).find(([, number]) => number === range.event)![0];
    told.push(`${who} ${event} ${range.start}..${range.end}`);
  };
  return {
    kernel,
    m,
    p,
    x,
    told,
    interval: (also?: (sub: MmuIntervalNotifier) => Path): MmuIntervalNotifierOps => ({
      *invalidate(sub, range, cur_seq) {
        tell(sub.name, range);
        expect(cur_seq % 2).toBe(1);
        if (also !== undefined) yield* also(sub);
        return true;
      },
    }),
    classic: (name: string): MmuNotifierOps => ({
      *release() {
        told.push(`${name} release`);
      },
      *invalidate_range_start(_, range) {
        tell(`${name} start`, range);
        return 0;
      },
      *invalidate_range_end(_, range) {
        tell(`${name} end`, range);
      },
    }),
    run<T>(path: () => Path<T>): T {
      const value = task.run(path);
      expect(task.reports()).toEqual([]);
      return value;
    },
    judge: task.judge,
    subscriptions: () => p.mm.notifier_subscriptions!,
  };
}

const clear = ({ p }: ReturnType<typeof booted>, start: number, end: number): MmuNotifierRange =>
  mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, start, end);

describe('what kernel paths tell a mirror', () => {
  type World = ReturnType<typeof booted>;
  const paths: Record<string, readonly [(world: World) => Path<unknown>, readonly string[]]> = {
    munmap: [({ p, x }) => munmap(p.mm, x.vma), ['UNMAP 0..4']],
    MADV_DONTNEED: [({ x }) => madvise_dontneed(x.vma, 1, 3), ['CLEAR 1..3']],
    MADV_FREE: [({ p }) => madvise_free(p.mm, 1, 3), ['CLEAR 1..3']],
    mprotect: [({ p, x }) => mprotect(p.mm, x.vma, PROT_READ), ['PROTECTION_VMA 0..4']],
    'swap-out': [({ kernel }) => shrink_inactive_list([kernel.mem_map[2]!]), ['CLEAR 1..2']],
    'exit_mmap()': [({ p }) => exit_mmap(p.mm), ['RELEASE 0..4', 'UNMAP 0..4']],
  };
  test.each(Object.entries(paths))('%s', (_, [path, events]) => {
    const world = booted();
    world.p.intervalNotifier(world.x, world.interval());
    world.run(() => path(world));
    expect(world.told).toEqual(events.map((event) => `sub0 ${event}`));
    world.judge();
  });

  test('fork tells the mirrors of the parent, and the copy after it those of who writes', () => {
    const world = booted();
    const { p, x, m, told } = world;
    p.intervalNotifier(x, world.interval());
    const child = m.child('C', p);
    world.run(() => dup_mmap(child.mm, p.mm));
    expect(told.splice(0)).toEqual(['sub0 PROTECTION_PAGE 0..4']);
    world.run(() => userStore(2, 1));
    expect(told).toEqual(['sub0 CLEAR 2..3']);
    world.run(() => exit_mmap(child.mm));
    world.judge();
  });

  test('a split of a huge PMD nests in the range that is zapped, and covers all of the huge page', () => {
    const world = booted({ pages: 2, huge: true });
    world.p.intervalNotifier(world.x, world.interval());
    world.run(() => madvise_dontneed(world.x.vma, 0, 1));
    expect(world.told).toEqual(['sub0 CLEAR 0..1', 'sub0 CLEAR 0..2']);
    expect(world.subscriptions().invalidate_seq.value).toBe(4);
    world.judge();
  });
});

test('an mm on which no notifier can be registered makes no request', () => {
  const world = booted();
  const range = clear(world, 0, 4);
  expect(mmu_notifier_invalidate_range_start(range).next().done).toBe(true);
  expect(mmu_notifier_invalidate_range_end(range).next().done).toBe(true);
});

test('interval subscriptions that a range hits are called by their start, then classic ones, the last one first', () => {
  const world = booted();
  const { p, told } = world;
  p.intervalNotifier({ start: 2, end: 4 }, world.interval());
  p.intervalNotifier({ start: 0, end: 1 }, world.interval());
  p.intervalNotifier({ start: 1, end: 3 }, world.interval());
  p.mmuNotifier(world.classic('a'));
  p.mmuNotifier(world.classic('b'));
  world.run(() => madvise_dontneed(world.x.vma, 1, 3));
  expect(told).toEqual([
    'sub2 CLEAR 1..3',
    'sub0 CLEAR 1..3',
    'b start CLEAR 1..3',
    'a start CLEAR 1..3',
    'b end CLEAR 1..3',
    'a end CLEAR 1..3',
  ]);
  world.judge();
});

test('a range that hits nobody leaves the number even, one that hits makes it odd until it ends', () => {
  const world = booted();
  world.p.intervalNotifier({ start: 0, end: 2 }, world.interval());
  const seq = (): number => world.subscriptions().invalidate_seq.value;
  for (const [start, during, after] of [
    [2, 2, 2],
    [1, 3, 4],
  ] as const) {
    const range = clear(world, start, start + 1);
    world.run(() => mmu_notifier_invalidate_range_start(range));
    expect(seq()).toBe(during);
    world.run(() => mmu_notifier_invalidate_range_end(range));
    expect(seq()).toBe(after);
  }
  world.judge();
});

describe('the deferred list', () => {
  test('insertions wait for the last end; one that is taken back before it leaves no trace', () => {
    const world = booted();
    const { p } = world;
    p.intervalNotifier({ start: 0, end: 1 }, world.interval());
    const [kept, dropped] = [1, 2].map(() =>
      p.intervalNotifier({ start: 1, end: 2 }, world.interval(), { inserted: false }),
    );
    const [outer, inner] = [clear(world, 0, 2), clear(world, 1, 2)];
    world.run(() => mmu_notifier_invalidate_range_start(outer));
    world.run(() => mmu_notifier_invalidate_range_start(inner));
    for (const [i, sub] of [kept!, dropped!].entries()) {
      world.run(() => mmu_interval_notifier_insert(sub, p.mm, 1, 1));
      expect([sub.in_tree.value, sub.deferred.value, sub.invalidate_seq.value]).toEqual([0, i + 1, 3]);
    }
    world.run(() => mmu_interval_notifier_remove(dropped!));
    expect([dropped!.in_tree.value, dropped!.deferred.value, dropped!.life.value]).toEqual([0, 0, 0]);
    world.run(() => mmu_notifier_invalidate_range_end(inner));
    expect(kept!.in_tree.value).toBe(0);
    world.run(() => mmu_notifier_invalidate_range_end(outer));
    expect([kept!.in_tree.value, kept!.deferred.value]).toEqual([1, 0]);
    world.told.length = 0;
    world.run(() => madvise_dontneed(world.x.vma, 1, 2));
    expect(world.told).toEqual(['sub1 CLEAR 1..2']);
    world.judge();
  });

  test('an insertion while ranges are in flight that hit nobody counts as hit', () => {
    const world = booted();
    const sub = world.p.intervalNotifier({ start: 0, end: 1 }, world.interval(), {
      inserted: false,
      ready: true,
    });
    const range = clear(world, 0, 1);
    world.run(() => mmu_notifier_invalidate_range_start(range));
    world.run(() => mmu_interval_notifier_insert(sub, world.p.mm, 0, 1));
    expect([sub.in_tree.value, sub.invalidate_seq.value, world.subscriptions().invalidate_seq.value]).toEqual(
      [1, 3, 3],
    );
    world.run(() => mmu_notifier_invalidate_range_end(range));
    expect(world.subscriptions().invalidate_seq.value).toBe(4);
    const seq = world.run(() => mmu_interval_read_begin(sub));
    expect(world.run(() => mmu_interval_read_retry(sub, seq))).toBe(false);
    world.judge();
  });
});

describe('a range that must not block', () => {
  const refuses: MmuIntervalNotifierOps = {
    *invalidate(_, range) {
      return range.blockable;
    },
  };
  test('ends at the interval subscription that would have to sleep', () => {
    const world = booted();
    world.p.intervalNotifier(world.x, refuses);
    const range = clear(world, 0, 1);
    expect(world.run(() => mmu_notifier_invalidate_range_start_nonblock(range))).toBe(-EAGAIN);
    expect(world.subscriptions().active_invalidate_ranges.value).toBe(0);
    expect(world.subscriptions().invalidate_seq.value).toBe(4);
    world.judge();
  });

  test('stays begun for interval subscriptions when a classic one would have to sleep', () => {
    const world = booted();
    world.p.intervalNotifier(world.x, world.interval());
    world.p.mmuNotifier({
      *invalidate_range_start(_, range) {
        return range.blockable ? 0 : -EAGAIN;
      },
    });
    const range = clear(world, 0, 1);
    expect(world.run(() => mmu_notifier_invalidate_range_start_nonblock(range))).toBe(-EAGAIN);
    expect(world.subscriptions().active_invalidate_ranges.value).toBe(1);
    expect(() => world.judge()).toThrow('NOTIFY-BALANCE');
  });
});

describe('registration', () => {
  test('the first subscription of an mm takes mmap_lock, unless the caller has it', () => {
    const world = booted();
    const { p } = world;
    const sub = p.intervalNotifier(world.x, world.interval(), { inserted: false });
    world.run(() => madvise_dontneed(world.x.vma, 0, 1));
    expect(world.told).toEqual([]);
    world.run(function* () {
      yield* mmap_write_lock(p.mm);
      yield* mmu_interval_notifier_insert_locked(sub, p.mm, 0, 4);
      yield* mmap_write_unlock(p.mm);
    });
    expect(sub.in_tree.value).toBe(1);
    world.run(() => mmu_interval_notifier_remove(sub));
    world.run(() => mmu_interval_notifier_insert(sub, p.mm, 0, 4));
    world.run(() => madvise_dontneed(world.x.vma, 1, 2));
    expect(world.told).toEqual(['sub0 CLEAR 1..2']);
    world.judge();
  });

  test('a classic notifier hears of its release once, from who ends it first', () => {
    const world = booted();
    const { p, told } = world;
    const [a, b] = ['a', 'b'].map((name) => p.mmuNotifier(world.classic(name), { registered: false }));
    world.run(() => mmu_notifier_register(a, p.mm));
    world.run(() => mmu_notifier_register(b, p.mm));
    world.run(() => mmu_notifier_unregister(a!, p.mm));
    expect(told.splice(0)).toEqual(['a release']);
    world.run(() => exit_mmap(p.mm));
    expect(told.splice(0)).toEqual(['b release']);
    world.run(() => mmu_notifier_unregister(b!, p.mm));
    expect(told).toEqual([]);
    expect(world.subscriptions().mm_count.value).toBe(1);
    world.judge();
  });
});

test('the number wraps where the machine says so, and keeps its parity', () => {
  const world = booted({ seqModulus: 8 });
  const sub = world.p.intervalNotifier(world.x, world.interval());
  const seen: number[] = [];
  for (let i = 0; i < 4; i++) {
    world.run(() => madvise_dontneed(world.x.vma, 0, 1));
    seen.push(world.subscriptions().invalidate_seq.value);
  }
  expect(seen).toEqual([4, 6, 0, 2]);
  world.run(() => mmu_interval_notifier_remove(sub));
  world.run(() => mmu_interval_notifier_insert(sub, world.p.mm, 0, 1));
  expect(sub.invalidate_seq.value).toBe(1);
});
