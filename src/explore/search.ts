// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import { PathError } from '../core/live.js';
import { semantics } from '../core/semantics.js';
import type { System } from '../core/system.js';
import { Automaton } from './automaton.js';
import { concernsOf, INVARIANT_BITS, INVARIANTS, MONITOR_BITS, MONITORS } from './concerns.js';
import { judgeRest } from './rest.js';
import { Findings, grown } from './findings.js';
import { lanes, mixHigh, mixLow, TABLED } from './fingerprint.js';
import { Frontier } from './frontier.js';
import { ACQUIRE, Fusion, NotFusable, OTHER, RELEASE } from './fusion.js';
import { dataRace } from './races.js';
import type { Finding, SearchOptions, SearchResult, Step } from './result.js';
import { CHILD, DIRTY, DISABLED, HIGH, LOW, NEVER, SOMETIMES, Steps, VALUE, VALUES } from './steps.js';
import { FrameSymmetry } from './symmetry.js';
import { lookedAt } from './scout.js';
import { ExactSet, FingerprintSet, type Visited } from './visited.js';

export type { Finding, SearchOptions, SearchResult, Step };

/** Visits every reachable state of `system` once. */
export function search(system: System, options: SearchOptions = {}): SearchResult {
  const initial = system.mem.slice(0, system.cells.length);
  const unfusable = options.fuse === true ? lookedAt(system, initial) : new Set<number>();
  for (;;) {
    system.mem.set(initial);
    try {
      return searchOnce(system, options, unfusable);
    } catch (error) {
      if (!(error instanceof NotFusable)) throw error;
      for (const cell of error.cells) unfusable.add(cell);
    } finally {
      system.mem.set(initial);
      system.fault = undefined;
    }
  }
}

/** Steps that are fused into one block at most. */
const BLOCK = 64;

function searchOnce(system: System, options: SearchOptions, unfusable: ReadonlySet<number>): SearchResult {
  const { agents, monitors } = system;
  const cells = system.cells.length;
  const count = agents.length;
  const width = cells + count;
  if (count > 255) throw new PathError(`the explorer takes at most 255 agents, this system has ${count}`);
  const now = options.now ?? Date.now;
  const { maxStates = Infinity, deadline = Infinity, fuse = false, onState } = options;
  const dfs = options.order === 'dfs';

  // The state that is being expanded: cells, then the agents' nodes. Operations see it as system.mem.
  const state = new Int32Array(width);
  state.set(system.mem.subarray(0, cells));
  system.mem = state;
  const automaton = new Automaton(system, options.monitor?.(), options.merge, options.nodeLimit);
  options.onAutomaton?.(automaton);
  const findings = new Findings(options.until);
  const fusion = fuse ? new Fusion(system, automaton, unfusable) : undefined;
  const { low: lowOf, high: highOf } = lanes(cells);
  let low = 0;
  let high = 0;

  // Undo log, and which invariants and monitors a step concerns.
  let undoCell = new Int32Array(4096);
  let undoValue = new Int32Array(4096);
  let undone = 0;
  let dirty = 0;
  const always = system.invariants.filter((invariant) => invariant.when === 'always');
  const concerns = concernsOf(system);

  system.set = (cell, value) => {
    const old = state[cell]!;
    if (old === value) return;
    log(cell, old);
    dirty |= concerns[cell]!;
    if (old >= 0 && old < TABLED) {
      low ^= lowOf[cell * TABLED + old]!;
      high ^= highOf[cell * TABLED + old]!;
    } else {
      low ^= mixLow(cell, old);
      high ^= mixHigh(cell, old);
    }
    if (value >= 0 && value < TABLED) {
      low ^= lowOf[cell * TABLED + value]!;
      high ^= highOf[cell * TABLED + value]!;
    } else {
      low ^= mixLow(cell, value);
      high ^= mixHigh(cell, value);
    }
    state[cell] = value;
  };
  const { enabled, choices, execute } = semantics(system);
  let opOf = automaton.op;
  let aOf = automaton.a;
  let bOf = automaton.b;
  let cOf = automaton.c;
  let nextOf = automaton.next;
  let plainOf = automaton.plain;

  const visited: Visited = options.exact === true ? new ExactSet(width) : new FingerprintSet();
  const symmetry = options.symmetry === true ? new FrameSymmetry(system, automaton, count) : undefined;
  const renaming = symmetry !== undefined && symmetry.useful;
  if (renaming && options.exact === true) throw new Error('expected exact or symmetry, not both');

  /** Set where the fingerprint alone says whether a state is known. */
  const fingerprints = visited instanceof FingerprintSet && !renaming ? visited : undefined;

  let transitions = 0;
  let terminals = 0;
  let depth = 0;
  let bound: string | undefined;
  automaton.events.witness = (name) => findings.add('witness', name, '', true);
  automaton.events.report = (name, detail) => findings.add('report', name, detail, true);

  const steps = new Steps(system, automaton);
  let { cell: cellOf, guard: guardOf, alive: aliveOf, outcome: outcomeOf, fields } = steps;
  let { low: nodeLow, high: nodeHigh, ready: readyOf } = steps;
  const fair = Uint8Array.from(agents, (agent) => (agent.fair ? 1 : 0));

  /** The automata have grown. */
  function learnt(): void {
    steps.examine();
    if (opOf.length !== automaton.op.length) {
      opOf = automaton.op;
      aOf = automaton.a;
      bOf = automaton.b;
      cOf = automaton.c;
      nextOf = automaton.next;
      plainOf = automaton.plain;
    }
    if (nodeLow !== steps.low) {
      ({ cell: cellOf, guard: guardOf, alive: aliveOf, outcome: outcomeOf } = steps);
      ({ low: nodeLow, high: nodeHigh, ready: readyOf } = steps);
    }
    fusion?.examine();
  }
  function childOf(node: number, value: number): number {
    let child = value >= 0 && value < 8 ? nextOf[node * 8 + value]! : 0;
    if (child === 0) {
      child = automaton.child(node, value);
      learnt();
    }
    return child;
  }

  /** Where the step of `node` stands in `fields`; 0 if it has to be carried out, DISABLED if it can't be. */
  function outcomeNow(node: number): number {
    const cell = cellOf[node]!;
    if (cell < 0) return 0;
    const value = state[cell]!;
    if (value >>> 0 >= VALUES) return 0;
    const guard = guardOf[node]!;
    if (guard >= 0 && ((aliveOf[node]! >> state[guard]!) & 1) === 0) return 0;
    return outcomeOf[node * VALUES + value]!;
  }
  function log(cell: number, value: number): void {
    if (undone === undoCell.length) {
      undoCell = grown(undoCell, new Int32Array(undone * 2));
      undoValue = grown(undoValue, new Int32Array(undone * 2));
    }
    undoCell[undone] = cell;
    undoValue[undone++] = value;
  }
  /** Carries out the enabled step of an agent and moves it on; returns false if the run ends here. */
  function step(agent: number, choice: number): boolean {
    const node = state[cells + agent]!;
    const cell = cellOf[node]!;
    const found = cell < 0 ? 0 : state[cell]!;
    const low0 = low;
    const high0 = high;
    dirty = 0;
    findings.taken++;
    const value = execute(agent, opOf[node]!, aOf[node]!, bOf[node]!, cOf[node]!, choice);
    const child = childOf(node, value);
    log(cells + agent, node);
    state[cells + agent] = child;
    low ^= nodeLow[node]! ^ nodeLow[child]!;
    high ^= nodeHigh[node]! ^ nodeHigh[child]!;
    transitions++;
    if (system.fault !== undefined) return broken();
    if (opOf[child] === Op.FAIL) return failed(child);
    if (cell >= 0) {
      steps.remember(node, found, state[cell]!, child, low ^ low0, high ^ high0, dirty);
      fields = steps.fields;
    }
    return dirty === 0 || sound(agent);
  }
  /** The same for a step that is remembered. */
  function stepAgain(agent: number, node: number, outcome: number): boolean {
    const cell = cellOf[node]!;
    findings.taken++;
    log(cell, state[cell]!);
    log(cells + agent, node);
    state[cell] = fields[outcome + VALUE]!;
    state[cells + agent] = fields[outcome + CHILD]!;
    low ^= fields[outcome + LOW]!;
    high ^= fields[outcome + HIGH]!;
    transitions++;
    dirty = fields[outcome + DIRTY]!;
    return dirty === 0 || sound(agent);
  }
  /** Brings the monitors up to date and checks the invariants that the step concerns. */
  function sound(agent: number): boolean {
    if ((dirty & MONITORS) !== 0) {
      for (let i = 0; i < monitors.length; i++)
        if ((dirty >> (INVARIANT_BITS + (i % MONITOR_BITS))) & 1) monitors[i]!.update(agent);
      if (system.fault !== undefined) return broken();
    }
    if ((dirty & INVARIANTS) !== 0) {
      for (let i = 0; i < always.length; i++) {
        if (!((dirty >> (i % INVARIANT_BITS)) & 1)) continue;
        const wrong = always[i]!.check();
        if (wrong !== undefined) {
          findings.add('violation', always[i]!.property, wrong, true);
          return false;
        }
      }
    }
    return true;
  }
  function broken(): boolean {
    const { property, detail } = system.fault!;
    system.fault = undefined;
    findings.add('violation', property, detail, true);
    return false;
  }
  function failed(node: number): boolean {
    findings.add('violation', system.strings[aOf[node]!]!, system.strings[bOf[node]!]!, true);
    return false;
  }

  /** Goes on with an agent's movers: an acquisition, one other step, releases. Returns false if the run ends here. */
  function fuseOn({ mover, releases }: Fusion, agent: number, first: number): boolean {
    let committed = mover[first] !== ACQUIRE;
    for (let i = 0; i < BLOCK; i++) {
      const node = state[cells + agent]!;
      const kind = mover[node]!;
      if (kind === RELEASE ? committed && !releases : committed || kind !== OTHER) return true;
      const outcome = outcomeNow(node);
      if (outcome === DISABLED || (outcome === 0 && !mayFuse(agent, node, kind))) return true;
      committed = true;
      if (anyPlain()) races();
      if (!(outcome === 0 ? step(agent, 0) : stepAgain(agent, node, outcome))) return false;
    }
    return true;
  }
  function mayFuse(agent: number, node: number, kind: number): boolean {
    const op = opOf[node]!;
    const a = aOf[node]!;
    // A release after which the path fails, or that fails itself, ends the run: others may go before it.
    if (kind === RELEASE && (state[a] !== agent + 1 || failsAfter(node))) return false;
    if (!enabled(agent, op, a, bOf[node]!, cOf[node]!)) return false;
    return outcomes(agent, node, op) === 1;
  }
  function failsAfter(release: number): boolean {
    findings.taken++; // a witness that is seen now is seen after the release
    const child = childOf(release, 0);
    findings.taken--;
    return opOf[child] === Op.FAIL;
  }
  function outcomes(agent: number, node: number, op: number): number {
    if (op < FIRST_OWN_OP && op !== Op.CHOOSE) return 1;
    return choices(agent, op, aOf[node]!, bOf[node]!, cOf[node]!);
  }

  const nodeOf = (agent: number): number => state[cells + agent]!;
  function anyPlain(): boolean {
    if (!steps.plain) return false;
    for (let agent = 0; agent < count; agent++) if (plainOf[state[cells + agent]!] === 1) return true;
    return false;
  }
  function races(): void {
    if (findings.has('report', 'DATA-RACE')) return;
    const race = dataRace(count, (agent) => automaton.access(nodeOf(agent)));
    if (race === undefined) return;
    const { cell, x, y } = race;
    const detail = `${system.cells[cell]!.name}: ${agents[x]!.name} and ${agents[y]!.name}`;
    findings.add('report', 'DATA-RACE', detail, true);
  }

  let current = new Frontier(width);
  let next = new Frontier(width);
  let states = 0;
  function record(): void {
    findings.arrive(states);
    next.push(state, low, high, states);
    states++;
  }
  function isNew(): boolean {
    if (!renaming) return visited.add(low, high, state);
    findings.muted = true; // what a renamed path sees, the path that it is renamed from has seen already
    symmetry.canonical(state);
    findings.muted = false;
    learnt();
    return visited.add(symmetry.low, symmetry.high, state);
  }

  /** Puts the initial state together; returns false if the run ends here. */
  function begin(): boolean {
    for (const monitor of monitors) monitor.update(-1);
    undone = 0;
    for (let agent = 0; agent < count; agent++) state[cells + agent] = automaton.start(agent);
    learnt();
    low = high = 0;
    for (let at = 0; at < width; at++) {
      low ^= mixLow(at, state[at]!);
      high ^= mixHigh(at, state[at]!);
    }
    if (system.fault !== undefined) return broken();
    for (let agent = 0; agent < count; agent++)
      if (opOf[nodeOf(agent)] === Op.FAIL) return failed(nodeOf(agent));
    for (const invariant of always) {
      const wrong = invariant.check();
      if (wrong === undefined) continue;
      findings.add('violation', invariant.property, wrong, false);
      return false;
    }
    return true;
  }
  /** Whether the state after a remembered step is fully known: no monitor looks on, and no step is fused with it. */
  function alone(node: number, outcome: number): boolean {
    if ((fields[outcome + DIRTY]! & MONITORS) !== 0) return false;
    return fusion === undefined || fusion.ends(node, fields[outcome + CHILD]!);
  }
  /** Takes each step that `state` allows; returns whether nothing has to happen there. */
  function expand(): boolean {
    const low0 = low;
    const high0 = high;
    let resting = true;
    for (let agent = 0; agent < count && !findings.stopped; agent++) {
      const node = state[cells + agent]!;
      if (readyOf[node] === NEVER) continue;
      const outcome = outcomeNow(node);
      if (outcome === DISABLED) continue;
      if (outcome === 0) {
        if (carryOut(agent, node, low0, high0) && fair[agent] === 1) resting = false;
        continue;
      }
      if (fair[agent] === 1) resting = false;
      findings.moving = agent;
      findings.choosing = 0;
      findings.taken = 0;
      if (fingerprints !== undefined && alone(node, outcome)) {
        // Most steps lead to a state that is known: then they need not be taken.
        if (fingerprints.add(low0 ^ fields[outcome + LOW]!, high0 ^ fields[outcome + HIGH]!)) {
          if (stepAgain(agent, node, outcome)) record();
          back();
          low = low0;
          high = high0;
        } else transitions++;
        continue;
      }
      arrive(stepAgain(agent, node, outcome), agent, node);
      low = low0;
      high = high0;
    }
    return resting;
  }
  /** Takes the steps of one agent that are not remembered; returns whether there are any. */
  function carryOut(agent: number, node: number, low0: number, high0: number): boolean {
    const op = opOf[node]!;
    if (readyOf[node] === SOMETIMES && !enabled(agent, op, aOf[node]!, bOf[node]!, cOf[node]!)) {
      if (cellOf[node]! >= 0) steps.disable(node, state[cellOf[node]!]!);
      return false;
    }
    const all = outcomes(agent, node, op);
    for (let choice = 0; choice < all && !findings.stopped; choice++) {
      findings.moving = agent;
      findings.choosing = choice;
      findings.taken = 0;
      arrive(step(agent, choice), agent, node);
      low = low0;
      high = high0;
    }
    return true;
  }
  /** The step of `node` was taken: goes on with it, notes where it leads (unless the run ends there) and goes back. */
  function arrive(on: boolean, agent: number, node: number): void {
    if (on && (fusion === undefined || fuseOn(fusion, agent, node)) && isNew()) record();
    back();
  }
  function back(): void {
    while (undone > 0) {
      undone--;
      state[undoCell[undone]!] = undoValue[undone]!;
    }
  }
  let untilTick = 64; // once soon: see FIRST
  /** A bound is hit, from time to time. */
  function tick(): void {
    untilTick = 4096;
    options.onProgress?.(states, depth);
    if (now() > deadline) bound = 'time';
  }
  /** Called whether or not there is anything to judge, so that the caller has seen it run: see FIRST. */
  function judge(resting: boolean): void {
    if (!resting) return;
    findings.moving = -1;
    if (judgeRest(system, (agent) => opOf[nodeOf(agent)] === Op.DONE, findings)) terminals++;
  }
  /** Takes a state of the frontier up again and expands it; returns false if the search ends here. */
  function visit(from: Frontier, at: number): boolean {
    const { packed } = from;
    const base = at * width;
    for (let j = 0; j < width; j++) state[j] = packed[base + j]!;
    low = from.lows[at]!;
    high = from.highs[at]!;
    findings.expanding = from.numbers[at]!;
    findings.moving = -1;
    if (--untilTick === 0) tick();
    if (bound !== undefined) return false;
    if (anyPlain()) races();
    const resting = expand();
    if (findings.stopped) return false;
    if (states > maxStates) {
      bound = `${maxStates} states`;
      return false;
    }
    judge(resting);
    onState?.(state, resting);
    return !findings.stopped;
  }
  function level(from: Frontier): boolean {
    for (let at = 0; at < from.size; at++) if (!visit(from, at)) return false;
    return true;
  }
  // A function of its own, so that nothing in searchOnce is ever worth compiling: all of it would be compiled.
  function explore(): void {
    if (dfs) {
      while (next.size > 0 && !findings.stopped) if (!visit(next, --next.size)) return;
      return;
    }
    while (next.size > 0 && !findings.stopped) {
      const kept = current;
      current = next;
      next = kept;
      next.size = 0;
      depth++;
      if (!level(current)) return;
    }
  }
  if (begin()) {
    isNew();
    record();
  }
  explore();
  options.onProgress?.(states, depth);
  automaton.settle();
  return {
    states,
    transitions,
    depth: Math.max(0, depth - 1),
    complete: bound === undefined && !findings.stopped,
    ...(bound === undefined ? {} : { bound }),
    findings: findings.list,
    terminals,
    automatonNodes: automaton.size - 1,
    bytes: visited.bytes + findings.bytes + current.bytes + next.bytes,
    cyclic: automaton.cyclic(),
  };
}
