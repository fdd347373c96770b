// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import type { Scenario, Variant } from '../../src/core/scenario.js';
import type { System } from '../../src/core/system.js';
import { check, type CheckOptions } from '../../src/explore/check.js';
import { replay } from '../../src/explore/replay.js';
import { search } from '../../src/explore/search.js';
import { switches } from '../../src/explore/schedule.js';
import * as loops from './fixtures/loops.js';
import * as toys from './fixtures/systems.js';
import { oracle } from './oracle.js';

const variant: Variant = { name: 'base', knobs: {}, expect: undefined };
const pass = { name: 'only', settings: {} };

function toy(make: () => System, sometimes: readonly string[] = []): Scenario {
  return {
    id: 'toy',
    family: 'toys',
    title: 'toy',
    question: '?',
    kind: 'checked',
    knobs: {},
    variants: [variant],
    sometimes,
    passes: () => [pass],
    build: () => ({ system: make(), bounds: '', properties: [] }),
  };
}
const verdictOf = (make: () => System, options?: CheckOptions): string => {
  const { verdict, property } = check(toy(make), variant, options);
  return `${verdict} ${property}`.trim();
};

describe('check', () => {
  test.each([
    ['safe', () => toys.peterson()],
    ['violation EXCLUSION', () => toys.peterson({ broken: true })],
    ['deadlock DEADLOCK', () => toys.philosophers(3)],
    ['leak BALANCE', () => toys.leak()],
    ['livelock PROGRESS', () => loops.mutualRetry()],
    ['safe', () => loops.mutualRetry({ marked: true })],
    ['safe', () => toys.daemons()],
    ['leak BALANCE', () => loops.endless()],
  ] as const)('%s', (expected, make) => {
    for (const strategy of ['reduced', 'bfs', 'dfs'] as const)
      expect(verdictOf(make, { strategy })).toBe(expected);
    expect(verdictOf(make, { strategy: 'bfs', exact: true })).toBe(expected);
  });

  test('shows a shortest run, told with few switches, that replays', () => {
    const make = (): System => toys.philosophers(3);
    const { shown } = check(toy(make), variant);
    expect(shown?.run).toHaveLength(oracle(make()).shortest.get('deadlock DEADLOCK')!);
    expect(switches(shown!.run)).toBe(2);
    expect(replay({ system: make(), bounds: '', properties: [] }, shown!.run).outcome.kind).toBe('deadlock');
  });

  test('a lasso says where it begins to repeat', () => {
    const { shown } = check(
      toy(() => loops.spins({ setter: 'nobody' })),
      variant,
    );
    expect(shown).toMatchObject({ kind: 'livelock', loop: 0, run: [{ agent: 0, choice: 0 }] });
  });

  test('a witness that never comes makes it vacuous', () => {
    const witnesses = ['p0 was inside', 'p2 was inside'];
    const { verdict, witnesses: seen } = check(
      toy(() => toys.peterson(), witnesses),
      variant,
    );
    expect({ verdict, seen }).toEqual({
      verdict: 'vacuous',
      seen: { 'p0 was inside': true, 'p2 was inside': false },
    });
  });

  test('a bound makes it incomplete, also while it looks for livelock', () => {
    expect(verdictOf(() => toys.retry(), { maxStates: 5 })).toBe('incomplete');
    const maxStates = search(loops.starves(), { fuse: true }).states;
    const { verdict, bound } = check(
      toy(() => loops.starves()),
      variant,
      { maxStates },
    );
    expect({ verdict, bound }).toEqual({
      verdict: 'incomplete',
      bound: `${maxStates} states, looking for livelock`,
    });
  });

  test('a violation is a violation even where there is no room to look for the shortest run', () => {
    const { verdict, shown } = check(
      toy(() => toys.philosophers(4)),
      variant,
      { maxStates: 60 },
    );
    expect(verdict).toBe('deadlock');
    const system = toys.philosophers(4);
    expect(replay({ system, bounds: '', properties: [] }, shown!.run).outcome.kind).toBe('deadlock');
  });

  test('an initial state that breaks a property is a violation with an empty run', () => {
    const wrong = (): System => {
      const system = toys.leak();
      system.invariants.push({ property: 'ALWAYS', when: 'always', cells: [], check: () => 'at once' });
      return system;
    };
    expect(check(toy(wrong), variant)).toMatchObject({
      verdict: 'violation',
      property: 'ALWAYS',
      shown: { run: [] },
    });
  });
});

describe.each(['random', 'pct'] as const)('%s schedules', (strategy) => {
  test.each([
    ['violation EXCLUSION', () => toys.peterson({ broken: true })],
    ['deadlock DEADLOCK', () => toys.philosophers(3)],
    ['violation EXCLUSION', () => toys.peterson({ memory: 'tso', fences: false })],
    ['leak BALANCE', () => toys.leak()],
  ] as const)('find a %s', (expected, make) => {
    expect(verdictOf(make, { strategy })).toBe(expected);
    const { shown } = check(toy(make), variant, { strategy });
    const { outcome } = replay({ system: make(), bounds: '', properties: [] }, shown!.run);
    expect(`${outcome.kind} ${outcome.property}`).toBe(expected);
  });

  test('prove nothing', () => {
    const { verdict, bound } = check(
      toy(() => toys.peterson()),
      variant,
      { strategy, schedules: 50, seed: 7 },
    );
    expect({ verdict, bound }).toEqual({ verdict: 'incomplete', bound: `50 ${strategy} schedules, seed 7` });
  });

  test('the same seed gives the same run, another seed another one', () => {
    const runs = [1, 1, 2, 3].map((seed) =>
      JSON.stringify(
        check(
          toy(() => toys.retry()),
          variant,
          { strategy, seed, schedules: 3 },
        ).found,
      ),
    );
    expect(runs[0]).toBe(runs[1]);
    const deadlocks = [1, 2, 3, 4].map((seed) =>
      JSON.stringify(
        check(
          toy(() => toys.philosophers(4)),
          variant,
          { strategy, seed },
        ).shown?.run,
      ),
    );
    expect(new Set(deadlocks).size).toBeGreaterThan(1);
  });

  test('see witnesses and races, and come out of a spin', () => {
    const { found } = check(
      toy(() => toys.peterson(), ['p0 was inside', 'p1 was inside']),
      variant,
      { strategy },
    );
    expect(found.map(({ name }) => name).sort()).toEqual(['p0 was inside', 'p1 was inside']);
    expect(
      check(
        toy(() => toys.dataRace()),
        variant,
        { strategy },
      ).reports,
    ).toEqual(['DATA-RACE']);
  });
});
