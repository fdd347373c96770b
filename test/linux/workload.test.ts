// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { Straight } from '../../src/explore/straight.js';
import { type Runner, Workload, type WorkloadOptions } from '../../src/litmus/workload.js';

/** Runs `count` operations straight through with every invariant on; returns the operations by name. */
function runThrough(options: WorkloadOptions, count: number): Map<string, number> {
  const workload = new Workload(options);
  const straight = new Straight(workload.kernel.system, {
    choose: (outcomes) => workload.choose(outcomes),
    monitor: () => workload.monitor(),
  });
  const run: Runner = (agent, path) => straight.run(agent, path);
  for (let i = 0; i < count; i++) {
    workload.step(run);
    straight.settle();
    straight.judge();
  }
  workload.finish(run);
  straight.settle();
  straight.judge();
  expect(workload.leftover()).toEqual([]);
  expect([...straight.reports]).toEqual([]);
  return workload.done;
}

test.each([
  { tlb: 'ipi', fill: 'demand' },
  { tlb: 'bcast', fill: 'demand' },
  { tlb: 'ipi', fill: 'eager' },
] as const)('10,000 operations of two processes end balanced: %o', (machine) => {
  const done = runThrough({ seed: 1, ...machine }, 10_000);
  for (const name of ['mmap', 'store', 'load', 'munmap', 'pin', 'unpin', 'dma', 'SIGSEGV'])
    expect([name, Math.min(50, done.get(name) ?? 0)]).toEqual([name, 50]);
});

test('with fork and exit', () => {
  const done = runThrough({ seed: 2, fork: true, frames: 128 }, 5_000);
  for (const name of ['fork', 'exit']) expect([name, Math.min(50, done.get(name) ?? 0)]).toEqual([name, 50]);
});

test('the sums are judged: a reference that nobody knows of is found', () => {
  const workload = new Workload({ seed: 3 });
  const straight = new Straight(workload.kernel.system, { choose: (outcomes) => workload.choose(outcomes) });
  while (workload.step((agent, path) => straight.run(agent, path)) !== 'store');
  straight.judge();
  const used = workload.kernel.mem_map.find(
    (page) => page._refcount.value === 1 && page._mapcount.value === 1,
  )!;
  workload.kernel.system.set(used._refcount.at, 2);
  expect(() => straight.judge()).toThrow(/^REF-SUM: /);
});
