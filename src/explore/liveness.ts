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

/** Places in a component from which it is tried to go round. */
const ENTRIES = 16;
/** Rounds that differ in numbers only, a sequence that wraps, before it is given up that they close. */
const ROUNDS = 64;

/**
 * A run to the component and round it for ever, fair to all, by concrete steps. Of several places to begin at the one
 * from which a round is shortest; best is one that can be repeated as it is until it closes.
 */
function lasso(
  walker: Walker,
  graph: StateGraph,
  component: readonly number[],
  fair: readonly number[],
): { run: Step[]; loop: number } {
  const start = walker.state.slice();
  const inside = new Ways(graph, component);
  const stride = Math.max(1, Math.ceil(component.length / ENTRIES));
  let best: { run: Step[]; loop: number; round: number } | undefined;
  for (let i = 0; i < component.length; i += stride) {
    const entry = component[i]!;
    const round = inside.tour(entry, fair);
    const run = graph.runTo(entry);
    if (best !== undefined && best.round <= ROUNDS && best.run.length <= run.length) continue;
    const around =
      repeated(walker, graph, inside, fair, { start, run, round }) ??
      closed(walker, graph, { start, run, round });
    if (best === undefined || around.loop + around.round < best.loop + best.round) best = around;
  }
  return { run: best!.run, loop: best!.loop };
}

interface Around {
  readonly start: Int32Array;
  /** The run to the entry, and the way round. */
  readonly run: readonly Step[];
  readonly round: readonly Edge[];
}

function goTo(walker: Walker, { start, run }: Around): void {
  walker.state.set(start);
  walker.position.begin();
  for (const { agent, choice } of run) walker.step(agent, choice);
}

/** Goes round until a state comes back: with renamed frames the first round may end in a renamed one. */
function closed(
  walker: Walker,
  graph: StateGraph,
  around: Around,
): { run: Step[]; loop: number; round: number } {
  goTo(walker, around);
  const run = [...around.run];
  const met = new Map<string, number>();
  for (;;) {
    const here = walker.state.join();
    const loop = met.get(here);
    if (loop !== undefined) return { run, loop, round: run.length - loop };
    met.set(here, run.length);
    for (const edge of around.round) run.push(follow(walker, graph, edge));
  }
}

/**
 * The beginning of the way round after which all agents stand where they stood, if its steps can be made again and again
 * until the state comes back.
 */
function repeated(
  walker: Walker,
  graph: StateGraph,
  inside: Ways,
  fair: readonly number[],
  around: Around,
): { run: Step[]; loop: number; round: number } | undefined {
  goTo(walker, around);
  const agents = walker.system.agents.map((_, agent) => agent);
  const nodes = (): string => agents.map((agent) => walker.node(agent)).join();
  const first = nodes();
  const open = new Set(fair);
  const see = (): void => {
    for (const agent of open) if (!walker.enabled(agent)) open.delete(agent);
  };
  const steps: Step[] = [];
  see();
  for (const edge of around.round) {
    steps.push(follow(walker, graph, edge));
    open.delete(edge.agent);
    see();
    if (open.size === 0 && nodes() === first) break;
  }
  if (steps.length === around.round.length) return undefined;
  goTo(walker, around);
  const run = [...around.run];
  const met = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const here = walker.state.join();
    const loop = met.get(here);
    if (loop !== undefined) return { run, loop, round: steps.length };
    met.set(here, run.length);
    for (const { agent, choice } of steps) {
      if (!walker.enabled(agent) || choice >= walker.outcomes(agent)) return undefined;
      if (!walker.step(agent, choice) || walker.progressed) return undefined;
      walker.identify();
      if (!inside.has(graph.numberOf(walker.low, walker.high))) return undefined;
      run.push({ agent, choice });
    }
  }
  return undefined;
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

/** Finds ways inside a part of a graph. */
class Ways {
  private readonly inside: Uint8Array;
  /** By state: the edge by which it was reached in this search, and from where. */
  private readonly by: Int32Array;
  private readonly from: Int32Array;
  private readonly reached: Int32Array;
  private readonly queue: Int32Array;
  private searches = 0;

  constructor(
    private readonly graph: StateGraph,
    part: readonly number[],
  ) {
    this.inside = new Uint8Array(graph.size);
    for (const state of part) this.inside[state] = 1;
    this.by = new Int32Array(graph.size);
    this.from = new Int32Array(graph.size);
    this.reached = new Int32Array(graph.size);
    this.queue = new Int32Array(part.length + 1);
  }

  has(state: number): boolean {
    return this.inside[state] === 1;
  }

  /** A way from `entry` round to it on which each fair agent takes a step or can't run somewhere. */
  tour(entry: number, fair: readonly number[]): Edge[] {
    const { graph } = this;
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
    while (open.size > 0)
      go(
        this.shortest(at, (to, agent) => {
          if (open.has(agent)) return true;
          for (const other of open) if (!graph.enabled(to, other)) return true;
          return false;
        }),
      );
    if (at !== entry || way.length === 0) go(this.shortest(at, (to) => to === entry));
    return way;
  }

  /** The shortest way from a state whose last edge is `wanted`. */
  private shortest(start: number, wanted: (to: number, agent: number) => boolean): Edge[] {
    const { graph, inside, by, from, reached, queue } = this;
    const { firstEdge } = graph;
    const number = ++this.searches;
    let tail = 0;
    queue[tail++] = start;
    for (let head = 0; head < tail; head++) {
      const state = queue[head]!;
      for (let edge = firstEdge[state]!; edge < firstEdge[state + 1]!; edge++) {
        const to = graph.target(edge);
        if (to < 0 || inside[to] === 0) continue;
        if (wanted(to, graph.mover(edge))) {
          const way = [graph.edge(edge)];
          for (let at = state; at !== start; at = from[at]!) way.push(graph.edge(by[at]!));
          return way.reverse();
        }
        if (to === start || reached[to] === number) continue;
        reached[to] = number;
        by[to] = edge;
        from[to] = state;
        queue[tail++] = to;
      }
    }
    throw new Error('expected a way round the cycle');
  }
}
