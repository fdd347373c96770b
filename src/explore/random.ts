// SPDX-License-Identifier: MIT
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { noAccess } from '../core/ops.js';
import type { Built } from '../core/scenario.js';
import { accessOf } from '../core/semantics.js';
import { Findings } from './findings.js';
import { dataRace } from './races.js';
import { Execution } from './replay.js';
import type { SearchResult, Step } from './result.js';

/** How to try schedules instead of visiting all states. */
export interface RandomOptions {
  /**
   * random: any agent that can run, at every step. pct: agents have priorities, drawn anew for each schedule, and the one
   * that runs loses its own at `depth` - 1 moments; finds a bug of that depth with a known probability.
   */
  readonly strategy: 'random' | 'pct';
  /** The same seed tries the same schedules. */
  readonly seed: number;
  readonly schedules: number;
  readonly depth: number;
  /** Steps of one schedule at most. */
  readonly maxSteps: number;
  /** Clock value (ms) after which it gives up. */
  readonly deadline?: number;
  readonly onProgress?: (steps: number, schedules: number) => void;
}

export const RANDOM_DEFAULTS = { seed: 1, schedules: 1000, depth: 3, maxSteps: 10_000 } as const;

/** An agent that took so many steps in a row is spinning: pct lets all others go first. */
const SPINNING = 200;

type Random = (count: number) => number;
/** Chooses the next of the agents that can run. */
type Scheduler = (able: readonly number[], step: number) => number;

/**
 * Tries schedules with the real paths: no automata, no states kept. Proves nothing: without a violation the search is
 * incomplete. Stops at the first violation, deadlock or leak.
 */
export function searchRandomly(built: Built, options: RandomOptions): SearchResult {
  const { system } = built;
  const { strategy, seed, schedules, maxSteps, deadline = Infinity } = options;
  const generator = xoroshiro128plus(seed);
  const random: Random = (count) => uniformInt(generator, 0, count - 1);
  const start = system.mem.slice();
  const findings = new Findings(undefined);
  let steps = 0;
  let longest = 0;
  let terminals = 0;
  let tried = 0;
  let bound = `${schedules} ${strategy} schedules`;
  for (; tried < schedules && !findings.anyBad; tried++) {
    if (Date.now() > deadline) {
      bound = 'time';
      break;
    }
    system.mem.set(start);
    const execution = new Execution(built);
    // The first schedule of pct tells how long schedules are.
    const next =
      strategy === 'pct' && longest > 0
        ? byPriority(random, system.agents.length, longest, options.depth)
        : (able: readonly number[]) => able[random(able.length)]!;
    const run: Step[] = [];
    for (const name of execution.seenAtStart) findings.note('witness', name, '', run);
    for (;;) {
      const race = raceOf(execution);
      if (race !== undefined) {
        const [x, y] = [race.x, race.y].map((agent) => system.agents[agent]!.name);
        findings.note('report', 'DATA-RACE', `${system.cells[race.cell]!.name}: ${x} and ${y}`, run);
      }
      const { kind, property, detail } = execution.outcome();
      if (kind === 'ended') terminals++;
      if (kind !== 'open') {
        if (kind !== 'ended') findings.note(kind, property, detail, run);
        break;
      }
      if (run.length >= maxSteps) break;
      const able = system.agents.flatMap((_, agent) => (execution.outcomes(agent) > 0 ? [agent] : []));
      const agent = next(able, run.length + 1);
      const step = { agent, choice: random(execution.outcomes(agent)) };
      const taken = execution.take(step);
      if ('reason' in taken) throw new Error(`expected the step to be possible: ${taken.reason}`);
      run.push(step);
      for (const name of taken.seen) findings.note('witness', name, '', run);
      for (const { name, detail: said } of taken.reports) findings.note('report', name, said, run);
    }
    steps += run.length;
    longest = Math.max(longest, run.length);
    if (tried % 100 === 0) options.onProgress?.(steps, tried);
  }
  system.mem.set(start);
  return {
    states: steps,
    transitions: steps,
    depth: longest,
    complete: false,
    bound: `${bound}, seed ${seed}`,
    findings: findings.list,
    terminals,
    automatonNodes: 0,
    bytes: 0,
    cyclic: false,
  };
}

function raceOf(execution: Execution): ReturnType<typeof dataRace> {
  const { system } = execution;
  const accesses = system.agents.map(noAccess);
  for (const { agent, op, a, b, c } of execution.pending())
    accessOf(system, agent, op, a, b, c, accesses[agent]);
  return dataRace(accesses.length, (agent) => accesses[agent]!);
}

/** Probabilistic concurrency testing (Burckhardt et al. 2010). */
function byPriority(random: Random, agents: number, length: number, depth: number): Scheduler {
  const order = Array.from({ length: agents }, (_, agent) => agent);
  const priority: number[] = [];
  for (let rank = depth + agents; order.length > 0; rank--)
    priority[order.splice(random(order.length), 1)[0]!] = rank;
  const changes = Array.from({ length: depth - 1 }, () => 1 + random(length));
  let lowest = 0;
  let last = -1;
  let inARow = 0;
  return (able, step) => {
    const first = (): number =>
      able.reduce((best, agent) => (priority[agent]! > priority[best]! ? agent : best));
    const change = changes.indexOf(step);
    if (change >= 0) priority[first()] = depth - 1 - change;
    inARow = first() === last ? inARow + 1 : 0;
    if (inARow > SPINNING) {
      priority[first()] = --lowest;
      inARow = 0;
    }
    return (last = first());
  };
}
