// SPDX-License-Identifier: MIT
import type { System } from '../core/system.js';
import { Automaton } from './automaton.js';
import { cycles, type Edge, StateGraph } from './graph.js';
import type { Finding, Step } from './result.js';
import { Walker } from './walker.js';

export interface LivenessOptions {
  /** Identify states that differ in the names of frames. */
  readonly symmetry?: boolean;
  readonly maxStates?: number;
  /** Clock value (ms) after which it gives up. */
  readonly deadline?: number;
}

export interface Liveness {
  /** A livelock, or a leak of daemons that never come to rest. */
  readonly finding: Finding | undefined;
  readonly states: number;
  readonly bound?: string;
}

/**
 * Looks for a cycle without declared progress that a fair scheduler can't leave: every fair agent takes a step in it or
 * can't run somewhere in it; and who waits for a lock, which has a queue, can't run anywhere in it. While an agent that is no daemon has not returned, that is a livelock; after that,
 * daemons may go on for ever, but an end invariant that fails all the way round will fail for ever.
 *
 * Steps are not fused: where a lock is taken and released in one step nobody is seen to wait for it. Frames may be
 * renamed: they are no agents, so a cycle up to their names is, gone round often enough, a cycle.
 */
export function findLivelock(system: System, options: LivenessOptions = {}): Liveness {
  const { maxStates = 2_000_000, deadline = Infinity, symmetry = false } = options;
  const initial = system.mem.slice(0, system.cells.length);
  try {
    const walker = new Walker(system, new Automaton(system), symmetry);
    const start = walker.state.slice();
    const graph = new StateGraph(walker, maxStates, () => Date.now() > deadline);
    if (graph.bound !== undefined) return { finding: undefined, states: graph.size, bound: graph.bound };
    const fair = system.agents.flatMap((agent, number) => (agent.fair ? [number] : []));
    const inOrder = cycles(graph)
      .flatMap((component) => fairParts(graph, component, fair))
      .sort((x, y) => x[0]! - y[0]!);
    for (const component of inOrder) {
      const inside = new Set(component);
      const wrong = judge(system, graph, component);
      if (wrong === undefined) continue;
      walker.state.set(start);
      const { run, loop } = lasso(walker, graph, component, inside, fair);
      const left = system.agents.filter(({ daemon }, agent) => !daemon && !walker.returned(agent));
      const detail =
        wrong.detail ??
        `${left.map(({ name }) => name).join(', ')} may never return, however fair the schedule`;
      return { finding: { ...wrong, detail, run, loop }, states: graph.size };
    }
    return { finding: undefined, states: graph.size };
  } finally {
    system.mem.set(initial);
    system.fault = undefined;
  }
}

/** What of a component is fair to all: it, or what is left of it without the states in which a lock is free for one who waits. */
function fairParts(graph: StateGraph, component: number[], fair: readonly number[]): number[][] {
  const inside = new Set(component);
  let left = component;
  for (const agent of fair) {
    const moves = component.some((state) =>
      [...graph.quietEdges(state)].some((edge) => edge.agent === agent && inside.has(edge.to)),
    );
    if (moves) continue;
    const waits = component.filter((state) => !graph.enabled(state, agent));
    if (waits.length === 0) return [];
    // It takes no step here, so it stands at the same one everywhere.
    if (graph.queued(component[0]!, agent)) left = left.filter((state) => !graph.enabled(state, agent));
  }
  if (left.length === component.length) return [component];
  return cycles(graph, left).flatMap((part) => fairParts(graph, part, fair));
}

/** What is wrong with going round for ever. */
function judge(
  system: System,
  graph: StateGraph,
  component: readonly number[],
): { kind: Finding['kind']; name: string; detail?: string } | undefined {
  if (graph.waiting[component[0]!] === true) return { kind: 'livelock', name: 'PROGRESS' };
  const atEnd = system.invariants.filter(({ when }) => when === 'end');
  const always = atEnd.filter((_, i) =>
    component.every((state) => graph.unbalanced[state]?.includes(i) === true),
  );
  const [first] = always;
  if (first === undefined) return undefined;
  return {
    kind: first.kind ?? 'violation',
    name: first.property,
    detail: 'all have returned, and it stays so whatever the daemons do',
  };
}

/** A run to the component and once round it, fair to all, by concrete steps. */
function lasso(
  walker: Walker,
  graph: StateGraph,
  component: readonly number[],
  inside: ReadonlySet<number>,
  fair: readonly number[],
): { run: Step[]; loop: number } {
  const entry = component[0]!;
  const round = tour(graph, entry, inside, fair);
  const run = graph.runTo(entry);
  for (const { agent, choice } of run) walker.step(agent, choice);
  // With renamed frames the first round may end in a renamed state: after some rounds one comes back.
  const met = new Map<string, number>();
  for (;;) {
    const here = walker.state.join();
    const loop = met.get(here);
    if (loop !== undefined) return { run, loop };
    met.set(here, run.length);
    for (const edge of round) run.push(follow(walker, graph, edge));
  }
}

/** Takes the agent's step that leads to the edge's target, or to a renaming of it. */
function follow(walker: Walker, graph: StateGraph, { to, agent }: Edge): Step {
  const before = walker.state.slice();
  const outcomes = walker.outcomes(agent);
  for (let choice = 0; choice < outcomes; choice++) {
    walker.step(agent, choice);
    walker.identify();
    if (graph.numberOf(walker.low, walker.high) === to) return { agent, choice };
    walker.state.set(before);
  }
  throw new Error('expected the step to lead where it led before');
}

/** A way from `entry` round to it on which each fair agent takes a step or can't run somewhere. */
function tour(
  graph: StateGraph,
  entry: number,
  inside: ReadonlySet<number>,
  fair: readonly number[],
): Edge[] {
  const way: Edge[] = [];
  const open = new Set(fair);
  let at = entry;
  const see = (state: number): void => {
    for (const agent of open) if (!graph.enabled(state, agent)) open.delete(agent);
  };
  const go = (edges: readonly Edge[]): void => {
    for (const edge of edges) {
      way.push(edge);
      open.delete(edge.agent);
      at = edge.to;
      see(at);
    }
  };
  see(at);
  while (open.size > 0) {
    go(
      shortest(
        graph,
        at,
        inside,
        (edge) => open.has(edge.agent) || [...open].some((agent) => !graph.enabled(edge.to, agent)),
      ),
    );
  }
  if (at !== entry || way.length === 0) go(shortest(graph, at, inside, (edge) => edge.to === entry));
  return way;
}

/** The shortest way inside whose last edge is `wanted`. */
function shortest(
  graph: StateGraph,
  from: number,
  inside: ReadonlySet<number>,
  wanted: (edge: Edge) => boolean,
): Edge[] {
  const reached = new Map<number, { before: number; edge: Edge }>();
  const queue = [from];
  const back = (state: number): Edge[] => {
    const edges: Edge[] = [];
    for (let at = state; at !== from; at = reached.get(at)!.before) edges.push(reached.get(at)!.edge);
    return edges.reverse();
  };
  for (let state = queue.shift(); state !== undefined; state = queue.shift()) {
    for (const edge of graph.quietEdges(state)) {
      if (!inside.has(edge.to)) continue;
      if (wanted(edge)) return [...back(state), edge];
      if (edge.to === from || reached.has(edge.to)) continue;
      reached.set(edge.to, { before: state, edge });
      queue.push(edge.to);
    }
  }
  throw new Error('expected a way round the cycle');
}
