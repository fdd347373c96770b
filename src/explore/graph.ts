// SPDX-License-Identifier: MIT
import { grown } from './findings.js';
import type { Step } from './result.js';
import { FingerprintMap } from './visited.js';
import type { Walker } from './walker.js';

/** One edge of a state graph: a step of an agent. */
export interface Edge {
  readonly to: number;
  readonly agent: number;
  readonly choice: number;
}

/**
 * All reachable states with the steps between them. States are numbered breadth first; of each is kept which agents can
 * run there, and of each step whether it declared progress.
 */
export class StateGraph {
  /** Number of states. */
  size = 0;
  /** What ended the construction before all states were there. */
  bound: string | undefined;
  /** By state: its first edge; edges of a state follow each other. */
  readonly firstEdge: number[] = [];
  private readonly numbers = new FingerprintMap();
  private edges = 0;
  private targets = new Int32Array(1 << 12);
  private movers = new Uint8Array(1 << 12);
  private choices = new Uint16Array(1 << 12);
  private marks = new Uint8Array(1 << 12);
  private readonly enabledThere: Uint8Array[] = [];
  private readonly queuedThere: Uint8Array[] = [];
  /** By state: an agent that is no daemon has not returned. */
  readonly waiting: boolean[] = [];
  /** By state: end invariants that fail there, by number; only where nobody waits. */
  readonly unbalanced: (readonly number[] | undefined)[] = [];
  private readonly parents: { state: number; step: Step }[] = [];

  constructor(walker: Walker, maxStates: number, outOfTime: () => boolean) {
    const { system, state } = walker;
    const agents = system.agents.map((_, agent) => agent);
    const atEnd = system.invariants.filter(({ when }) => when === 'end');
    const { numbers } = this;
    let queue: Int32Array[] = [];
    const arrive = (from: number, step: Step): number => {
      walker.identify();
      const number = numbers.numberOf(walker.low, walker.high);
      if (number === this.size) {
        this.size++;
        this.parents.push({ state: from, step });
        queue.push(state.slice());
      }
      return number;
    };
    arrive(-1, { agent: -1, choice: 0 });
    for (let at = 0; at < this.size;) {
      const level = queue;
      queue = [];
      for (const packed of level) {
        state.set(packed);
        const able = Uint8Array.from(agents, (agent) => (walker.enabled(agent) ? 1 : 0));
        this.enabledThere.push(able);
        this.queuedThere.push(Uint8Array.from(agents, (agent) => (walker.queued(agent) ? 1 : 0)));
        const waits = agents.some((agent) => !system.agents[agent]!.daemon && !walker.returned(agent));
        this.waiting.push(waits);
        this.unbalanced.push(
          waits ? undefined : atEnd.flatMap((invariant, i) => (invariant.check() === undefined ? [] : [i])),
        );
        this.firstEdge.push(this.edges);
        for (const agent of agents) {
          if (able[agent] === 0) continue;
          state.set(packed); // another agent's step is still in it
          const outcomes = walker.outcomes(agent);
          for (let choice = 0; choice < outcomes; choice++) {
            state.set(packed);
            const { sound, progress } = walker.step(agent, choice);
            if (sound) this.addEdge(arrive(at, { agent, choice }), agent, choice, progress);
          }
        }
        at++;
        if (this.size > maxStates) this.bound = `${maxStates} states`;
        else if ((at & 1023) === 0 && outOfTime()) this.bound = 'time';
        if (this.bound !== undefined) return;
      }
    }
    this.firstEdge.push(this.edges);
  }

  enabled(state: number, agent: number): boolean {
    return this.enabledThere[state]![agent] === 1;
  }

  /** The agent stands in a queue there, or may enter: it waits for a lock. */
  queued(state: number, agent: number): boolean {
    return this.queuedThere[state]![agent] === 1;
  }

  /** The steps from a state that declared no progress. */
  *quietEdges(state: number): Iterable<Edge> {
    for (let edge = this.firstEdge[state]!; edge < this.firstEdge[state + 1]!; edge++) {
      if (this.marks[edge] === 0)
        yield { to: this.targets[edge]!, agent: this.movers[edge]!, choice: this.choices[edge]! };
    }
  }

  /** The state with that fingerprint. */
  numberOf(low: number, high: number): number {
    return this.numbers.numberOf(low, high);
  }

  /** The target of one edge, -1 if the step declared progress. */
  quietTarget(edge: number): number {
    return this.marks[edge] === 1 ? -1 : this.targets[edge]!;
  }

  /** A shortest run to a state. */
  runTo(state: number): Step[] {
    const run: Step[] = [];
    for (let at = state; at > 0; at = this.parents[at]!.state) run.push(this.parents[at]!.step);
    return run.reverse();
  }

  private addEdge(to: number, agent: number, choice: number, progress: boolean): void {
    if (this.edges === this.targets.length) {
      const capacity = this.edges * 2;
      this.targets = grown(this.targets, new Int32Array(capacity));
      this.movers = grown(this.movers, new Uint8Array(capacity));
      this.choices = grown(this.choices, new Uint16Array(capacity));
      this.marks = grown(this.marks, new Uint8Array(capacity));
    }
    this.targets[this.edges] = to;
    this.movers[this.edges] = agent;
    this.choices[this.edges] = choice;
    this.marks[this.edges++] = progress ? 1 : 0;
  }
}

/** The strongly connected components of the quiet edges `within` some states that have an edge in them, as lists of states. */
export function cycles(graph: StateGraph, within?: readonly number[]): number[][] {
  const { size, firstEdge } = graph;
  const index = new Int32Array(size).fill(within === undefined ? 0 : -1); // 0: not visited
  for (const state of within ?? []) index[state] = 0;
  const low = new Int32Array(size);
  const onStack = new Uint8Array(size);
  const cursor = Int32Array.from(firstEdge.slice(0, size));
  const stack: number[] = [];
  const found: number[][] = [];
  let next = 1;
  for (let root = 0; root < size; root++) {
    if (index[root] !== 0) continue;
    const way = [root];
    while (way.length > 0) {
      const at = way[way.length - 1]!;
      if (index[at] === 0) {
        index[at] = low[at] = next++;
        stack.push(at);
        onStack[at] = 1;
      }
      if (cursor[at]! < firstEdge[at + 1]!) {
        const to = graph.quietTarget(cursor[at]!++);
        if (to < 0 || index[to] === -1) continue;
        if (index[to] === 0) way.push(to);
        else if (onStack[to] === 1) low[at] = Math.min(low[at]!, index[to]!);
        continue;
      }
      way.pop();
      const above = way.at(-1);
      if (above !== undefined) low[above] = Math.min(low[above]!, low[at]!);
      if (low[at] !== index[at]) continue;
      const component: number[] = [];
      for (;;) {
        const member = stack.pop()!;
        onStack[member] = 0;
        component.push(member);
        if (member === at) break;
      }
      component.sort((x, y) => x - y);
      if (component.length > 1 || [...graph.quietEdges(at)].some(({ to }) => to === at))
        found.push(component);
    }
  }
  return found;
}
