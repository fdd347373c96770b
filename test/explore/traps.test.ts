// SPDX-License-Identifier: MIT
/** What went wrong in the prototypes and in the first version, one test each. */
import { describe, expect, test } from 'vitest';
import { audit } from '../../src/explore/audit.js';
import { search } from '../../src/explore/search.js';
import { compile } from '../transform/compile.js';
import { outcome, sorted } from './compare.js';
import * as wide from './fixtures/wide.js';
import { oracle } from './oracle.js';

describe('numbers that do not fit', () => {
  test('300 outcomes of one step', () => {
    const { verdicts, result } = outcome(wide.manyOutcomes());
    expect(sorted(verdicts)).toEqual(['violation LAST']);
    expect(result.findings[0]!.run).toEqual([{ agent: 0, choice: 299 }]);
  });

  test('300 operations', () => {
    expect(sorted(outcome(wide.manyOperations()).verdicts)).toEqual(['witness op299']);
  });

  test('observations below zero and far above', () => {
    const values = [-1, -2147483648, 2147483647, 8, -8, 4095, 1 << 21, -(1 << 21)];
    const { states, verdicts } = outcome(wide.extremes(values));
    expect(states).toBe(oracle(wide.extremes(values)).states);
    expect(sorted(verdicts)).toEqual(sorted(new Set([0, ...values].map((value) => `witness saw ${value}`))));
  });

  test('a step that writes more cells than the undo log first holds', () => {
    expect(sorted(outcome(wide.broadStep()).verdicts)).toEqual([]);
    expect(outcome(wide.broadStep()).states).toBe(oracle(wide.broadStep()).states);
  });
});

describe('what tells states and points of a path apart', () => {
  test.each([
    [4, 20],
    [3, 60],
  ])('64-bit fingerprints lose no state of %i agents that count to %i', (agents, most) => {
    const all = (most + 1) ** agents;
    expect(search(wide.counters(agents, most)).states).toBe(all);
    expect(search(wide.counters(agents, most), { exact: true }).states).toBe(all);
  });

  test('the pending request: a local that only its arguments needed need not be kept', () => {
    const source = `return {
      *path() { const v = yield* read(x); yield* write(z, v); },
      *other() { yield* write(x, 1); yield* write(x, 2); },
    };`;
    expect(audit(compile(source, { drop: () => true })())).toBeUndefined();
  });

  test('merged nodes keep the context that a monitor gives them', () => {
    const source = `return {
      *path() { if (yield* equals(x, 1)) yield* write(y, 1); yield* write(z, 1); },
      *other() { yield* write(x, 1); },
    };`;
    const reports = (context: (op: number, before: unknown) => unknown): string[] => {
      const { findings } = search(compile(source)(), {
        monitor: () => ({
          start: () => 0,
          after: (before, agent, op) => (agent === 0 ? context(op, before) : before),
          check: (now, agent, _op, a, _b, _c, report) => {
            if (agent === 0 && a === 2) report(`context ${String(now)}`, '');
          },
        }),
      });
      return findings.filter(({ kind }) => kind === 'report').map(({ name }) => name);
    };
    expect(reports((op, before) => (op === 5 ? 1 : before)).sort()).toEqual(['context 0', 'context 1']);
  });
});
