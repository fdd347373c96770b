// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stackKey } from '../../src/core/live.js';
import { Op } from '../../src/core/ops.js';
import type { System } from '../../src/core/system.js';
import { findLivelock, type LivenessOptions } from '../../src/explore/liveness.js';
import { Execution } from '../../src/explore/replay.js';
import type { Finding } from '../../src/explore/result.js';
import { search } from '../../src/explore/search.js';
import * as loops from './fixtures/loops.js';
import * as movers from './fixtures/movers.js';
import { type Instruction, Program, scripted } from './fixtures/script.js';
import { fairCycle } from './liveness-oracle.js';
import { build, frameOptions, options, privateRecipes, recipes } from './random-systems.js';

const found = (system: System, how: LivenessOptions = {}): string | undefined => {
  const { finding } = findLivelock(system, how);
  return finding === undefined ? undefined : `${finding.kind} ${finding.name}`;
};

/** Goes along a lasso with the real paths: it must close, be fair, declare no progress, and leave somebody waiting. */
function expectLasso(system: System, { kind, run, loop }: Finding): void {
  const execution = new Execution({ system, bounds: '', properties: [] });
  const point = (): string =>
    `${system.mem.slice(0, system.cells.length).join()}|${execution
      .frames()
      .map((stack) => stackKey([...stack]))
      .join('|')}|${JSON.stringify(execution.pending())}`;
  for (const step of run.slice(0, loop)) expect(execution.take(step)).not.toHaveProperty('reason');
  const before = point();
  const fair = system.agents.flatMap((agent, number) => (agent.fair ? [number] : []));
  const open = new Set(fair);
  const moves = new Set(run.slice(loop).map(({ agent }) => agent));
  const queued = fair.filter(
    (agent) => !moves.has(agent) && execution.pending().some((at) => at.agent === agent && at.op === Op.LOCK),
  );
  for (const step of run.slice(loop)) {
    for (const agent of open) if (execution.outcomes(agent) === 0) open.delete(agent);
    for (const agent of queued) expect(execution.outcomes(agent)).toBe(0);
    open.delete(step.agent);
    expect(execution.take(step)).toMatchObject({ progressed: [] });
  }
  expect(point()).toBe(before);
  expect(run.length).toBeGreaterThan(loop!);
  expect([...open]).toEqual([]);
  const waits = execution.pending().some(({ agent }) => !system.agents[agent]!.daemon);
  expect(waits).toBe(kind === 'livelock');
}

const systems: Record<string, readonly [() => System, string | undefined]> = {
  'a spin on a flag that nobody sets': [() => loops.spins({ setter: 'nobody' }), 'livelock PROGRESS'],
  'a spin on a flag that another agent will set': [() => loops.spins({ setter: 'agent' }), undefined],
  'a spin on a flag that hardware may set': [() => loops.spins({ setter: 'hardware' }), 'livelock PROGRESS'],
  'two that try again and again': [() => loops.mutualRetry(), 'livelock PROGRESS'],
  'two that try again, declared as progress': [() => loops.mutualRetry({ marked: true }), undefined],
  'one that tries again, one that waits in the queue': [
    () => loops.mutualRetry({ patient: true }),
    undefined,
  ],
  'a daemon that loops': [() => loops.daemonLoops(), undefined],
  'a daemon that loops while another agent is stuck': [
    () => loops.daemonLoops({ blocked: true }),
    'livelock PROGRESS',
  ],
  'a queue for a lock that is taken again and again': [() => loops.starves(), undefined],
  'tries for a lock that is taken again and again': [
    () => loops.starves({ tries: true }),
    'livelock PROGRESS',
  ],
  'a daemon that never rests, and a leak': [() => loops.endless(), 'leak BALANCE'],
  'a daemon that never rests and gives back': [() => loops.endless({ gives: true }), undefined],
  'a daemon that stays for ever where others wait for it to leave': [
    () => movers.staysInside(),
    'livelock PROGRESS',
  ],
};

describe('livelock', () => {
  test.each(Object.entries(systems))('%s', (_, [make, expected]) => {
    const { cyclic, complete } = search(make());
    expect({ cyclic, complete }).toEqual({ cyclic: true, complete: true });
    for (const fuse of [false, true]) {
      expect(found(make(), { fuse })).toBe(expected);
      const { finding } = findLivelock(make(), { fuse });
      if (finding !== undefined) expectLasso(make(), finding);
    }
  });

  const act = (what: Instruction['do'], x = 0, v = 0): Instruction => ({ do: what, x, v });
  test('a loop in which frames change places is gone round until it closes', () => {
    const code = [act('alloc'), act('free'), act('read', 0), act('jumpIfZero', -4)];
    const make = (): System => scripted({ frames: 3 }, [new Program(code)]);
    const { finding } = findLivelock(make(), { symmetry: true });
    expect(finding?.name).toBe('PROGRESS');
    expectLasso(make(), finding!);
  });

  test('gives up at a bound', () => {
    expect(findLivelock(loops.mutualRetry(), { maxStates: 3 })).toMatchObject({
      finding: undefined,
      bound: '3 states',
    });
    expect(findLivelock(loops.mutualRetry(), { deadline: 0 }).bound).toBeUndefined();
  });

  test.each([
    ['cells and locks', recipes(options)],
    ['frames', recipes(frameOptions, true)],
    ['cells of their own and sections', privateRecipes],
  ])('systems made up at random, %s: as the oracle says, and each lasso holds', (_, some) => {
    let livelocks = 0;
    fc.assert(
      fc.property(some, (recipe) => {
        const { complete, cyclic, findings } = search(build(recipe), { maxStates: 1500 });
        const sound = !findings.some(
          ({ kind }) => kind === 'violation' || kind === 'deadlock' || kind === 'leak',
        );
        fc.pre(complete && sound);
        const expected = fairCycle(build(recipe), 1500);
        expect(cyclic || expected === undefined).toBe(true);
        for (const symmetry of [false, true])
          for (const fuse of [false, true]) {
            const { finding } = findLivelock(build(recipe), { symmetry, fuse });
            expect({ symmetry, fuse, found: finding && `${finding.kind} ${finding.name}` }).toEqual({
              symmetry,
              fuse,
              found: expected,
            });
            if (finding === undefined) continue;
            livelocks++;
            expectLasso(build(recipe), finding);
          }
      }),
      { numRuns: 300 },
    );
    expect(livelocks).toBeGreaterThan(10);
  });
});
