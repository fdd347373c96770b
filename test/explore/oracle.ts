// SPDX-License-Identifier: MIT
import { live, stackKey } from '../../src/core/live.js';
import { Op } from '../../src/core/ops.js';
import { resume, running } from '../../src/core/running.js';
import { accessOf, semantics } from '../../src/core/semantics.js';
import type { System } from '../../src/core/system.js';

export interface Outcome {
  states: number;
  /** Cell values of the states in which no fair agent can run. */
  terminals: Set<string>;
  /** `violation P`, `deadlock DEADLOCK`, `leak P`, `report DATA-RACE`, `witness w`. */
  verdicts: Set<string>;
  /** Steps of a shortest run to each verdict. */
  shortest: Map<string, number>;
}

/** A point of a path: its request, and a text that is equal for equal futures. */
interface Point {
  op: number;
  a: number;
  b: number;
  c: number;
  key: string;
}

/**
 * The reference explorer: whole states in a Map, each agent's path run again from its start for every step, no automata,
 * no reduction, no fingerprints. Shares `core/semantics` with the product and nothing else of the engine.
 */
export function oracle(system: System): Outcome {
  const { enabled, choices, execute } = semantics(system);
  const cells = system.cells.length;
  const always = system.invariants.filter(({ when }) => when === 'always');
  const found: Outcome = { states: 0, terminals: new Set(), verdicts: new Set(), shortest: new Map() };
  const say = (what: string, depth: number): void => {
    found.verdicts.add(what);
    if (!found.shortest.has(what)) found.shortest.set(what, depth);
  };

  const pointAfter = (agent: number, log: readonly number[], depth: number): Point => {
    live.stack = [];
    const path = system.agents[agent]!.start();
    const stack: unknown[] = [];
    let witnesses: string[] = [];
    const go = (value: number) => {
      const result = resume(system, agent, stack, path, value);
      witnesses = running.seen;
      return result;
    };
    let result = go(0);
    for (const value of log) result = go(value);
    for (const name of witnesses) say(`witness ${name}`, depth);
    if (result.done) return { op: Op.DONE, a: 0, b: 0, c: 0, key: 'done' };
    const { op, a, b, c } = result.value;
    return { op, a, b, c, key: `${op},${a},${b},${c}:${stackKey(stack)}` };
  };
  const wrongWith = (
    agent: number,
    before: Int32Array | undefined,
    points: readonly Point[],
  ): string | undefined => {
    const broken = (): string | undefined => {
      const property = system.fault?.property;
      system.fault = undefined;
      return property;
    };
    let property = broken();
    if (property !== undefined) return property;
    const failed = points.find(({ op }) => op === Op.FAIL);
    if (failed !== undefined) return system.strings[failed.a]!;
    for (const monitor of system.monitors)
      if (before === undefined || monitor.cells.some(({ at }) => before[at] !== system.mem[at]))
        monitor.update(agent);
    property = broken();
    return property ?? always.find((invariant) => invariant.check() !== undefined)?.property;
  };
  const racy = (points: readonly Point[]): boolean =>
    points.some((x, i) =>
      points.some((y, j) => {
        if (i === j) return false;
        const one = accessOf(system, i, x.op, x.a, x.b, x.c);
        const other = accessOf(system, j, y.op, y.a, y.b, y.c);
        return (
          (one.plain || other.plain) &&
          one.writes.some((cell) => other.writes.includes(cell) || other.reads.includes(cell))
        );
      }),
    );

  interface State {
    mem: Int32Array;
    logs: number[][];
    points: Point[];
    depth: number;
  }
  const states = new Map<string, State>();
  const queue: State[] = [];
  const arrive = (state: State): void => {
    const key = `${state.mem.join()}|${state.points.map((point) => point.key).join('|')}`;
    if (states.has(key)) return;
    states.set(key, state);
    queue.push(state);
    if (racy(state.points)) say('report DATA-RACE', state.depth);
  };

  for (const monitor of system.monitors) monitor.update(-1);
  const logs = system.agents.map((): number[] => []);
  const points = system.agents.map((_, agent) => pointAfter(agent, [], 0));
  const atOnce = wrongWith(-1, undefined, points);
  if (atOnce !== undefined) say(`violation ${atOnce}`, 0);
  else arrive({ mem: system.mem.slice(0, cells), logs, points, depth: 0 });

  for (let state = queue.shift(); state !== undefined; state = queue.shift()) {
    let resting = true;
    for (const [agent, { op, a, b, c }] of state.points.entries()) {
      system.mem.set(state.mem);
      if (!enabled(agent, op, a, b, c)) continue;
      if (system.agents[agent]!.fair) resting = false;
      const outcomes = choices(agent, op, a, b, c);
      for (let choice = 0; choice < outcomes; choice++) {
        system.mem.set(state.mem);
        const value = execute(agent, op, a, b, c, choice);
        const log = [...state.logs[agent]!, value];
        const after = state.points.with(agent, pointAfter(agent, log, state.depth + 1));
        const wrong = wrongWith(agent, state.mem, [after[agent]!]);
        if (wrong !== undefined) say(`violation ${wrong}`, state.depth + 1);
        else
          arrive({
            mem: system.mem.slice(0, cells),
            logs: state.logs.with(agent, log),
            points: after,
            depth: state.depth + 1,
          });
      }
    }
    if (!resting) continue;
    system.mem.set(state.mem);
    found.terminals.add(state.mem.join());
    if (state.points.some(({ op }, agent) => op !== Op.DONE && !system.agents[agent]!.daemon))
      say('deadlock DEADLOCK', state.depth);
    else
      for (const invariant of system.invariants)
        if (invariant.when === 'end' && invariant.check() !== undefined)
          say(`${invariant.kind ?? 'violation'} ${invariant.property}`, state.depth);
  }
  found.states = states.size;
  return found;
}
