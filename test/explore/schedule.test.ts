// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Built } from '../../src/core/scenario.js';
import { accessOf } from '../../src/core/semantics.js';
import type { System } from '../../src/core/system.js';
import { replay, type TraceStep } from '../../src/explore/replay.js';
import { fewestSwitches, switches } from '../../src/explore/schedule.js';
import { type Finding, search, type Step } from '../../src/explore/search.js';
import * as toys from './fixtures/systems.js';
import { build, frameOptions, options, recipes } from './random-systems.js';

const built = (system: System): Built => ({ system, bounds: '', properties: [] });
const bad = (finding: Finding): boolean => ['violation', 'deadlock', 'leak'].includes(finding.kind);

/** Whether two adjacent steps touch nothing in common that one of them writes. */
function independent(system: System, x: TraceStep, y: TraceStep): boolean {
  const [one, other] = [x, y].map(({ agent, op, a, b, c }) => accessOf(system, agent, op, a, b, c)) as [
    ReturnType<typeof accessOf>,
    ReturnType<typeof accessOf>,
  ];
  const meets = (writes: number[], cells: number[]): boolean => writes.some((cell) => cells.includes(cell));
  return (
    !meets(one.writes, [...other.reads, ...other.writes]) &&
    !meets(other.writes, [...one.reads, ...one.writes])
  );
}

function expectBest(make: () => System, finding: Finding): void {
  const run = fewestSwitches(built(make()), finding);
  expect(run).toHaveLength(finding.run.length);
  expect(switches(run)).toBeLessThanOrEqual(switches(finding.run));
  const system = make();
  const { outcome, steps } = replay(built(system), run);
  expect(outcome).toMatchObject({ kind: finding.kind, property: finding.name });
  for (let i = 0; i + 1 < run.length; i++) {
    if (run[i]!.agent === run[i + 1]!.agent || !independent(system, steps[i]!, steps[i + 1]!)) continue;
    const swapped: Step[] = [...run.slice(0, i), run[i + 1]!, run[i]!, ...run.slice(i + 2)];
    if (switches(swapped) >= switches(run)) continue;
    const other = replay(built(make()), swapped);
    const same =
      other.diverged === undefined &&
      other.steps.length === run.length &&
      other.outcome.kind === finding.kind &&
      other.outcome.property === finding.name;
    expect(same).toBe(false);
  }
}

describe('the fewest switches', () => {
  test.each([
    ['cells and locks', recipes(options)],
    ['frames', recipes(frameOptions, true)],
  ])('systems made up at random, %s', (_, some) => {
    let checked = 0;
    fc.assert(
      fc.property(some, (recipe) => {
        for (const order of ['bfs', 'dfs'] as const)
          for (const finding of search(build(recipe), { order, maxStates: 1000 }).findings.filter(bad)) {
            checked++;
            expectBest(() => build(recipe), finding);
          }
      }),
      { numRuns: 150 },
    );
    expect(checked).toBeGreaterThan(50);
  });

  test('a deadlock of philosophers is told one philosopher at a time', () => {
    const finding = search(toys.philosophers(4)).findings.find(bad)!;
    expectBest(() => toys.philosophers(4), finding);
    expect(switches(fewestSwitches(built(toys.philosophers(4)), finding))).toBe(3);
  });

  test('a run that does not end as claimed is left as it is', () => {
    const run = [{ agent: 0, choice: 0 }];
    const claim: Finding = { kind: 'violation', name: 'NOTHING', detail: '', run };
    expect(fewestSwitches(built(toys.philosophers(2)), claim)).toBe(run);
  });
});
