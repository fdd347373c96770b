// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import type { Path } from '../../src/core/path.js';
import {
  intervalBatch,
  MMU_NOTIFY,
  mmu_interval_notifier_find,
  mmu_interval_notifier_find_unlock,
  mmu_interval_notifier_insert_safe,
  mmu_interval_notifier_put,
  mmu_interval_notifier_remove,
  mmu_interval_notifier_update,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  type MmuNotifierRange,
} from '../../src/linux/index.js';
import type { Knobs } from '../../src/linux/knobs.js';
import { Testbed } from '../../src/litmus/index.js';
import { lockdep, watchAlways } from '../../src/properties/index.js';
import { onlyTask, smallKernel } from './fixtures/straight.js';

/** A kernel of the proposals with a process of four pages; its callbacks and releases are written down. */
function booted(knobs: Partial<Knobs> = {}) {
  const kernel = smallKernel(
    { frames: 16, ptrsPerPte: 4 },
    { knobs: { 'mmu_interval_notifier.updates': 'v6', ...knobs } },
  );
  const m = new Testbed(kernel);
  const p = m.process('P', { pages: 4 });
  p.mmap({ pages: 4, touched: true });
  const told: string[] = [];
  const task = onlyTask(
    { kernel, process: p },
    () => watchAlways(kernel),
    () => lockdep(kernel.system),
  );
  const ops: MmuIntervalNotifierOps = {
    *invalidate(sub) {
      told.push(`${sub.name} invalidate`);
      return true;
    },
    *release(sub) {
      told.push(`${sub.name} release`);
    },
  };
  const run = <T>(path: () => Path<T>): T => task.run(path);
  const subscriptions = () => p.mm.notifier_subscriptions!;
  return {
    p,
    told,
    ops,
    run,
    judge: task.judge,
    subscriptions,
    sub: (start: number, end: number, inserted = true): MmuIntervalNotifier =>
      p.intervalNotifier({ start, end }, ops, { inserted, ready: true }),
    range: (start: number, end: number): MmuNotifierRange =>
      mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, start, end),
    begin: (range: MmuNotifierRange) => run(() => mmu_notifier_invalidate_range_start(range)),
    end: (range: MmuNotifierRange) => run(() => mmu_notifier_invalidate_range_end(range)),
    bounds: ({ in_tree, start, last }: MmuIntervalNotifier) =>
      in_tree.value === 0 ? 'out of the tree' : `${start.value}..${last.value}`,
  };
}

describe.each(['v5', 'v6'] as const)('%s', (updates) => {
  const knobs = { 'mmu_interval_notifier.updates': updates };
  const giveUp = updates === 'v5' ? mmu_interval_notifier_remove : mmu_interval_notifier_put;

  test('what is given up while a range hits is released by the last end, the first one given up first', () => {
    const world = booted(knobs);
    const subs = [world.sub(0, 1), world.sub(0, 2), world.sub(0, 3)];
    const [outer, inner] = [world.range(0, 1), world.range(0, 2)];
    world.begin(outer);
    world.begin(inner);
    world.told.length = 0;
    for (const sub of subs) world.run(() => giveUp(sub));
    world.end(inner);
    expect(world.told).toEqual([]);
    world.end(outer);
    expect(world.told).toEqual(['sub0 release', 'sub1 release', 'sub2 release']);
    expect(subs.map((sub) => [sub.in_tree.value, sub.deferred.value, sub.life.value])).toEqual(
      subs.map(() => [0, 0, 0]),
    );
    expect(world.subscriptions().mm_count.value).toBe(1);
    world.judge();
  });

  test('what is given up while nobody invalidates is released at once', () => {
    const world = booted(knobs);
    const sub = world.sub(0, 1);
    world.run(() => giveUp(sub));
    expect(world.told).toEqual(['sub0 release']);
    world.judge();
  });

  test('an update is made by the last end, at once if nobody invalidates; the last one counts', () => {
    const world = booted(knobs);
    const sub = world.sub(0, 2);
    world.run(() => mmu_interval_notifier_update(sub, 0, 2));
    expect(world.bounds(sub)).toBe('0..2');
    const range = world.range(0, 1);
    world.begin(range);
    world.run(() => mmu_interval_notifier_update(sub, 1, 2));
    world.run(() => mmu_interval_notifier_update(sub, 1, 1));
    expect(world.bounds(sub)).toBe('0..2');
    world.end(range);
    expect(world.bounds(sub)).toBe('1..1');
    world.told.length = 0;
    world.begin(world.range(0, 1));
    expect(world.told).toEqual([]);
  });

  test('an update of what is not in the tree yet counts for its insertion; given up, it was never there', () => {
    const world = booted(knobs);
    world.sub(0, 1);
    const [late, dropped] = [world.sub(2, 3, false), world.sub(2, 3, false)];
    const range = world.range(0, 1);
    world.begin(range);
    for (const sub of [late, dropped])
      world.run(() => mmu_interval_notifier_insert_safe(sub, world.p.mm, 2, 1));
    world.run(() => mmu_interval_notifier_update(late, 2, 3));
    world.told.length = 0;
    world.run(() => giveUp(dropped));
    expect(world.told).toEqual(['sub2 release']);
    world.end(range);
    expect([late, dropped].map(world.bounds)).toEqual(['2..3', 'out of the tree']);
    world.judge();
  });

  test('an update that is followed by a removal is forgotten', () => {
    const world = booted(knobs);
    const sub = world.sub(0, 1);
    const range = world.range(0, 1);
    world.begin(range);
    world.told.length = 0;
    world.run(() => mmu_interval_notifier_update(sub, 0, 3));
    world.run(() => giveUp(sub));
    world.end(range);
    expect([world.bounds(sub), ...world.told]).toEqual(['out of the tree', 'sub0 release']);
    world.judge();
  });
});

test('insertion does not register: without a tree it fails', () => {
  const world = booted();
  const sub = world.p.intervalNotifier({ start: 0, end: 1 }, world.ops, { inserted: false });
  expect(world.run(() => mmu_interval_notifier_insert_safe(sub, world.p.mm, 0, 1))).toBeLessThan(0);
  expect(sub.life.value).toBe(0);
});

describe('find()', () => {
  const find = (world: ReturnType<typeof booted>, start: number, last: number) =>
    world.run(() => mmu_interval_notifier_find(world.p.mm, world.ops, start, last))?.name;

  test('returns the first one of that driver that intersects', () => {
    const world = booted();
    world.p.intervalNotifier({ start: 0, end: 4 }, { ...world.ops });
    world.sub(2, 4);
    world.sub(1, 3);
    expect([find(world, 0, 0), find(world, 0, 3), find(world, 3, 3)]).toEqual([undefined, 'sub2', 'sub1']);
  });

  test('that sees deferred_list: insertions and new ranges, no removals', () => {
    const world = booted({ 'mmu_interval_notifier_find.sees': 'deferred' });
    const [updated, removed, inserted] = [world.sub(0, 1), world.sub(1, 2), world.sub(2, 3, false)];
    const range = world.range(0, 1);
    world.begin(range);
    world.run(() => mmu_interval_notifier_update(updated, 3, 3));
    world.run(() => mmu_interval_notifier_put(removed));
    world.run(() => mmu_interval_notifier_insert_safe(inserted, world.p.mm, 2, 1));
    const answers = (): (string | undefined)[] => [0, 1, 2, 3].map((page) => find(world, page, page));
    expect(answers()).toEqual([undefined, undefined, 'sub2', 'sub0']);
    world.end(range);
    expect(answers()).toEqual([undefined, undefined, 'sub2', 'sub0']);
  });

  test('that locks the tree for read puts off what is done before find_unlock()', () => {
    const world = booted({ 'mmu_interval_notifier_find.hold': 'read-locked' });
    const sub = world.sub(0, 1);
    const found = world.run(() => mmu_interval_notifier_find(world.p.mm, world.ops, 0, 0))!;
    expect([
      world.subscriptions().active_invalidate_ranges.value,
      world.subscriptions().invalidate_seq.value,
    ]).toEqual([1, 3]);
    world.run(() => mmu_interval_notifier_put(sub));
    expect(world.told).toEqual([]);
    world.run(() => mmu_interval_notifier_find_unlock(found));
    expect(world.told).toEqual(['sub0 release']);
    expect(world.subscriptions().invalidate_seq.value).toBe(4);
    world.judge();
  });

  test('that takes a reference has the last one release', () => {
    const world = booted({ 'mmu_interval_notifier_find.hold': 'refcount' });
    const sub = world.sub(0, 1);
    const found = world.run(() => mmu_interval_notifier_find(world.p.mm, world.ops, 0, 0))!;
    world.run(() => mmu_interval_notifier_put(sub));
    expect(world.told).toEqual([]);
    world.run(() => mmu_interval_notifier_find_unlock(found));
    expect(world.told).toEqual(['sub0 release']);
    world.judge();
  });
});

test.each(['once', 'each'] as const)('a batch asks for the state of the numbers: %s', (state) => {
  const world = booted({ 'mmu_interval_notifier_batch.state': state });
  const [left, right] = [world.sub(0, 3), world.sub(2, 3, false)];
  world.begin(world.range(3, 4));
  world.run(() =>
    intervalBatch({ interval_sub: left, start: 0, last: 0 }, { interval_sub: right, start: 2, last: 2 }),
  );
  expect(world.bounds(left)).toBe('0..0');
  expect(world.bounds(right)).toBe(state === 'once' ? '2..2' : 'out of the tree');
  expect([left, right].map((sub) => sub.invalidate_seq.value)).toEqual([3, 3]);
});
