// SPDX-License-Identifier: MIT
import type { Built } from '../core/scenario.js';
import { accessOf } from '../core/semantics.js';
import type { Access } from '../core/ops.js';
import { replay, type TraceStep } from './replay.js';
import type { Finding, Step } from './result.js';

/** Steps of one agent in a row. */
interface Turn {
  readonly agent: number;
  readonly from: number;
  readonly to: number;
}

/** How often the schedule goes from one agent to another. */
export function switches(run: readonly Step[]): number {
  return Math.max(0, turns(run).length - 1);
}

/**
 * A run that is as long as the finding's and ends in the same violation, deadlock or leak, with fewer switches between
 * agents: whole turns are moved over steps that are independent of them to the next or last turn of their agent. Each
 * move is checked by running it. In the result no swap of adjacent independent steps saves a switch.
 */
export function fewestSwitches(built: Built, { kind, name, run }: Finding): readonly Step[] {
  const { system } = built;
  const start = system.mem.slice();
  const steps = (candidate: readonly Step[]): readonly TraceStep[] | undefined => {
    system.mem.set(start);
    const { diverged, outcome, steps: taken } = replay(built, candidate);
    const same = diverged === undefined && outcome.kind === kind && outcome.property === name;
    return same && taken.length === run.length ? taken : undefined;
  };
  const conflict = (x: TraceStep, y: TraceStep): boolean => {
    const [one, other] = [x, y].map(({ agent, op, a, b, c }) => accessOf(system, agent, op, a, b, c));
    const meets = ({ writes, silent }: Access, all: Access): boolean =>
      [...writes, ...silent].some(
        (cell) => all.writes.includes(cell) || all.reads.includes(cell) || all.silent.includes(cell),
      );
    return meets(one!, other!) || meets(other!, one!);
  };

  let taken = steps(run);
  if (taken === undefined) return run;
  for (;;) {
    let better: readonly TraceStep[] | undefined;
    for (const { moved, over, result } of moves(taken)) {
      if (moved.some((x) => over.some((y) => conflict(x, y)))) continue;
      better = steps(result);
      if (better !== undefined) break;
    }
    if (better === undefined) return taken.map(({ agent, choice }) => ({ agent, choice }));
    taken = better;
  }
}

interface Move {
  readonly moved: readonly TraceStep[];
  readonly over: readonly TraceStep[];
  readonly result: readonly TraceStep[];
}

/** Every way to move a turn to the next or last one of its agent. */
function* moves(run: readonly TraceStep[]): Generator<Move> {
  const all = turns(run);
  for (const [i, turn] of all.entries()) {
    const next = all.find((other, j) => j > i && other.agent === turn.agent);
    if (next === undefined) continue;
    const head = run.slice(0, turn.from);
    const first = run.slice(turn.from, turn.to);
    const over = run.slice(turn.to, next.from);
    const second = run.slice(next.from, next.to);
    const tail = run.slice(next.to);
    yield { moved: second, over, result: [...head, ...first, ...second, ...over, ...tail] };
    yield { moved: first, over, result: [...head, ...over, ...first, ...second, ...tail] };
  }
}

function turns(run: readonly Step[]): Turn[] {
  const found: Turn[] = [];
  for (let from = 0; from < run.length;) {
    const { agent } = run[from]!;
    let to = from;
    while (run[to]?.agent === agent) to++;
    found.push({ agent, from, to });
    from = to;
  }
  return found;
}
