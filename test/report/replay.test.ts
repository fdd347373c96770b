// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/core/scenario.js';
import { check } from '../../src/explore/check.js';
import { replay } from '../../src/explore/replay.js';
import { makeTrace, type Trace } from '../../src/explore/trace.js';
import { divergence, parseTrace } from '../../src/explore/trace-file.js';
import { SCENARIOS } from '../../src/scenarios/index.js';
import { abba, scenarioOf } from './fixtures/toys.js';

const g01 = SCENARIOS.find(({ id }) => id === 'G-01')!;

describe.each(g01.variants)('$name', (variant) => {
  const { shown, found } = check(g01, variant);
  const passes = g01.passes(variant.knobs);

  test.runIf(shown !== undefined)('the run breaks the same property when it is replayed', () => {
    const { outcome, steps, diverged } = replay(g01.build(variant.knobs, passes[shown!.pass]!), shown!.run);
    expect(diverged).toBeUndefined();
    expect(steps).toHaveLength(shown!.run.length);
    expect(outcome).toEqual({ kind: shown!.kind, property: shown!.name, detail: shown!.detail });
  });

  test('it has witnesses', () => {
    expect(found.some(({ kind }) => kind === 'witness')).toBe(true);
  });
});

const steps = (text: string): { agent: number; choice: number }[] =>
  text.split('').map((agent) => ({ agent: Number(agent), choice: 0 }));
const toy = scenarioOf('T-01', abba);
const trace = (run: string): Trace =>
  makeTrace({
    scenario: toy,
    variant: 'base',
    knobs: { machine: 'ipi', kernel: '6.12' },
    pass: 0,
    run: steps(run),
  });

test.each([
  ['011', "step 3: agent right can't take a step: it waits in lock"],
  ['00000', 'step 5: agent left has returned'],
  ['02', 'step 2: there is no agent 2'],
])('run %s diverges: %s', (run, message) => {
  const { diverged } = trace(run);
  expect(`step ${diverged!.step}: ${diverged!.reason}`).toBe(message);
});

test('an outcome that does not exist diverges', () => {
  const { diverged, steps: taken } = replay(toy.build({}, { name: '', settings: {} }), [
    { agent: 0, choice: 3 },
  ]);
  expect(taken).toHaveLength(0);
  expect(diverged).toEqual({ step: 1, reason: 'agent left: outcome 3 of lock does not exist, it has 1' });
});

test('a deadlock is found again', () => {
  const { verdict, property, detail, pending } = trace('01');
  expect({ verdict, property, detail }).toEqual({
    verdict: 'deadlock',
    property: 'DEADLOCK',
    detail: "left, right can't go on",
  });
  expect(pending.map(({ op, cell, enabled }) => ({ op, cell, enabled }))).toEqual([
    { op: 'lock', cell: 'b_lock', enabled: false },
    { op: 'lock', cell: 'a_lock', enabled: false },
  ]);
});

test('a run that stops early is nothing wrong', () => {
  expect(trace('0')).toMatchObject({ verdict: 'safe', property: '' });
  expect(trace('00001111')).toMatchObject({ verdict: 'safe', property: '' });
});

test('a trace file is read back, and tells where the code went another way', () => {
  const now = trace('01');
  const recorded = parseTrace(JSON.stringify(now));
  expect(recorded).toMatchObject({ id: 'T-01', variant: 'base', token: 'T-01@base:0,1' });
  expect(divergence(recorded, now)).toBeUndefined();
  expect(divergence(recorded, trace('00'))).toEqual({
    step: 2,
    reason: 'recorded right: lock b_lock = 0 in spin_lock(); now left: lock b_lock = 0 in spin_lock()',
  });
});

test.each([
  ['', /not JSON/],
  ['[]', /not a trace file/],
  ['{"version":1}', /not a trace file/],
  ['{"version":9,"token":"x"}', /trace version 9, this shootdown reads 1/],
  ['{"version":1,"token":"x"}', /corrupt: id, variant, token and run/],
  ['{"version":1,"token":"x","id":"a","variant":"b","run":"0","steps":[{}]}', /corrupt: steps/],
  ['{"version":1,"token":"x","id":"a","variant":"b","run":"?","steps":[]}', /got "\?"/],
])('trace file %j is refused', (text, message) => {
  expect(() => parseTrace(text, 'bad.json')).toThrow(UsageError);
  expect(() => parseTrace(text, 'bad.json')).toThrow(message);
});
