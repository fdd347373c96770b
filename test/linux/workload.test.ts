// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
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

const OPERATIONS = [
  'mmap',
  'munmap',
  'mprotect',
  'dontneed',
  'store',
  'load',
  'add',
  'device read',
  'device write',
  'device atomic',
  'exclusive',
  'to device',
  'to system',
  'snapshot',
  'release',
  'close',
  'pin',
  'unpin',
  'dma',
  'fork',
  'exit',
  'SIGSEGV',
];

test('10,000 operations of four processes and their devices end balanced', () => {
  const done = runThrough({ seed: 1 }, 10_000);
  for (const name of OPERATIONS) expect([name, Math.min(50, done.get(name) ?? 0)]).toEqual([name, 50]);
}, 60_000);

test('every invariant is on', () => {
  expect([...new Set(new Workload({ seed: 1 }).properties)].sort()).toEqual([
    'ANON-EXCL',
    'ANON-VMA-SUM',
    'DATA',
    'DEVICE-PRIVATE',
    'EXCL',
    'FRAME-REUSE',
    'FREE-ONCE',
    'LIST-CORRUPT',
    'LOCK',
    'LOCK-REF',
    'MAP-SUM',
    'NO-TOUCH-FREED',
    'NOTIFY-BALANCE',
    'NOTIFY-ORDER',
    'OWNER',
    'REF-SUM',
    'RSS-SUM',
    'SPTE-COHERENT',
    'SUB-LIFE',
    'TABLE-ALIVE',
    'TLB-LIVE',
    'TLB-PERM',
    'TREE-FROZEN',
  ]);
});

describe('fewer operations', () => {
  test.each<[string, WorkloadOptions]>([
    ['on bcast', { seed: 2, tlb: 'bcast' }],
    ['on bcast, seed 3', { seed: 3, tlb: 'bcast' }],
    ['on ipi, seed 4', { seed: 4 }],
    ['with eager TLBs', { seed: 5, fill: 'eager' }],
    ['with one table for all pages', { seed: 6, ptrsPerPte: 32 }],
    ['of v8', { seed: 7, release: 'v8' }],
    ['of 5.14', { seed: 8, release: '5.14' }],
    ['of 6.15', { seed: 9, release: '6.15' }],
  ])('%s end balanced', (_, options) => {
    expect(runThrough(options, 1_000).get('device atomic')).toBeGreaterThan(10);
  });

  test('end balanced where memory runs out', () => {
    const done = runThrough({ seed: 10, frames: 22 }, 1_000);
    for (const name of ['OOM', 'mmap', 'fork'])
      expect([name, Math.min(5, done.get(name) ?? 0)]).toEqual([name, 5]);
  });
});

describe('what is wrong is found', () => {
  test.each<[knob: string, value: string, how: RegExp]>([
    ['restore.event', 'none', /^EXCL: /],
    ['fork.notifier', 'off', /^(EXCL|SPTE-COHERENT): /],
    ['make.notifier', 'none', /^SPTE-COHERENT: /],
    ['change_protection.notifier', 'off', /^(NOTIFY-ORDER|SPTE-COHERENT): /],
    ['zap.exclusive_rmap', 'removed', /^MAP-SUM: /],
    ['restore.rmap', 'not-counted', /^MAP-SUM: /],
    ['fork.flush_tlb', 'off', /^TLB-PERM: /],
    ['make.npages', 'unsigned', /^NO-TOUCH-FREED: /],
    ['test_hmm.backing_page', 'not-entered', /^SPTE-COHERENT: /],
    ['migrate_vma.flush', 'off', /^TLB-LIVE: /],
    ['migrate_vma.notifier', 'off', /^NOTIFY-ORDER: /],
  ])('%s=%s', (knob, value, how) => {
    expect(() => runThrough({ seed: 1, knobs: { [knob]: value } }, 1_500)).toThrow(how);
  });

  test('contents that are not what was stored', () => {
    const workload = new Workload({ seed: 1 });
    const { system, machine } = workload.kernel;
    const straight = new Straight(system, { choose: (outcomes) => workload.choose(outcomes) });
    const run: Runner = (agent, path) => straight.run(agent, path);
    expect(() => {
      for (let i = 0; i < 1_000; i++) {
        workload.step(run);
        if (i === 200) for (const { data } of machine.frames) system.set(data!.at, 12_345);
      }
    }).toThrow(/^DATA: .* holds 12345, and \d+ was stored/);
  });

  test('a reference that nobody knows of', () => {
    const workload = new Workload({ seed: 3 });
    const straight = new Straight(workload.kernel.system, {
      choose: (outcomes) => workload.choose(outcomes),
    });
    while (workload.step((agent, path) => straight.run(agent, path)) !== 'store');
    straight.judge();
    const used = workload.kernel.mem_map.find(
      (page) => page._refcount.value === 1 && page._mapcount.value === 1,
    )!;
    workload.kernel.system.set(used._refcount.at, 2);
    expect(() => straight.judge()).toThrow(/^REF-SUM: /);
  });
});
