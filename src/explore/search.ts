// SPDX-License-Identifier: MIT
import { PathError } from '../core/live.js';
import type { System } from '../core/system.js';
import { Automaton } from './automaton.js';
import { Blocks } from './blocks.js';
import { MONITORS } from './concerns.js';
import { Findings } from './findings.js';
import { Frontier } from './frontier.js';
import { Fusion, type Known, NotFusable } from './fusion.js';
import { Loops } from './loops.js';
import { Position } from './position.js';
import { judgeRest } from './rest.js';
import type { Finding, SearchOptions, SearchResult, Step } from './result.js';
import { scout } from './scout.js';
import { Stepper } from './stepper.js';
import { ALWAYS, CHILD, DIRTY, DISABLED, HIGH, LOW, NEVER, SOMETIMES } from './steps.js';
import { FrameSymmetry } from './symmetry.js';
import { ExactSet, FingerprintSet, RecentFingerprints, type Visited } from './visited.js';

export type { Finding, SearchOptions, SearchResult, Step };

/** Visits every reachable state of `system` once. */
export function search(system: System, options: SearchOptions = {}): SearchResult {
  const initial = system.mem.slice(0, system.cells.length);
  const automaton =
    options.automaton ?? new Automaton(system, options.monitor?.(), options.merge, options.nodeLimit);
  options.onAutomaton?.(automaton);
  const known = (options.fuse ?? false) === false ? undefined : knownOf(automaton);
  const movers = options.fuse === 'but-movers' ? new Set(system.cells.keys()) : known?.movers;
  for (;;) {
    system.mem.set(initial);
    try {
      return new Search(automaton, options, known && { ...known, movers: movers! }).run();
    } catch (error) {
      if (!(error instanceof NotFusable)) throw error;
      for (const cell of error.locks) known!.locks.add(cell);
      for (const cell of error.movers) known!.movers.add(cell);
      for (const cell of error.excuses) known!.excuses.add(cell);
    } finally {
      system.mem.set(initial);
      system.fault = undefined;
    }
  }
}

const scouted = new WeakMap<Automaton, Known>();

/** What is known of who touches what: from runs by chance, the first time, and from all searches since. */
function knownOf(automaton: Automaton): Known {
  let known = scouted.get(automaton);
  if (known === undefined) scouted.set(automaton, (known = scout(automaton)));
  return known;
}

/** States between two looks at the clock. */
const TICK = 4096;

class Search {
  private readonly cells: number;
  private readonly agents: number;
  private readonly fair: Uint8Array;
  private readonly width: number;
  private readonly maxStates: number;
  private readonly deadline: number;
  private readonly now: () => number;
  private readonly position: Position;
  private readonly findings: Findings;
  private readonly stepper: Stepper;
  private readonly fusion: Fusion | undefined;
  private readonly blocks: Blocks | undefined;
  private readonly symmetry: FrameSymmetry | undefined;
  private readonly visited: Visited;
  /** States as they are, not renamed, that were looked up: most steps lead to one of them. */
  private readonly recent = new RecentFingerprints();
  /** Set where the fingerprint alone says whether a state is known. */
  private readonly fingerprints: FingerprintSet | undefined;
  private current: Frontier;
  private next: Frontier;
  private states = 0;
  private terminals = 0;
  private depth = 0;
  private bound: string | undefined;
  private untilTick = 64; // once soon: see FIRST

  private readonly system: System;

  constructor(
    private readonly automaton: Automaton,
    private readonly options: SearchOptions,
    known: Known | undefined,
  ) {
    const { system } = automaton;
    const { agents } = system;
    this.system = system;
    if (agents.length > 255)
      throw new PathError(`the explorer takes at most 255 agents, this system has ${agents.length}`);
    this.cells = system.cells.length;
    this.agents = agents.length;
    this.fair = Uint8Array.from(agents, (agent) => (agent.fair ? 1 : 0));
    this.width = this.cells + this.agents;
    this.maxStates = options.maxStates ?? Infinity;
    this.deadline = options.deadline ?? Infinity;
    this.now = options.now ?? Date.now;
    this.position = new Position(system);
    const findings = new Findings(options.until);
    this.findings = findings;
    automaton.rewind({
      witness: (name) => findings.add('witness', name, '', true),
      report: (name, detail) => findings.add('report', name, detail, true),
    });
    this.fusion = known && new Fusion(system, automaton, known);
    this.stepper = new Stepper(system, automaton, this.position, findings, this.fusion);
    this.blocks = this.fusion && new Blocks(system, this.position, this.stepper, this.fusion);
    const symmetry =
      options.symmetry === true ? new FrameSymmetry(system, automaton, this.agents) : undefined;
    this.symmetry = symmetry?.useful === true ? symmetry : undefined;
    if (this.symmetry !== undefined && options.exact === true)
      throw new Error('expected exact or symmetry, not both');
    this.visited = options.exact === true ? new ExactSet(this.width) : new FingerprintSet();
    this.fingerprints =
      this.visited instanceof FingerprintSet && this.symmetry === undefined ? this.visited : undefined;
    this.current = new Frontier(this.width);
    this.next = new Frontier(this.width);
  }

  run(): SearchResult {
    const { automaton, findings, options, stepper } = this;
    if (stepper.begin()) {
      this.isNew();
      this.record();
    }
    if (options.order === 'dfs') this.exploreDepthFirst();
    else this.exploreBreadthFirst();
    options.onProgress?.(this.states, this.depth);
    automaton.settle();
    return {
      states: this.states,
      transitions: stepper.transitions,
      depth: Math.max(0, this.depth - 1),
      complete: this.bound === undefined && !findings.stopped,
      ...(this.bound === undefined ? {} : { bound: this.bound }),
      findings: findings.list,
      terminals: this.terminals,
      automatonNodes: automaton.size - 1,
      bytes: this.visited.bytes + this.recent.bytes + findings.bytes + this.current.bytes + this.next.bytes,
      cyclic: new Loops(automaton).any,
    };
  }

  private exploreDepthFirst(): void {
    while (this.next.size > 0 && !this.findings.stopped) if (!this.visit(this.next, --this.next.size)) return;
  }

  private exploreBreadthFirst(): void {
    while (this.next.size > 0 && !this.findings.stopped) {
      const level = this.next;
      this.next = this.current;
      this.current = level;
      this.next.size = 0;
      this.depth++;
      if (!this.level(level)) return;
    }
  }

  private level(from: Frontier): boolean {
    for (let at = 0; at < from.size; at++) if (!this.visit(from, at)) return false;
    return true;
  }

  /** Takes a state of the frontier up again and expands it; returns false if the search ends here. */
  private visit(from: Frontier, at: number): boolean {
    const { position, findings, stepper, width } = this;
    const { state } = position;
    const { packed } = from;
    const base = at * width;
    for (let j = 0; j < width; j++) state[j] = packed[base + j]!;
    position.low = from.lows[at]!;
    position.high = from.highs[at]!;
    findings.expanding = from.numbers[at]!;
    findings.moving = -1;
    if (--this.untilTick === 0) this.tick();
    if (this.bound !== undefined) return false;
    if (stepper.anyPlain()) stepper.races();
    const resting = this.expand();
    if (findings.stopped) return false;
    if (this.states > this.maxStates) {
      this.bound = `${this.maxStates} states`;
      return false;
    }
    this.judge(resting);
    if (this.options.onState !== undefined) {
      this.options.onState(state, resting, findings.way());
      position.own();
    }
    return !findings.stopped;
  }

  /** Takes each step that the state allows; returns whether nothing has to happen there. */
  private expand(): boolean {
    const { position, findings, stepper, fingerprints, cells, agents, fair } = this;
    const { state, low, high } = position;
    const { steps } = stepper;
    let resting = true;
    /** Somebody can go on who never waits. */
    let free = false;
    for (let agent = 0; agent < agents && !findings.stopped; agent++) {
      const node = state[cells + agent]!;
      if (steps.ready[node] === NEVER) continue;
      const outcome = steps.outcomeIn(state, node);
      if (outcome === DISABLED) continue;
      if (steps.ready[node] === ALWAYS) free = true;
      if (outcome === 0) {
        if (this.carryOut(agent, node, low, high) && fair[agent] === 1) resting = false;
        continue;
      }
      if (fair[agent] === 1) resting = false;
      findings.moving = agent;
      findings.choosing = 0;
      findings.taken = 0;
      const { fields } = steps;
      if (fingerprints !== undefined && this.alone(node, outcome)) {
        // Most steps lead to a state that is known: then they need not be taken.
        if (fingerprints.add(low ^ fields[outcome + LOW]!, high ^ fields[outcome + HIGH]!)) {
          if (stepper.takeAgain(agent, node, outcome)) this.record();
          position.back();
          position.low = low;
          position.high = high;
        } else stepper.transitions++;
        continue;
      }
      this.arrive(stepper.takeAgain(agent, node, outcome), agent, node);
      position.low = low;
      position.high = high;
    }
    if (!free && this.fusion?.enters === true) this.lookForHiddenDeadlock(this.fusion);
    return resting;
  }

  /** Steps that were fused as if nobody came between may have hidden a deadlock: then without fusing them, again. */
  private lookForHiddenDeadlock(fusion: Fusion): void {
    const { stepper, position } = this;
    const movers = fusion.hidesDeadlock(
      position.state,
      (agent) => stepper.node(agent),
      (agent) => stepper.enabled(agent, stepper.node(agent)),
    );
    if (movers !== undefined) throw new NotFusable([], movers);
  }

  /** Takes the steps of one agent that are not remembered; returns whether there are any. */
  private carryOut(agent: number, node: number, low: number, high: number): boolean {
    const { position, findings, stepper } = this;
    const { steps } = stepper;
    if (steps.ready[node] === SOMETIMES && !stepper.enabled(agent, node)) {
      const cell = steps.cell[node]!;
      if (cell >= 0) steps.disable(node, position.state[cell]!);
      return false;
    }
    const all = stepper.outcomes(agent, node);
    for (let choice = 0; choice < all && !findings.stopped; choice++) {
      findings.moving = agent;
      findings.choosing = choice;
      findings.taken = 0;
      this.arrive(stepper.take(agent, choice), agent, node);
      position.low = low;
      position.high = high;
    }
    return true;
  }

  /** Whether the state after a remembered step is fully known: no monitor looks on, and no step is fused with it. */
  private alone(node: number, outcome: number): boolean {
    const { fields } = this.stepper.steps;
    if ((fields[outcome + DIRTY]! & MONITORS) !== 0) return false;
    return this.fusion === undefined || this.fusion.ends(node, fields[outcome + CHILD]!);
  }

  /** The step of `node` was taken: goes on with it, notes where it leads (unless the run ends there) and goes back. */
  private arrive(on: boolean, agent: number, node: number): void {
    if (on && (this.blocks === undefined || this.blocks.goOn(agent, node)) && this.isNew()) this.record();
    this.position.back();
  }

  private isNew(): boolean {
    const { position, symmetry, visited } = this;
    const { state } = position;
    if (symmetry === undefined) return visited.add(position.low, position.high, state);
    if (this.recent.has(position.low, position.high)) return false;
    symmetry.canonical(state, position.low, position.high);
    this.stepper.learnt();
    return visited.add(symmetry.low, symmetry.high, state);
  }

  private record(): void {
    const { position } = this;
    this.findings.arrive(this.states);
    this.next.push(position.state, position.low, position.high, this.states);
    this.states++;
  }

  /** Called whether or not there is anything to judge, so that the caller has seen it run: see FIRST. */
  private judge(resting: boolean): void {
    if (!resting) return;
    this.findings.moving = -1;
    if (judgeRest(this.system, (agent) => this.stepper.returned(agent), this.findings)) this.terminals++;
  }

  /** A bound is hit, from time to time. */
  private tick(): void {
    this.untilTick = TICK;
    this.options.onProgress?.(this.states, this.depth);
    if (this.now() > this.deadline) this.bound = 'time';
  }
}
