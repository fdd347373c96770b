// SPDX-License-Identifier: MIT
import type { Invariant } from '../core/system.js';
import type { Edges } from './components.js';
import { FIRST, grown } from './findings.js';
import { Frontier } from './frontier.js';
import type { Loops } from './loops.js';
import type { Step } from './result.js';
import { FingerprintMap } from './visited.js';
import type { Walker } from './walker.js';

/** One edge of a state graph: a step of an agent. */
export interface Edge {
  readonly to: number;
  readonly agent: number;
  readonly choice: number;
}

/** What an agent can do in a state: bits. */
const ENABLED = 1;
/** It waits for a lock, which has a queue, or may take it. */
const QUEUED = 2;
/** It waits for others to leave, and is only not kept waiting because their entering was put off. */
const DOUBTFUL = 4;

/**
 * States with the steps between them that agents take on the loops of their paths. States are numbered as they were
 * found; of each is kept what the agents can do there, and of each step whether it declared progress.
 */
export class StateGraph implements Edges {
  /** Number of states. */
  size = 0;
  /** What ended the construction before all states were there. */
  bound: string | undefined;
  /** By state: its first edge; edges of a state follow each other. */
  firstEdge = new Int32Array(FIRST);
  private readonly numbers = new FingerprintMap();
  private readonly agents: number;
  private edges = 0;
  private targets = new Int32Array(FIRST);
  private movers = new Uint8Array(FIRST);
  private choices = new Uint16Array(FIRST);
  private quiet = new Uint8Array(FIRST);
  private able = new Uint8Array(FIRST);
  /** By state: an agent that is no daemon has not returned. */
  private waits = new Uint8Array(FIRST);
  /** By state: end invariants that fail there, by number; only where nobody waits. */
  private readonly unbalancedIn = new Map<number, readonly number[]>();
  /** By state: the one that it was found from, -1 for a root, and the step. */
  private parents = new Int32Array(FIRST);
  private steps = new Int32Array(FIRST);
  private readonly rootRuns = new Map<number, () => readonly Step[]>();
  private frontier: Frontier;
  private next: Frontier;
  private sinceTime = 0;
  private readonly atEnd: readonly Invariant[];

  constructor(
    private readonly walker: Walker,
    private readonly loops: Loops,
    private readonly limits: { readonly maxStates: number; outOfTime(): boolean },
    /** Whether an agent that can run here would be kept waiting, had nobody put anything off. */
    private readonly doubtful: (agent: number, node: number, state: Int32Array) => boolean,
  ) {
    this.agents = walker.system.agents.length;
    this.atEnd = walker.system.invariants.filter(({ when }) => when === 'end');
    const width = walker.state.length;
    this.frontier = new Frontier(width);
    this.next = new Frontier(width);
  }

  /** Adds a state, which `run` leads to, and all that agents reach from it on their loops. */
  add(state: Int32Array, run: () => readonly Step[]): void {
    const { walker } = this;
    walker.position.own();
    walker.state.set(state);
    walker.position.begin();
    this.next.size = 0;
    const number = this.arrive(-1, 0, 0);
    if (this.next.size === 0) return;
    this.rootRuns.set(number, run);
    while (this.next.size > 0) {
      const kept = this.frontier;
      this.frontier = this.next;
      this.next = kept;
      this.next.size = 0;
      for (let at = 0; at < this.frontier.size; at++) {
        this.expand(at);
        if (this.size > this.limits.maxStates) this.bound = `${this.limits.maxStates} states`;
        else if ((++this.sinceTime & 1023) === 0 && this.limits.outOfTime()) this.bound = 'time';
        if (this.bound !== undefined) return;
      }
    }
  }

  /** To be called when all is added. */
  finish(): void {
    this.firstEdge = grown(this.firstEdge, new Int32Array(this.firstEdge.length + 1));
    this.firstEdge[this.size] = this.edges;
  }

  enabled(state: number, agent: number): boolean {
    return (this.able[state * this.agents + agent]! & ENABLED) !== 0;
  }

  /** The agent stands in a queue there, or may enter: it waits for a lock. */
  queued(state: number, agent: number): boolean {
    return (this.able[state * this.agents + agent]! & QUEUED) !== 0;
  }

  doubted(state: number, agent: number): boolean {
    return (this.able[state * this.agents + agent]! & DOUBTFUL) !== 0;
  }

  waiting(state: number): boolean {
    return this.waits[state] === 1;
  }

  unbalanced(state: number): readonly number[] {
    return this.unbalancedIn.get(state) ?? [];
  }

  /** Which agent's step an edge is. */
  mover(edge: number): number {
    return this.movers[edge]!;
  }

  edge(edge: number): Edge {
    return { to: this.targets[edge]!, agent: this.movers[edge]!, choice: this.choices[edge]! };
  }

  /** Whether the agent takes a step without progress from the state to one of those for which `inside` is 1. */
  moves(state: number, agent: number, inside: Uint8Array): boolean {
    for (let edge = this.firstEdge[state]!; edge < this.firstEdge[state + 1]!; edge++)
      if (this.quiet[edge] === 1 && this.movers[edge] === agent && inside[this.targets[edge]!] === 1)
        return true;
    return false;
  }

  /** The state with that fingerprint. */
  numberOf(low: number, high: number): number {
    return this.numbers.numberOf(low, high);
  }

  /** Where an edge leads, -1 if the step declared progress. */
  target(edge: number): number {
    return this.quiet[edge] === 1 ? this.targets[edge]! : -1;
  }

  /** A run to a state. */
  runTo(state: number): Step[] {
    const run: Step[] = [];
    let at = state;
    for (; this.parents[at]! >= 0; at = this.parents[at]!)
      run.push({ agent: this.steps[at]! >>> 16, choice: this.steps[at]! & 0xffff });
    return [...(this.rootRuns.get(at)?.() ?? []), ...run.reverse()];
  }

  /** The number of the state that the walker stands at. A new one waits to be expanded. */
  private arrive(from: number, agent: number, choice: number): number {
    const { walker } = this;
    walker.identify();
    const number = this.numbers.numberOf(walker.low, walker.high);
    if (number < this.size) return number;
    this.size++;
    if (number + 1 >= this.parents.length) {
      const capacity = this.parents.length * 2;
      this.parents = grown(this.parents, new Int32Array(capacity));
      this.steps = grown(this.steps, new Int32Array(capacity));
      this.firstEdge = grown(this.firstEdge, new Int32Array(capacity));
      this.waits = grown(this.waits, new Uint8Array(capacity));
    }
    this.parents[number] = from;
    this.steps[number] = (agent << 16) | choice;
    const { state, low, high } = walker.position;
    this.next.push(state, low, high, number);
    return number;
  }

  private expand(at: number): void {
    const { walker, frontier, agents, loops } = this;
    const { position } = walker;
    const { state } = position;
    const number = frontier.numbers[at]!;
    state.set(frontier.packed.subarray(at * state.length, (at + 1) * state.length));
    const low = (position.low = frontier.lows[at]!);
    const high = (position.high = frontier.highs[at]!);
    this.look(number);
    this.firstEdge[number] = this.edges;
    for (let agent = 0; agent < agents; agent++) {
      const node = walker.node(agent);
      if ((this.able[number * agents + agent]! & ENABLED) === 0 || !loops.has(node)) continue;
      const outcomes = walker.outcomes(agent);
      for (let choice = 0; choice < outcomes; choice++) {
        if (walker.step(agent, choice) && loops.has(walker.node(agent)))
          this.addEdge(this.arrive(number, agent, choice), agent, choice, walker.progressed);
        position.back();
        position.low = low;
        position.high = high;
      }
    }
  }

  /** Notes what there is to know of a state, at which the walker stands. */
  private look(number: number): void {
    const { walker, agents } = this;
    const { system, state } = walker;
    while ((number + 1) * agents > this.able.length)
      this.able = grown(this.able, new Uint8Array(this.able.length * 2));
    let waits = false;
    for (let agent = 0; agent < agents; agent++) {
      const enabled = walker.enabled(agent);
      this.able[number * agents + agent] =
        (enabled ? ENABLED : 0) |
        (walker.queued(agent) ? QUEUED : 0) |
        (enabled && this.doubtful(agent, walker.node(agent), state) ? DOUBTFUL : 0);
      if (!system.agents[agent]!.daemon && !walker.returned(agent)) waits = true;
    }
    if (waits) {
      this.waits[number] = 1;
      return;
    }
    const failing = this.atEnd.flatMap((invariant, i) => (invariant.check() === undefined ? [] : [i]));
    if (failing.length > 0) this.unbalancedIn.set(number, failing);
  }

  private addEdge(to: number, agent: number, choice: number, progress: boolean): void {
    if (this.edges === this.targets.length) {
      const capacity = this.edges * 2;
      this.targets = grown(this.targets, new Int32Array(capacity));
      this.movers = grown(this.movers, new Uint8Array(capacity));
      this.choices = grown(this.choices, new Uint16Array(capacity));
      this.quiet = grown(this.quiet, new Uint8Array(capacity));
    }
    this.targets[this.edges] = to;
    this.movers[this.edges] = agent;
    this.choices[this.edges] = choice;
    this.quiet[this.edges++] = progress ? 0 : 1;
  }
}
