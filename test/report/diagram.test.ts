// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import type { System } from '../../src/core/system.js';
import { check } from '../../src/explore/check.js';
import { makeTrace, type Trace, type TraceSpec } from '../../src/explore/trace.js';
import { parseRun } from '../../src/explore/token.js';
import { diagram } from '../../src/report/diagram.js';
import { kernelValue } from '../../src/report/values.js';
import { SCENARIOS } from '../../src/scenarios/index.js';
import * as toys from './fixtures/toys.js';

/** Lines without the replay token, which may be longer. */
const drawn = (text: string): string[] => text.split('\n').filter((line) => !line.startsWith('Replay'));
const toy = (build: () => System, text: string, shows?: TraceSpec['shows']): Trace =>
  makeTrace({
    scenario: toys.scenarioOf('T-01', build),
    variant: 'base',
    knobs: { machine: 'ipi', kernel: '6.12' },
    pass: 0,
    ...parseRun(text),
    ...(shows === undefined ? {} : { shows }),
  });

describe('every violation of G-01', () => {
  const g01 = SCENARIOS.find(({ id }) => id === 'G-01')!;
  const traces = g01.variants.flatMap((variant) => {
    const { shown } = check(g01, variant);
    if (shown === undefined) return [];
    const { kind, name: property, detail, run, pass } = shown;
    const { name, knobs } = variant;
    const shows = { kind, property, detail };
    return [makeTrace({ scenario: g01, variant: name, knobs, pass, run, shows, showValue: kernelValue })];
  });

  test.each(traces)('$variant fits into a mail', (trace) => {
    const lines = drawn(diagram(trace));
    expect(lines.length).toBeLessThan(45);
    for (const line of lines) {
      expect(line.length).toBeLessThanOrEqual(78);
      expect(line).toMatch(/^[\x20-\x7e]*$/);
      expect(line).toBe(line.trimEnd());
    }
  });

  test.each(traces)('$variant is drawn from its JSON alone', (trace) => {
    expect(diagram(JSON.parse(JSON.stringify(trace)) as Trace)).toBe(diagram(trace));
  });

  test('the recheck before the reference: what a kernel developer needs to see, in order', () => {
    const text = diagram(
      traces.find(({ variant }) => variant === 'gup.pte_recheck=before-ref,machine=bcast')!,
    );
    const wanted = [
      'G-01 gup.pte_recheck=before-ref,machine=bcast',
      'violation: PIN-RIGHT',
      'kernel 6.12, bcast, sc',
      'CPU0: reader',
      'CPU1: unmapper',
      'get_user_pages_fast_only()',
      'irqs off',
      'gup_fast_pte_range()',
      /pte\[f\d]\[0] is f\d,W/,
      /is still f\d,W +\(!\)/,
      'munmap()',
      'zap_pte_range()',
      /f\d,W -> none +\(!\)/,
      'try_get_folio()',
      /f\d\._refcount \d -> \d/,
      /\(!!\)\n/,
      'Wrong because: reader saw',
      'PIN-RIGHT:',
      'quiet steps folded (--all shows them).',
      'Replay: npx shootdown replay',
    ];
    let at = 0;
    for (const what of wanted) {
      const rest = text.slice(at);
      const found = typeof what === 'string' ? rest.indexOf(what) : rest.search(what);
      expect(found, `${what} in\n${rest}`).toBeGreaterThanOrEqual(0);
      at += found;
    }
    expect(text.split('\n').length).toBeLessThan(40);
    expect(text).not.toContain('rcu_read_lock');
    expect(text).not.toContain('pin0_');
  });

  test('with all, each step has its number', () => {
    const trace = traces[0]!;
    const numbers = [...diagram(trace, { all: true }).matchAll(/^ *(\d+) /gm)].map(([, number]) =>
      Number(number),
    );
    expect(new Set(numbers)).toEqual(new Set(trace.steps.map(({ index }) => index)));
  });
});

test('a deadlock ends with what each agent waits for', () => {
  const lines = diagram(toy(toys.abba, '0,1'));
  expect(lines).toMatch(/deadlock: DEADLOCK/);
  expect(lines).toMatch(/spin_lock\(\): a_lock taken/);
  expect(lines).toMatch(/waits for b_lock, held\s+by right +\(!!\)/);
  expect(lines).toMatch(/waits for a_lock, held\s+by left +\(!!\)/);
});

test('a data race ends with the two accesses', () => {
  const text = diagram(
    toy(toys.race, '1', { kind: 'report', property: 'DATA-RACE', detail: 'seq: reader and writer' }),
  );
  expect(text).toMatch(/report: DATA-RACE/);
  expect(text).toMatch(/read_begin\(\): reads seq, plain +\(!!\)/);
  expect(text).toMatch(/writes seq, plain +\(!!\)/);
});

test('a lasso says where it begins', () => {
  const trace = toy(toys.livelock, '0*3,1/0*2');
  expect(trace.verdict).toBe('livelock');
  const lines = drawn(diagram(trace, { all: true }));
  const loop = lines.findIndex((line) => line.includes('-- loop: from here for ever --'));
  expect(lines[loop - 1]).toMatch(/^ 4 /);
  expect(lines[loop + 1]).toMatch(/^ 5 /);
});

test('three agents share the width, names run on to the right', () => {
  const text = diagram(toy(toys.three, '0,2.1,1*2,2,0'));
  expect(text).toMatch(/CPU0: first +CPU1: second +CPU2: third/);
  expect(text).toMatch(/take_a_rather_long_function_name\(\)/);
  expect(text).toMatch(/sequence_number 0 -> 1/);
  expect(text).toMatch(
    /first saw sequence_number = 0 at 1, second made it 1 at 3,\s+and at 6 first still acted/,
  );
  for (const line of drawn(text)) expect(line.length).toBeLessThanOrEqual(78);
});

test('a store buffer drains in the column of its CPU', () => {
  const text = diagram(toy(toys.buffered, '0,1,2,1'));
  expect(text).toMatch(/CPU0: writer +CPU1: reader\n/);
  expect(text).toMatch(/^ 1 x = 1, in the store buffer$/m);
  expect(text).toMatch(/^ 2 +x is 0$/m);
  expect(text).toMatch(/^ 3 store buffer: x 0 -> 1$/m);
  expect(text).toMatch(/^ 4 +x is 1$/m);
});

test('a long token is broken so that a shell joins it', () => {
  const long = Array.from({ length: 60 }, (_, i) => i % 2).join(',');
  const text = diagram({ ...toy(toys.abba, '0'), token: `T-01@base:${long}` });
  const lines = text.slice(text.indexOf('Replay')).trimEnd().split('\n');
  expect(lines.length).toBeGreaterThan(2);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(78);
  expect(lines.slice(0, -1).every((line) => line.endsWith('\\'))).toBe(true);
  expect(lines.map((line) => line.replace('\\', '')).join('')).toContain(`replay T-01@base:${long}`);
});

test('a run whose code changed says so', () => {
  expect(diagram(toy(toys.abba, '0*9'))).toContain('Diverged: step 5: agent left has returned');
});
