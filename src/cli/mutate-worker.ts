// SPDX-License-Identifier: MIT
/** One mutant against the variants that run its site, in a worker. */
import { live, site, siteCount } from '../core/live.js';
import * as primitives from '../core/primitives.js';
import type { Scenario, Variant } from '../core/scenario.js';
import { differs, type Difference } from '../explore/differs.js';
import { SCENARIOS } from '../scenarios/index.js';
import { goldenPieces, type Piece, replayPieces } from './golden.js';
import { type Mutant, mutated } from './mutants.js';

export interface Run {
  readonly scenario: string;
  /** Index into the scenario's variants. */
  readonly variant: number;
  readonly maxStates: number;
}

/**
 * cover: which sites a variant runs. mutant: the runs in this order, until a verdict differs or so many states are spent.
 * golden: recorded answers.
 */
export type Task =
  | { readonly kind: 'cover'; readonly run: Run }
  | {
      readonly kind: 'mutant';
      readonly mutant: Mutant;
      readonly runs: readonly Run[];
      readonly livelock: boolean;
      readonly budget: number;
    }
  | { readonly kind: 'golden'; readonly mutant: Mutant };

export interface Covered {
  readonly sites: readonly number[];
  readonly states: number;
  /** As far as it was searched. */
  readonly asDeclared: boolean;
}

/** How a mutant ended: the index of the run whose verdict it changed, -1 if none. */
export interface Ended {
  readonly by: number;
  readonly verdict: string;
  /** Runs that were asked, and the states that they took. */
  readonly asked: number;
  readonly spent: number;
}

/** The recorded answers that a mutant changes, if it does, and how many pieces of them run its site. */
export interface Replayed {
  readonly by: string | undefined;
  readonly verdict: string;
  readonly reaching: number;
}

/** Pieces of the recorded answers that a mutant is asked about: those that run its site most often. */
const PIECES = 24;

const ofRun = ({ scenario, variant }: Run): [Scenario, Variant] => {
  const found = SCENARIOS.find(({ id }) => id === scenario)!;
  return [found, found.variants[variant]!];
};

/** Paths that make a request themselves. */
const REQUESTS = new Set(['request', ...Object.keys(primitives)]);

/** Which sites a run reaches that make a request there: a call for a feature that the variant lacks makes none. */
export function cover(run: Run): Covered {
  const requests = Array.from({ length: siteCount() }, (_, number) => REQUESTS.has(site(number).callee));
  const reached = new Uint8Array(requests.length);
  const { enter } = live;
  live.enter = (at, locals) => {
    if (requests[at]) {
      reached[at] = 1;
      for (let i = 0; i < live.stack.length; i += 2) reached[live.stack[i] as number] = 1;
    }
    return enter(at, locals);
  };
  try {
    const { differs: differing, states } = differs(...ofRun(run), {
      maxStates: run.maxStates,
      livelock: false,
    });
    const sites = [...reached.keys()].filter((number) => reached[number] === 1);
    return { sites, states, asDeclared: differing !== true };
  } finally {
    live.enter = enter;
  }
}

/** Whether the mutant changes the verdict of a run. */
export function judge(mutant: Mutant, run: Run, livelock: boolean): Difference {
  try {
    return mutated(mutant, () => differs(...ofRun(run), { maxStates: run.maxStates, livelock }));
  } catch (error) {
    const { message } = error as Error;
    // A path that trips over its own mutant: the model noticed. One that grows without end is a bound of ours.
    return /different continuations/.test(message)
      ? { differs: undefined, how: message, states: run.maxStates }
      : { differs: true, how: `error: ${message}`, states: 0 };
  }
}

/** The pieces of the recorded answers, and how often each runs each site. */
let pieces: ReadonlyMap<Piece, ReadonlyMap<number, number>> | undefined;

function countPieces(): ReadonlyMap<Piece, ReadonlyMap<number, number>> {
  const all = goldenPieces();
  const counted = new Map<Piece, Map<number, number>>();
  let counts = new Map<number, number>();
  const { enter } = live;
  live.enter = (at, locals) => {
    counts.set(at, (counts.get(at) ?? 0) + 1);
    return enter(at, locals);
  };
  try {
    const found = replayPieces(all, (piece) => {
      counts = new Map<number, number>();
      counted.set(piece, counts);
    });
    if (found !== undefined)
      throw new Error(`expected ${found.piece.name} to answer as recorded: ${found.wrong}`);
  } finally {
    live.enter = enter;
  }
  return counted;
}

/** Whether the mutant changes an answer that a real kernel gave, or breaks a property on the way. */
export function replay(mutant: Mutant): Replayed {
  pieces ??= countPieces();
  const reaching = [...pieces]
    .map(([piece, counts]) => ({ piece, count: counts.get(mutant.site) ?? 0 }))
    .filter(({ count }) => count > 0)
    .sort((x, y) => y.count - x.count)
    .map(({ piece }) => piece);
  const chosen = reaching.slice(0, PIECES);
  const found = chosen.length === 0 ? undefined : mutated(mutant, () => replayPieces(chosen));
  return { by: found?.piece.name, verdict: found?.wrong ?? '', reaching: reaching.length };
}

export default function work(task: Task): Covered | Ended | Replayed {
  if (task.kind === 'cover') return cover(task.run);
  if (task.kind === 'golden') return replay(task.mutant);
  let spent = 0;
  let asked = 0;
  for (const run of task.runs) {
    if (spent > task.budget) break;
    const { differs: differing, how, states } = judge(task.mutant, run, task.livelock);
    if (differing === true) return { by: asked, verdict: how, asked, spent };
    asked++;
    spent += states;
  }
  return { by: -1, verdict: '', asked, spent };
}
