// SPDX-License-Identifier: MIT
/** A deadlock says who waits for whom, what each holds, and where it took that. */
import { describe, expect, test } from 'vitest';
import type { Path } from '../../src/core/path.js';
import type { Scenario } from '../../src/core/scenario.js';
import { check } from '../../src/explore/check.js';
import { makeTrace, type Trace, type TracePlace } from '../../src/explore/trace.js';
import { deadlocks, scenario } from '../../src/litmus/index.js';
import {
  mmap_read_lock,
  mmap_read_unlock,
  mmap_write_lock,
  mmap_write_unlock,
  local_irq_restore,
  local_irq_save,
  rcu_read_lock,
  rcu_read_unlock,
  spin_lock,
  spin_unlock,
  synchronize_rcu,
} from '../../src/linux/index.js';
import { diagram } from '../../src/report/diagram.js';
import { kernelValue } from '../../src/report/values.js';
import { SCENARIOS } from '../../src/scenarios/index.js';
import * as toys from './fixtures/toys.js';

function traceOf(subject: Scenario | string, name = 'base'): Trace {
  const found = typeof subject === 'string' ? SCENARIOS.find(({ id }) => id === subject)! : subject;
  const variant = found.variants.find((each) => each.name === name) ?? {
    name,
    knobs: { machine: 'ipi', kernel: '6.12' },
    expect: undefined,
  };
  const { shown } = check(found, variant);
  const { kind, name: property, detail, run, pass } = shown!;
  const shows = { kind, property, detail };
  return makeTrace({
    scenario: found,
    variant: name,
    knobs: variant.knobs,
    pass,
    run,
    shows,
    showValue: kernelValue,
  });
}

const names = ({ stack }: Pick<TracePlace, 'stack'>): string[] => stack.map(({ fn }) => fn);
/** The text below the picture, on one line. */
const said = (trace: Trace): string => {
  const text = diagram(trace);
  return text.slice(text.indexOf('Wrong because')).replace(/\s+/g, ' ');
};

test('two locks in two orders: who waits for whom, and where each took what it holds', () => {
  const trace = traceOf(toys.scenarioOf('T-01', toys.abba));
  const { cycle, waits } = trace.deadlock!;
  expect([...cycle].sort((x, y) => x - y)).toEqual([0, 1]);
  expect(waits.map(({ until, on, holds }) => [until, on.map(({ agent }) => agent), holds[0]!.what])).toEqual([
    ['b_lock', [1], 'a_lock'],
    ['a_lock', [0], 'b_lock'],
  ]);
  expect(names(waits[0]!)).toEqual(['left', 'both', 'spin_lock']);
  const taken = waits[1]!.holds[0]!;
  expect(names(taken)).toEqual(['right', 'both', 'spin_lock']);
  expect(trace.steps[taken.index - 1]).toMatchObject({ agent: 1, op: 'lock', cell: 'b_lock' });
  // Where it waits is another line than where it took the first lock.
  expect(taken.stack[1]!.at).not.toBe(waits[1]!.stack[1]!.at);
  expect(said(trace)).toMatch(
    /^Wrong because: left waits for right and right for left\. left waits for b_lock: spin_lock in both which right has holds a_lock since \d: spin_lock in both right waits/,
  );
});

test('a callback that waits for its own end', () => {
  const trace = traceOf('N-07', 'from=callback');
  const { cycle, waits } = trace.deadlock!;
  expect(cycle).toEqual([0]);
  expect(waits[0]!.until).toBe('P.invalidate_seq to change');
  expect(waits[0]!.by).toBe('mmu_notifier_invalidate_range_end()');
  expect(names(waits[0]!.on[0]!.since!)).toContain('mn_itree_inv_start_range');
  expect(waits[0]!.holds.map(({ what }) => what)).toEqual(['P.mmap_lock']);
  const text = said(trace);
  expect(text).toContain('unmapper waits for itself.');
  expect(text).toContain('mmu_interval_notifier_remove in invalidate <- mn_itree_invalidate <-');
  expect(text).toContain('which its own mmu_notifier_invalidate_range_end() would do, due since');
});

test('nobody is left: that there is no circle is said', () => {
  const trace = traceOf('N-05', 'mmu_interval_notifier_insert.partial=no-mark');
  expect(trace.deadlock!.cycle).toEqual([]);
  expect(trace.deadlock!.waits[0]!.on).toEqual([]);
  expect(said(trace)).toMatch(
    /there is no circle, worker waits for what nobody will do.*nobody is left who would do mmu_notifier_invalidate_range_end\(\)/,
  );
});

test('somebody has returned with a lock', () => {
  const trace = traceOf(toys.scenarioOf('T-02', toys.kept));
  expect(trace.deadlock!.cycle).toEqual([]);
  expect(said(trace)).toMatch(
    /(right|left) waits for a_lock: spin_lock which (left|right) has since 1 and has returned: spin_lock/,
  );
});

/** Two agents of one process that run into each other. */
function jam(id: string, agents: (m: Setup) => readonly [() => Path, () => Path]): Scenario {
  return scenario({
    id,
    family: 'planted',
    question: id,
    machine: { cpus: 2, frames: 2, fill: 'demand' },
    machines: ['ipi'],
    knobs: {},
    bounds: 'two agents',
    setup: (m) => ({ mm: m.process('P').mm, spinlock: m.mutex('spin') }),
    agents(s) {
      const [one, other] = agents(s);
      return { one, other };
    },
    expect: { base: deadlocks() },
  });
}
type Setup = { mm: Parameters<typeof mmap_read_lock>[0]; spinlock: Parameters<typeof spin_lock>[0] };

describe('waits that are not for a lock alone', () => {
  test('a reader that reads again waits for the writer that has queued between', () => {
    const trace = traceOf(
      jam('rwsem', ({ mm }) => [
        function* () {
          yield* mmap_read_lock(mm);
          yield* mmap_read_lock(mm);
          yield* mmap_read_unlock(mm);
          yield* mmap_read_unlock(mm);
        },
        function* () {
          yield* mmap_write_lock(mm);
          yield* mmap_write_unlock(mm);
        },
      ]),
    );
    const [reader, writer] = trace.deadlock!.waits;
    expect(trace.deadlock!.cycle).toHaveLength(2);
    expect(reader!.on.map(({ agent }) => agent)).toEqual([1]);
    expect(writer!.on.map(({ agent }) => agent)).toEqual([0]);
    // Who stands in the queue holds nothing, and comes first.
    expect([reader!.on[0]!.queued, writer!.on[0]!.queued]).toEqual([true, undefined]);
    expect([reader!.holds.length, writer!.holds.length]).toEqual([1, 0]);
  });

  test('a grace period waits for its readers', () => {
    const trace = traceOf(
      jam('rcu', ({ spinlock }) => [
        function* () {
          yield* rcu_read_lock();
          yield* spin_lock(spinlock);
          yield* spin_unlock(spinlock);
          yield* rcu_read_unlock();
        },
        function* () {
          yield* spin_lock(spinlock);
          yield* synchronize_rcu();
          yield* spin_unlock(spinlock);
        },
      ]),
    );
    expect([...trace.deadlock!.cycle].sort((x, y) => x - y)).toEqual([0, 1]);
    const [reader, waiter] = trace.deadlock!.waits;
    expect(waiter).toMatchObject({ until: 'the readers of RCU', by: 'rcu_read_unlock()' });
    expect(names(waiter!.on[0]!.since!).at(-1)).toBe('rcu_read_lock');
    expect(reader!.holds.map(({ what }) => what)).toEqual(['an RCU read-side section']);
  });

  test('who has interrupts off waits in no queue, and is waited for', () => {
    const trace = traceOf(
      jam('irq', ({ spinlock }) => [
        function* () {
          yield* local_irq_save();
          yield* spin_lock(spinlock);
          yield* spin_unlock(spinlock);
          yield* local_irq_restore();
        },
        function* () {
          yield* spin_lock(spinlock);
          yield* synchronize_rcu();
          yield* spin_unlock(spinlock);
        },
      ]),
    );
    expect(names(trace.deadlock!.waits[1]!.on[0]!.since!).at(-1)).toBe('local_irq_save');
  });
});

const DECLARED = SCENARIOS.flatMap(({ id, variants }) =>
  variants.flatMap(({ name, expect: declared }) =>
    declared?.verdict === 'deadlock' ? [[id, name] as const] : [],
  ),
);

test.each(DECLARED)('%s %s is told in under 40 lines, with what each of the circle holds', (id, variant) => {
  const trace = traceOf(id, variant);
  const text = diagram(trace);
  expect(text.split('\n').length - 1, text).toBeLessThan(40);
  for (const line of text.split('\n').filter((each) => !each.startsWith('Replay')))
    expect(line).toMatch(/^[\x20-\x7e]{0,78}$/);
  const { cycle, waits } = trace.deadlock!;
  for (const [i, agent] of cycle.entries()) {
    const wait = waits.find((each) => each.agent === agent)!;
    const next = cycle[(i + 1) % cycle.length]!;
    expect(wait.on.map((one) => one.agent)).toContain(next);
    // Whoever is waited for has done something about it before.
    const held = waits.find((each) => each.agent === next)!.holds;
    if (wait.on.some(({ agent: other, queued }) => other === next && queued === true)) continue;
    if (wait.isLock) expect(held.map(({ what }) => what)).toContain(wait.until);
    else expect(wait.on.find((one) => one.agent === next)!.since).toBeDefined();
  }
  if (cycle.length === 0) expect(text).toContain('there is no circle');
});
