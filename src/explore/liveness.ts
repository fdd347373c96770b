// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op, type OpDefinition } from '../core/ops.js';
import { mayBlock } from '../core/semantics.js';
import type { System } from '../core/system.js';
import { Automaton } from './automaton.js';
import { components } from './components.js';
import { type Edge, StateGraph } from './graph.js';
import { Loops } from './loops.js';
import type { Finding, SearchOptions, Step } from './result.js';
import { search } from './search.js';
import { Walker } from './walker.js';

export interface LivenessOptions {
  /** Identify states that differ in the names of frames. */
  readonly symmetry?: boolean;
  /** Fuse the steps that lead to where loops may begin. */
  readonly fuse?: boolean;
  readonly maxStates?: number;
  /** Clock value (ms) after which it gives up. */
  readonly deadline?: number;
  /** What a complete search of the same system has learnt of its paths. */
  readonly automaton?: Automaton;
}

export interface Liveness {
  /** A livelock, or a leak of daemons that never come to rest. */
  readonly finding: Finding | undefined;
  /** States that were looked at for cycles. */
  readonly states: number;
  readonly bound?: string;
}

/**
 * Looks for a cycle without declared progress that a fair scheduler can't leave: every fair agent takes a step in it or
 * can't run somewhere in it; and who waits for a lock, which has a queue, can't run anywhere in it. While an agent that is
 * no daemon has not returned, that is a livelock; after that, daemons may go on for ever, but an end invariant that fails
 * all the way round will fail for ever.
 *
 * In a run that goes on for ever each fair agent at last stays on a loop of its path, or has returned, or stands for ever
 * at a step that may have to wait. So cycles are looked for only from states in which all do, and only along loops. Such
 * states are found with fused steps; from there on steps are not fused: where a lock is taken and released in one step
 * nobody is seen to wait for it. Frames may be renamed: they are no agents, so a cycle up to their names is, gone round
 * often enough, a cycle.
 */
export function findLivelock(system: System, options: LivenessOptions = {}): Liveness {
  const { maxStates = 2_000_000, deadline = Infinity, symmetry = false, fuse = false } = options;
  const initial = system.mem.slice(0, system.cells.length);
  const automaton = options.automaton ?? new Automaton(system);
  try {
    if (options.automaton === undefined) {
      const { complete, states, bound } = search(system, { automaton, symmetry, fuse, maxStates, deadline });
      if (!complete) return { finding: undefined, states, bound: bound ?? 'something was found' };
    }
    const loops = new Loops(automaton);
    if (!loops.any) return { finding: undefined, states: 0 };
    const limits = { symmetry, maxStates, deadline };
    return (
      lookFor(automaton, loops, { ...limits, fuse }) ??
      lookFor(automaton, loops, { ...limits, fuse: 'but-movers' })!
    );
  } finally {
    system.mem.set(initial);
    system.fault = undefined;
  }
}

/** Undefined: there is a cycle only if some of those who can run are kept waiting, which fused movers do not show. */
function lookFor(
  automaton: Automaton,
  loops: Loops,
  options: Required<Pick<SearchOptions, 'symmetry' | 'maxStates' | 'deadline' | 'fuse'>>,
): Liveness | undefined {
  const { system } = automaton;
  const { maxStates, deadline, symmetry, fuse } = options;
  const initial = system.mem.slice(0, system.cells.length);
  const walker = new Walker(automaton, symmetry);
  const start = walker.state.slice();
  const graph = new StateGraph(
    walker,
    loops,
    { maxStates, outOfTime: () => Date.now() > deadline },
    fuse === true ? doubts(automaton) : () => false,
  );
  system.mem.set(initial);
  const stays = (node: number): boolean =>
    automaton.op[node] === Op.DONE || mayBlock(system, automaton.op[node]!);
  const cells = system.cells.length;
  const { bound } = search(system, {
    ...options,
    automaton,
    onState(state, _terminal, run) {
      let onLoop = false;
      for (let agent = 0; agent < system.agents.length; agent++) {
        const node = state[cells + agent]!;
        if (loops.has(node)) onLoop = true;
        else if (system.agents[agent]!.fair && !stays(node)) return;
      }
      if (onLoop && graph.bound === undefined) graph.add(state, run);
    },
  });
  const stopped = bound ?? graph.bound;
  if (stopped !== undefined) return { finding: undefined, states: graph.size, bound: stopped };
  graph.finish();
  const fair = system.agents.flatMap((agent, number) => (agent.fair ? [number] : []));
  const all = components(graph);
  const wrongIn = (doubtful: boolean): { component: number[]; wrong: Wrong } | undefined =>
    all
      .flatMap((component) => fairParts(graph, component, fair, doubtful))
      .sort((x, y) => x[0]! - y[0]!)
      .map((component) => ({ component, wrong: judge(system, graph, component)! }))
      .find(({ wrong }) => wrong !== undefined);
  const found = wrongIn(false);
  if (found === undefined)
    return fuse === true && wrongIn(true) !== undefined
      ? undefined
      : { finding: undefined, states: graph.size };
  walker.position.own();
  walker.state.set(start);
  walker.position.begin();
  const { wrong, component } = found;
  const { run, loop } = lasso(walker, graph, component, fair);
  const left = system.agents.filter(({ daemon }, agent) => !daemon && !walker.returned(agent));
  const detail =
    wrong.detail ?? `${left.map(({ name }) => name).join(', ')} may never return, however fair the schedule`;
  return { finding: { ...wrong, detail, run, loop }, states: graph.size };
}

/** Those who wait for others to leave, where somebody is inside of what movers enter: would they be kept waiting? */
function doubts(automaton: Automaton): (agent: number, node: number, state: Int32Array) => boolean {
  const { system } = automaton;
  const own = (node: number): OpDefinition | undefined => system.ops[automaton.op[node]! - FIRST_OWN_OP];
  const entered = new Set<number>();
  for (let node = 1; node < automaton.size; node++)
    if (own(node)?.mover === 'right') for (const cell of automaton.access(node).writes) entered.add(cell);
  return (_agent, node, state) => {
    if (own(node)?.enabled === undefined) return false;
    const { reads, writes } = automaton.access(node);
    return [...reads, ...writes].some((cell) => entered.has(cell) && state[cell] !== 0);
  };
}

/**
 * What of a component is fair to all: it, or what is left of it without the states in which a lock is free for one who
 * waits. `doubtful`: those of whom it is not sure that they can run can't.
 */
function fairParts(
  graph: StateGraph,
  component: number[],
  fair: readonly number[],
  doubtful: boolean,
): number[][] {
  const inside = new Uint8Array(graph.size);
  for (const state of component) inside[state] = 1;
  const runs = (state: number, agent: number): boolean =>
    graph.enabled(state, agent) && !(doubtful && graph.doubted(state, agent));
  let left = component;
  for (const agent of fair) {
    if (component.some((state) => graph.moves(state, agent, inside))) continue;
    if (component.every((state) => runs(state, agent))) return [];
    // It takes no step here, so it stands at the same one everywhere.
    if (graph.queued(component[0]!, agent)) left = left.filter((state) => !runs(state, agent));
  }
  if (left.length === component.length) return [component];
  return components(graph, left).flatMap((part) => fairParts(graph, part, fair, doubtful));
}

interface Wrong {
  readonly kind: Finding['kind'];
  readonly name: string;
  readonly detail?: string;
}

/** What is wrong with going round for ever. */
function judge(system: System, graph: StateGraph, component: readonly number[]): Wrong | undefined {
  if (graph.waiting(component[0]!)) return { kind: 'livelock', name: 'PROGRESS' };
  const atEnd = system.invariants.filter(({ when }) => when === 'end');
  const first = atEnd.find((_, i) => component.every((state) => graph.unbalanced(state).includes(i)));
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
  fair: readonly number[],
): { run: Step[]; loop: number } {
  const entry = component[0]!;
  const inside = new Set(component);
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
  const { position } = walker;
  const { low, high } = position;
  const outcomes = walker.outcomes(agent);
  position.keep();
  for (let choice = 0; choice < outcomes; choice++) {
    walker.step(agent, choice);
    walker.identify();
    if (graph.numberOf(walker.low, walker.high) === to) return { agent, choice };
    position.back();
    position.low = low;
    position.high = high;
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
