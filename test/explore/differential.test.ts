// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Automaton } from '../../src/explore/automaton.js';
import { search, type SearchOptions } from '../../src/explore/search.js';
import type { System } from '../../src/core/system.js';
import { Execution } from '../../src/explore/replay.js';
import { outcome, permutations, sorted, WAYS } from './compare.js';
import { oracle } from './oracle.js';
import { build, frameOptions, options, privateRecipes, recipes } from './random-systems.js';

const SMALL = 3000;

describe('systems made up at random', () => {
  test('the search and the oracle agree on states, verdicts, terminal states and shortest runs', () => {
    fc.assert(
      fc.property(recipes(options), (recipe) => {
        const plain = outcome(build(recipe), { maxStates: 400 });
        fc.pre(plain.result.complete);
        const reference = oracle(build(recipe));
        expect(plain.states).toBe(reference.states);
        expect(sorted(plain.verdicts)).toEqual(sorted(reference.verdicts));
        expect(sorted(plain.terminals)).toEqual(sorted(reference.terminals));
        expect(Object.fromEntries(plain.shortest)).toEqual(Object.fromEntries(reference.shortest));
      }),
      { numRuns: 300 },
    );
  });

  test('every way to search finds the same', () => {
    fc.assert(
      fc.property(recipes(options), (recipe) => {
        const plain = outcome(build(recipe), { maxStates: SMALL });
        fc.pre(plain.result.complete);
        for (const [way, how] of Object.entries(WAYS)) {
          const other = outcome(build(recipe), how);
          expect({ way, found: sorted(other.verdicts) }).toEqual({ way, found: sorted(plain.verdicts) });
          expect(sorted(other.terminals)).toEqual(sorted(plain.terminals));
        }
      }),
      { numRuns: 500 },
    );
  });

  test('what agents do for themselves, and as movers, may be fused', () => {
    let fewer = 0;
    fc.assert(
      fc.property(privateRecipes, (recipe) => {
        const plain = outcome(build(recipe), { maxStates: SMALL });
        fc.pre(plain.result.complete);
        for (const [way, how] of Object.entries(WAYS)) {
          const other = outcome(build(recipe), how);
          expect({ way, found: sorted(other.verdicts) }).toEqual({ way, found: sorted(plain.verdicts) });
          expect(sorted(other.terminals)).toEqual(sorted(plain.terminals));
          if (other.states < plain.states / 2) fewer++;
        }
      }),
      { numRuns: 1000 },
    );
    expect(fewer).toBeGreaterThan(500);
  });

  test('what earlier searches have learnt of the paths makes no difference', () => {
    fc.assert(
      fc.property(recipes(options), fc.boolean(), (recipe, small) => {
        const plain = outcome(build(recipe), { maxStates: SMALL });
        fc.pre(plain.result.complete);
        const system = build(recipe);
        const automaton = new Automaton(system);
        if (small) search(system, { automaton, maxStates: 5 });
        for (const [way, how] of [...Object.entries(WAYS), ...Object.entries(WAYS)]) {
          const other = outcome(system, { ...how, automaton });
          expect({ way, found: sorted(other.verdicts) }).toEqual({ way, found: sorted(plain.verdicts) });
          expect(sorted(other.terminals)).toEqual(sorted(plain.terminals));
          if (how.fuse !== true) expect(other.states).toBe(plain.states);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('every run that is found leads where it is said to lead', () => {
    fc.assert(
      fc.property(recipes(options), (recipe) => {
        for (const [way, how] of Object.entries(WAYS))
          for (const { kind, name, run } of outcome(build(recipe), { ...how, maxStates: 300 }).result
            .findings) {
            const execution = new Execution({ system: build(recipe), bounds: '', properties: [] });
            const last = run.map((step) => execution.take(step)).at(-1);
            const seen = last === undefined ? execution.seenAtStart : 'seen' in last ? last.seen : [];
            const { kind: end, property } = execution.outcome();
            const got = kind === 'witness' ? seen.includes(name) : end === kind && property === name;
            expect({ way, kind, name, got: kind === 'report' || got }).toEqual({
              way,
              kind,
              name,
              got: true,
            });
          }
      }),
      { numRuns: 200 },
    );
  });

  test('without merging by live locals it finds the same', () => {
    fc.assert(
      fc.property(recipes(options), (recipe) => {
        const raw = outcome(build(recipe), { merge: false, maxStates: SMALL });
        fc.pre(raw.result.complete);
        const merged = outcome(build(recipe));
        expect(sorted(merged.verdicts)).toEqual(sorted(raw.verdicts));
        expect(sorted(merged.terminals)).toEqual(sorted(raw.terminals));
      }),
      { numRuns: 200 },
    );
  });

  test('with frames renamed it finds the same', () => {
    const ways: Record<string, SearchOptions> = {
      symmetry: { symmetry: true },
      'symmetry dfs': { symmetry: true, order: 'dfs' },
      'symmetry, fused': { symmetry: true, fuse: true },
    };
    fc.assert(
      fc.property(recipes(frameOptions, true), (recipe) => {
        const plain = outcome(build(recipe), { maxStates: SMALL });
        fc.pre(plain.result.complete);
        for (const [way, how] of Object.entries(ways)) {
          const other = outcome(build(recipe), how);
          expect({ way, found: sorted(other.verdicts) }).toEqual({ way, found: sorted(plain.verdicts) });
          const system = build(recipe);
          expect(representatives(system, other.terminals)).toEqual(representatives(system, plain.terminals));
          expect(other.states).toBeLessThanOrEqual(plain.states);
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** Of each class of states that differ in the names of frames, one. */
function representatives(system: System, states: ReadonlySet<string>): string[] {
  const frames = system.frameCells.length;
  const orders = permutations(Array.from({ length: frames }, (_, f) => f));
  const place = system.cells.map(() => [-1, -1]);
  system.frameCells.forEach((cells, frame) => cells.forEach((cell, slot) => (place[cell] = [frame, slot])));
  const moved = (cell: number, to: readonly number[]): number =>
    place[cell]![0]! < 0 ? cell : system.frameCells[to[place[cell]![0]!]!]![place[cell]![1]!]!;
  const renamed = (state: readonly number[], to: readonly number[]): string => {
    const result = [...state];
    state.forEach((value, cell) => {
      result[moved(cell, to)] = system.cells[cell]!.type.rename?.(value, to) ?? value;
    });
    return result.join();
  };
  return sorted(
    new Set(
      [...states].map((text) => {
        const state = text.split(',').map(Number);
        return orders.map((to) => renamed(state, to)).sort()[0]!;
      }),
    ),
  );
}
