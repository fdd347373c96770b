// SPDX-License-Identifier: MIT
/** One mutant against the variants that run its site, in a worker. */
import { live } from '../core/live.js';
import { withoutLocks } from '../core/mutants.js';
import type { Scenario, Variant } from '../core/scenario.js';
import { differs, type Difference } from '../explore/differs.js';
import { SCENARIOS } from '../scenarios/index.js';
import { type Mutant, valueOf } from './mutants.js';

export interface Run {
  readonly scenario: string;
  /** Index into the scenario's variants. */
  readonly variant: number;
  readonly maxStates: number;
}

/** cover: which sites a variant runs. mutant: the runs in this order until a verdict differs. */
export type Task =
  | { readonly kind: 'cover'; readonly run: Run }
  | {
      readonly kind: 'mutant';
      readonly mutant: Mutant;
      readonly runs: readonly Run[];
      readonly livelock: boolean;
    };

export interface Covered {
  readonly sites: readonly number[];
  readonly states: number;
  readonly ms: number;
  /** As far as it was searched. */
  readonly asDeclared: boolean;
}

/** How a mutant ended: the index of the run whose verdict it changed, -1 if none. */
export interface Ended {
  readonly by: number;
  readonly verdict: string;
  /** Runs that were given up at their bound. */
  readonly bounded: number;
}

const ofRun = ({ scenario, variant }: Run): [Scenario, Variant] => {
  const found = SCENARIOS.find(({ id }) => id === scenario)!;
  return [found, found.variants[variant]!];
};

function cover(run: Run): Covered {
  const sites = new Set<number>();
  const { enter } = live;
  live.enter = (at, locals) => {
    sites.add(at);
    return enter(at, locals);
  };
  const began = performance.now();
  try {
    const { differs: differing, states } = differs(...ofRun(run), {
      maxStates: run.maxStates,
      livelock: false,
    });
    return { sites: [...sites], states, ms: performance.now() - began, asDeclared: differing !== true };
  } finally {
    live.enter = enter;
  }
}

/** Whether the mutant changes the verdict of a run. */
export function judge(mutant: Mutant, run: Run, livelock: boolean): Pick<Difference, 'differs' | 'how'> {
  live.cut = mutant.site;
  live.cutValue = valueOf(mutant);
  live.mutate = mutant.change === 'lock' ? withoutLocks : undefined;
  try {
    return differs(...ofRun(run), { maxStates: run.maxStates, livelock });
  } catch (error) {
    const { message } = error as Error;
    // A path that trips over its own mutant: the model noticed. One that grows without end is a bound of ours.
    return /different continuations/.test(message)
      ? { differs: undefined, how: message }
      : { differs: true, how: `error: ${message}` };
  } finally {
    live.cut = -1;
    live.mutate = undefined;
  }
}

export default function work(task: Task): Covered | Ended {
  if (task.kind === 'cover') return cover(task.run);
  let bounded = 0;
  for (const [index, run] of task.runs.entries()) {
    const { differs: differing, how } = judge(task.mutant, run, task.livelock);
    if (differing === true) return { by: index, verdict: how, bounded };
    if (differing === undefined) bounded++;
  }
  return { by: -1, verdict: '', bounded };
}
