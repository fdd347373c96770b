// SPDX-License-Identifier: MIT
/** Classic subscriptions from get to free, what they are asked and told beside start and end, and the OOM reaper. */
import { describe, expect, test } from 'vitest';
import { request, type Path } from '../../src/core/path.js';
import {
  EAGAIN,
  EINVAL,
  mmput,
  type MmuIntervalNotifierOps,
  type MmuNotifier,
  type MmuNotifierOps,
  kfreeNotifier,
  mmu_notifier_clear_flush_young,
  mmu_notifier_get,
  mmu_notifier_put,
  mmu_notifier_register,
  mmu_notifier_synchronize,
  mmu_notifier_test_young,
  munmap,
  oom_reap_task,
  page_idle_clear_pte_refs,
  process_mrelease,
  shrink_inactive_list,
  userStore,
  userLoad,
} from '../../src/linux/index.js';
import type { Knobs } from '../../src/linux/knobs.js';
import { MMF_OOM_SKIP, MMF_UNSTABLE } from '../../src/linux/include/mm_types.js';
import { Testbed } from '../../src/litmus/index.js';
import { lockdep, watchAlways } from '../../src/properties/index.js';
import { onlyTask, smallKernel } from './fixtures/straight.js';

/** A process with two VMAs of one touched page each, and one task. */
function booted({ users = 1, knobs = {} }: { users?: number; knobs?: Partial<Knobs> } = {}) {
  const kernel = smallKernel(
    { frames: 16, ptrsPerPte: 4, data: true },
    { knobs: { 'mmu_gather.table_free': 'with-flush', ...knobs }, swapSlots: 4 },
  );
  const p = new Testbed(kernel).process('P', { pages: 4 });
  const [x, y] = [0, 2].map((at) => p.mmap({ pages: 1, touched: true, at }));
  p.users(users);
  const task = onlyTask(
    { kernel, process: p },
    () => watchAlways(kernel),
    () => lockdep(kernel.system),
  );
  return {
    kernel,
    p,
    mm: p.mm,
    x: x!,
    y: y!,
    run<T>(path: () => Path<T>): T {
      const value = task.run(path);
      expect(task.reports()).toEqual([]);
      return value;
    },
    judge: task.judge,
    /** The work that runs callbacks, for one. */
    *invokeOne(): Path {
      const srcu = kernel.mmu_notifier_srcu!;
      const head = yield* request(kernel.op.srcuTake, srcu.number);
      yield* srcu.heads[head]!.func();
      yield* request(kernel.op.srcuDone, srcu.number, head);
    },
    mm_count: () => p.mm.notifier_subscriptions!.mm_count.value,
  };
}

/** Ops with which a pool of subscriptions can be had. */
function pooled(world: ReturnType<typeof booted>, size: number) {
  const free: MmuNotifier[] = [];
  const freed: string[] = [];
  const ops: MmuNotifierOps = {
    *alloc_notifier() {
      return free.shift();
    },
    *free_notifier(sub) {
      freed.push(sub.name);
      yield* kfreeNotifier(sub);
    },
  };
  for (let i = 0; i < size; i++) free.push(world.p.mmuNotifier(ops, { registered: false }));
  return { ops, freed };
}

describe('mmu_notifier_get() and mmu_notifier_put()', () => {
  test('the second user has the subscription of the first, the last one ends it', () => {
    const world = booted();
    const { mm, run } = world;
    const { ops, freed } = pooled(world, 2);
    const first = run(() => mmu_notifier_get(ops, mm))!;
    expect(run(() => mmu_notifier_get(ops, mm))).toBe(first);
    expect([first.users!.value, first.hashed.value, world.mm_count()]).toEqual([2, 1, 2]);
    run(() => mmu_notifier_put(first));
    expect([first.users!.value, first.hashed.value]).toEqual([1, 1]);
    run(() => mmu_notifier_put(first));
    expect([first.hashed.value, freed.length, world.mm_count()]).toEqual([0, 0, 2]);
    const second = run(() => mmu_notifier_get(ops, mm))!;
    expect(second).not.toBe(first);
    run(world.invokeOne);
    expect([freed, world.mm_count()]).toEqual([[first.name], 2]);
    run(() => mmu_notifier_put(second));
    run(world.invokeOne);
    world.judge();
  });

  test('without a subscription to be had there is none', () => {
    const world = booted();
    const { ops } = pooled(world, 0);
    world.p.mmuNotifier({}, { registered: true });
    expect(world.run(() => mmu_notifier_get(ops, world.mm))).toBeUndefined();
    world.judge();
  });

  test('a put too many is noticed', () => {
    const world = booted();
    const { ops } = pooled(world, 1);
    const sub = world.run(() => mmu_notifier_get(ops, world.mm))!;
    world.run(() => mmu_notifier_put(sub));
    expect(() => world.run(() => mmu_notifier_put(sub))).toThrow('WARN-ON');
  });

  test('the mm is freed after the last subscription, not with the last user', () => {
    const world = booted();
    const { mm, run } = world;
    const { ops } = pooled(world, 1);
    const sub = run(() => mmu_notifier_get(ops, mm))!;
    run(() => mmput(mm));
    expect([mm.freed!.value, sub.hashed.value]).toEqual([0, 0]);
    run(() => mmu_notifier_put(sub));
    expect(mm.freed!.value).toBe(0);
    run(world.invokeOne);
    expect(mm.freed!.value).toBe(1);
    world.judge();
  });

  test.each([
    ['boot-cpu', 'grace-period', false],
    ['per-cpu', 'grace-period', true],
    ['per-cpu', 'callbacks', false],
  ] as const)('mmu_notifier_synchronize() with %s lists and %s', (list, waits, returns) => {
    const world = booted({
      knobs: { 'call_srcu.list': list, 'mmu_notifier_synchronize.waits': waits },
    });
    const { ops } = pooled(world, 1);
    const sub = world.run(() => mmu_notifier_get(ops, world.mm))!;
    world.run(() => mmu_notifier_put(sub));
    if (returns) world.run(() => mmu_notifier_synchronize());
    else expect(() => world.run(() => mmu_notifier_synchronize())).toThrow('wait');
  });
});

test('start and end go with no method for secondary TLBs: registration is refused', () => {
  const world = booted();
  const both = world.p.mmuNotifier(
    {
      *invalidate_range_start() {
        return 0;
      },
      *arch_invalidate_secondary_tlbs() {},
    },
    { registered: false },
  );
  expect(world.run(() => mmu_notifier_register(both, world.mm))).toBe(-EINVAL);
  expect([both.hashed.value, world.mm_count()]).toEqual([0, 1]);
  world.judge();
});

describe('hooks', () => {
  const told = (world: ReturnType<typeof booted>): string[] => {
    const calls: string[] = [];
    for (const [name, young] of [
      ['a', true],
      ['b', false],
    ] as const)
      world.p.mmuNotifier({
        *clear_flush_young(_, _mm, start, end) {
          calls.push(`${name} clear_flush_young ${start}..${end}`);
          return young;
        },
        *clear_young(_, _mm, start, end) {
          calls.push(`${name} clear_young ${start}..${end}`);
          return young;
        },
        *test_young(_, _mm, address) {
          calls.push(`${name} test_young ${address}`);
          return young;
        },
        *arch_invalidate_secondary_tlbs(_, _mm, start, end) {
          calls.push(`${name} flush ${start}..${end}`);
        },
      });
    return calls;
  };

  test('all are to forget that a page was used; whether it was, the first one that knows tells', () => {
    const world = booted();
    const calls = told(world);
    expect(world.run(() => mmu_notifier_clear_flush_young(world.mm, 0, 1))).toBe(true);
    expect(calls.splice(0)).toEqual(['b clear_flush_young 0..1', 'a clear_flush_young 0..1']);
    expect(world.run(() => mmu_notifier_test_young(world.mm, 2))).toBe(true);
    expect(calls.splice(0)).toEqual(['b test_young 2', 'a test_young 2']);
    const page = world.p.page(2);
    expect(world.run(() => page_idle_clear_pte_refs(page))).toBe(1);
    expect(calls).toEqual(['b clear_young 2..3', 'a clear_young 2..3']);
  });

  test('devices that walk the page tables flush with the CPUs, and at once where these put it off', () => {
    const world = booted();
    const calls = told(world);
    world.run(() => munmap(world.mm, world.x.vma));
    expect(calls.splice(0)).toEqual(['b flush 0..1', 'a flush 0..1']);
    const page = world.p.page(2);
    world.run(() => shrink_inactive_list([page]));
    expect(calls.slice(0, 2)).toEqual(['b flush 2..3', 'a flush 2..3']);
  });

  test('nobody who has no such method costs an access', () => {
    const world = booted();
    world.p.mmuNotifier({});
    expect(mmu_notifier_clear_flush_young(world.mm, 0, 1).next().done).toBe(true);
    expect(mmu_notifier_test_young(world.mm, 0).next().done).toBe(true);
  });
});

describe('the OOM reaper', () => {
  const present = ({ kernel, mm }: ReturnType<typeof booted>, page: number): boolean =>
    kernel.machine.leaf(mm.space, page) !== 0;
  /** Refuses what it may not wait for, so many times. */
  const busy = (times: number): MmuIntervalNotifierOps & { times: number } => ({
    times,
    *invalidate(_, { blockable }) {
      return blockable || this.times-- <= 0;
    },
  });

  test('takes what it can get, and tries again for the rest', () => {
    const world = booted();
    world.p.oomVictim();
    world.p.intervalNotifier(world.x, busy(2));
    expect(world.run(() => oom_reap_task(world.mm, 1))).toBe(false);
    expect([present(world, 0), present(world, 2)]).toEqual([true, false]);
    expect(world.mm.flags.value).toBe(MMF_UNSTABLE | MMF_OOM_SKIP);
    world.judge();
  });

  test.each([
    [2, true],
    [3, false],
  ])('%i refusals, three attempts: %s', (times, reaped) => {
    const world = booted();
    world.p.oomVictim();
    world.p.intervalNotifier(world.x, busy(times));
    expect(world.run(() => oom_reap_task(world.mm, 3))).toBe(reaped);
    expect(present(world, 0)).toBe(!reaped);
    world.judge();
  });

  test('process_mrelease() says that something is left', () => {
    const world = booted();
    world.p.oomVictim();
    world.p.intervalNotifier(world.x, busy(1));
    expect(world.run(() => process_mrelease(world.mm))).toBe(-EAGAIN);
    expect(world.run(() => process_mrelease(world.mm))).toBe(0);
    world.judge();
  });

  test('has nothing to do after exit', () => {
    const world = booted();
    world.p.oomVictim();
    world.run(() => mmput(world.mm));
    const calls = busy(0);
    expect(world.run(() => oom_reap_task(world.mm))).toBe(true);
    expect([calls.times, world.mm.flags.value]).toEqual([0, MMF_OOM_SKIP]);
  });

  test('nobody sees a fresh page where one was taken', () => {
    const world = booted();
    world.p.oomVictim();
    world.run(() => oom_reap_task(world.mm));
    expect(world.run(() => userLoad(0))).toBe('SIGBUS');
    expect(world.run(() => userStore(2, 1))).toBe('SIGBUS');
    expect([present(world, 0), present(world, 2)]).toEqual([false, false]);
    world.judge();
  });
});
