// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import type { Expectation, Variant } from '../../src/core/scenario.js';
import type { Verdict } from '../../src/explore/check.js';
import { junit, type JunitCase } from '../../src/report/junit.js';
import { matrixText, verdictMatrix } from '../../src/report/matrix.js';
import { type Result, resultTable, summaryTable } from '../../src/report/table.js';

const SAFE: Expectation = { verdict: 'safe', property: '', reports: [] };
const STALE: Expectation = { verdict: 'violation', property: 'SPTE-COHERENT', reports: ['DATA-RACE'] };

function result(name: string, expect_: Expectation | undefined, verdict: Partial<Verdict>): Result {
  const variant: Variant = { name, knobs: { machine: 'ipi', kernel: '6.12' }, expect: expect_ };
  const full: Verdict = {
    id: 'N-01',
    variant: name,
    verdict: 'safe',
    property: '',
    detail: '',
    reports: [],
    accounts: [],
    states: 4118,
    transitions: 9000,
    depth: 40,
    seconds: 0.04,
    automatonNodes: 100,
    bytes: 1,
    reductions: [],
    collisionOdds: 1e-12,
    passes: ['TLB fill on demand', 'TLB fill eager'],
    witnesses: { mapped: true, collision: false },
    found: [],
    shown: undefined,
    asExpected: expect_ === undefined ? undefined : true,
    bounds: 'one device fault and one munmap',
    properties: [],
    ...verdict,
  };
  return { variant, verdict: full };
}

const stale = result('retry=unlocked', STALE, {
  verdict: 'violation',
  property: 'SPTE-COHERENT',
  reports: ['DATA-RACE'],
  states: 1012,
  shown: {
    kind: 'violation',
    name: 'SPTE-COHERENT',
    detail: '',
    run: Array(27).fill({ agent: 0, choice: 0 }),
    pass: 0,
  },
});
const scenario = {
  id: 'N-01',
  question: 'Which steps may a driver leave out?',
  sometimes: ['mapped', 'collision'],
};

test('the table of one scenario', () => {
  expect(resultTable(scenario, [result('base', SAFE, {}), stale]))
    .toBe(`N-01  Which steps may a driver leave out?
kernel 6.12 | ipi | sc | every shared access a step

variant         verdict    property       states  steps  reports
base            safe       -               4,118      -  -
retry=unlocked  violation  SPTE-COHERENT   1,012     27  DATA-RACE

2 of 2 as declared, 0.1 s. Seen in base: mapped. Never seen in base:
collision.
safe: all interleavings of one device fault and one munmap, TLB fill on demand
and TLB fill eager; not explored: weak memory; odds of a fingerprint collision
below 1e-11.
Next: npx shootdown show N-01 --variant retry=unlocked
`);
});

test('a verdict that differs, and one that did not end, stand out', () => {
  const results = [
    result('base', STALE, { asExpected: false }),
    result('slow', undefined, { verdict: 'incomplete', bound: '1000 states' }),
  ];
  const text = resultTable(scenario, results);
  expect(text).toMatch(/^base .* declared: violation SPTE-COHERENT with DATA-RACE$/m);
  expect(text).toContain('0 of 1 as declared');
  expect(text).toContain('incomplete: slow stopped at 1000 states');
  const summary = summaryTable([{ scenario, results }], 12.34);
  expect(summary).toMatch(/^N-01 +Which steps may a driver leave out\?$/m);
  expect(summary).toMatch(/^ +base +safe \(!\) /m);
  expect(summary).toContain('0 of 1 as declared, 12.3 s.');
  expect(summary).toContain('(!) N-01 base: safe, declared: violation SPTE-COHERENT with DATA-RACE');
});

test('a matrix puts machines across', () => {
  const values = { copy: ['on', 'off'], machine: ['ipi', 'bcast'] };
  const entry = (copy: string, machine: string, verdict: string, property: string, asExpected = true) => ({
    id: 'G-06',
    knobs: { copy, machine },
    values,
    verdict,
    property,
    asExpected,
  });
  const matrix = verdictMatrix([
    entry('on', 'ipi', 'safe', ''),
    entry('on', 'bcast', 'violation', 'META-FREED'),
    entry('off', 'bcast', 'deadlock', 'DEADLOCK', false),
  ]);
  expect(matrixText(matrix)).toBe(
    [
      'variant   ipi   bcast',
      '-'.repeat(37),
      'base      safe  META-FREED',
      'copy=off  .     deadlock DEADLOCK (!)',
      '',
    ].join('\n'),
  );
});

test('JUnit XML holds what XML can hold', () => {
  const one = (over: Partial<JunitCase>): JunitCase => ({
    family: 'gup-fast',
    id: 'G-01',
    variant: 'base',
    seconds: 0.5,
    verdict: 'safe',
    property: '',
    detail: '',
    passed: true,
    ...over,
  });
  const bell = String.fromCharCode(7);
  const xml = junit([
    one({}),
    one({
      variant: 'a=<b>&"c"',
      verdict: 'violation',
      property: 'PIN-RIGHT',
      detail: `x${bell}${String.fromCharCode(0xd800)}y`,
      declared: 'safe',
      passed: false,
      text: 'CPU0 -> CPU1\n',
    }),
    one({ family: 'other', verdict: 'incomplete', passed: false }),
  ]);
  expect(xml).toContain('<testsuites tests="3" failures="1" errors="1" time="1.500">');
  expect(xml).toContain('<testcase classname="gup-fast.G-01" name="G-01 base" time="0.500"/>');
  expect(xml).toContain('name="G-01 a=&lt;b&gt;&amp;&quot;c&quot;"');
  expect(xml).toContain(
    '<failure type="violation" message="violation PIN-RIGHT, declared: safe: xy">CPU0 -&gt; CPU1\n</failure>',
  );
  expect(xml).toContain('<error type="incomplete" message="incomplete">');
});
