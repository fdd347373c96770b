// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { answersOf } from '../../src/cli/ops.js';
import { normalise } from '../../src/litmus/ops-observe.js';
import { modelAnswer } from '../../conformance/compare.js';
import { Coverage, ENTRIES, type Entry, OPERATIONS, outcomeOf } from '../../conformance/coverage.js';
import { generate } from '../../conformance/generate.js';
import { MIX_NAMES } from '../../conformance/mixes.js';

test('the same options make the same script, others another one', () => {
  const script = generate({ seed: 1, ops: 100, mix: 'all' });
  expect(generate({ seed: 1, ops: 100, mix: 'all' })).toBe(script);
  expect(generate({ seed: 2, ops: 100, mix: 'all' })).not.toBe(script);
  expect(script.match(/^P/gm)?.length).toBeGreaterThanOrEqual(100);
});

test('all mixes together reach every operation, every entry that can be met, every errno', () => {
  const coverage = new Coverage();
  for (const mix of MIX_NAMES)
    for (let seed = 1; seed <= 2; seed++)
      coverage.add(modelAnswer(generate({ seed, ops: 300, mix }), mix, { judged: 'never' }));
  expect(OPERATIONS.filter((operation) => !coverage.outcomes.has(operation))).toEqual([]);
  const entries = new Set([...coverage.reached.values()].flatMap((byEntry) => [...byEntry.keys()]));
  // Sequences without userfaultfd and without anybody in between never meet the others.
  expect(Object.keys(ENTRIES).filter((entry) => !entries.has(entry as Entry))).toEqual(['MIG', 'MARK']);
  const outcomes = new Set([...coverage.outcomes.values()].flatMap((counts) => [...counts.keys()]));
  const errors = 'EACCES EBADF EBUSY EEXIST EFAULT EINVAL ENOENT ENOMEM EPERM';
  expect([...outcomes].sort().join(' ')).toBe(`0 ${errors} SIGSEGV 1 SIGSEGV 2 refused`);
});

/** What is executed at once is answered as what is executed step by step, with daemons and invariants in between. */
test.each(['core', 'swap', 'device', 'exclusive'] as const)('%s: fast and slow answer alike', (mix) => {
  const script = generate({ seed: 7, ops: 200, mix });
  const answers = (['step', 'operation', 'never'] as const).map((judged) =>
    modelAnswer(script, mix, { judged }),
  );
  expect(answers[1]).toEqual(answers[0]);
  expect(answers[2]).toEqual(answers[0]);
});

test('an answer line says what went wrong', () => {
  const lines = normalise([...answersOf(SCRIPT, 'script', {})].flat());
  expect(lines.filter((line) => line.startsWith('>')).map(outcomeOf)).toEqual([
    '0',
    'EEXIST',
    'SIGSEGV 1',
    'EBADF',
    'refused',
  ]);
});

const SCRIPT = `P0 mmap R0 1 rw anon
P0 mmap R0 1 rw anon
P0 r R0 1
P0 close 0
P1 exit
`;
