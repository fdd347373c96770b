// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import { semantics } from '../core/semantics.js';
import type { System } from '../core/system.js';
import type { NodeMonitor } from '../core/scenario.js';
import { Automaton } from './automaton.js';
import { lanes, mixHigh, mixLow, TABLED } from './fingerprint.js';
import { FrameSymmetry } from './symmetry.js';
import { ExactSet, FingerprintSet, type Visited } from './visited.js';

/** How to search. */
export interface SearchOptions {
  /** bfs finds shortest runs; dfs (last in, first out) needs less memory. */
  readonly order?: 'bfs' | 'dfs';
  /** Fuse lock acquisitions and releases with the step they surround. Counts blocks, not steps. */
  readonly fuse?: boolean;
  /** Identify states that differ in the names of frames. */
  readonly symmetry?: boolean;
  /** Keep whole states, not 64-bit fingerprints. */
  readonly exact?: boolean;
  readonly maxStates?: number;
  /** Clock value (ms) after which the search gives up. */
  readonly deadline?: number;
  /** Stop when all of these were found ("violation" stands for the first violation, deadlock or leak). */
  readonly until?: ReadonlySet<string>;
  readonly now?: () => number;
  readonly onProgress?: (states: number, depth: number) => void;
  /** Called with each state (cells, then nodes), for tests. */
  readonly onState?: (state: Int32Array, terminal: boolean) => void;
  readonly monitor?: () => NodeMonitor;
  /** Merge nodes of the automata by live locals. Off only in tests. */
  readonly merge?: boolean;
}

/** One step of a schedule: the agent, and which outcome where a step has several. */
export interface Step {
  readonly agent: number;
  readonly choice: number;
}

/** Something that was found, with a run that shows it. */
export interface Finding {
  /** violation, deadlock, leak, report, witness. */
  readonly kind: 'violation' | 'deadlock' | 'leak' | 'report' | 'witness';
  /** Property, report or witness name. */
  readonly name: string;
  readonly detail: string;
  /** In a fused search a run of blocks: the first step of each. Else the exact run. */
  readonly run: readonly Step[];
}

/** What a search found out. */
export interface SearchResult {
  readonly states: number;
  readonly transitions: number;
  /** Longest distance from the start, in steps (blocks where steps are fused). */
  readonly depth: number;
  /** False: a bound was hit. */
  readonly complete: boolean;
  readonly bound?: string;
  /** First of each kind and name, in the order of discovery. */
  readonly findings: readonly Finding[];
  readonly terminals: number;
  readonly automatonNodes: number;
  readonly bytes: number;
  /** A path came back to a point where it was before: fair cycles must be looked for. */
  readonly cyclic: boolean;
}

/** A lock was fused that somebody tries or looks at: start again without fusing it. */
class NotFusable extends Error {
  constructor(readonly cell: number) {
    super('not fusable');
  }
}

/** Visits every reachable state of `system` once. */
export function search(system: System, options: SearchOptions = {}): SearchResult {
  const initial = system.mem.slice(0, system.cells.length);
  const unfusable = new Set<number>();
  for (;;) {
    system.mem.set(initial);
    try {
      return searchOnce(system, options, unfusable);
    } catch (error) {
      if (!(error instanceof NotFusable)) throw error;
      unfusable.add(error.cell);
    } finally {
      system.mem.set(initial);
      system.fault = undefined;
    }
  }
}

function searchOnce(system: System, options: SearchOptions, unfusable: ReadonlySet<number>): SearchResult {
  const { agents, monitors } = system;
  const cells = system.cells.length;
  const width = cells + agents.length;
  const count = agents.length;
  const now = options.now ?? Date.now;
  const { maxStates = Infinity, deadline = Infinity, until, fuse = false, onState } = options;
  const dfs = options.order === 'dfs';

  // The state that is being expanded: cells, then the agents' nodes. Operations see it as system.mem.
  const state = new Int32Array(width);
  state.set(system.mem.subarray(0, cells));
  system.mem = state;
  const automaton = new Automaton(system, options.monitor?.(), options.merge);
  const { low: lowOf, high: highOf } = lanes(cells);
  let low = 0;
  let high = 0;

  // Undo log, and which invariants and monitors a step concerns.
  const undoCell = new Int32Array(4096);
  const undoValue = new Int32Array(4096);
  let undone = 0;
  let dirty = 0;
  const always = system.invariants.filter((invariant) => invariant.when === 'always');
  const atEnd = system.invariants.filter((invariant) => invariant.when === 'end');
  const INVARIANT_BITS = 20;
  const MONITOR_BITS = 10;
  const concerns = new Int32Array(cells);
  always.forEach((invariant, i) =>
    invariant.cells.forEach((cell) => (concerns[cell.at]! |= 1 << (i % INVARIANT_BITS))),
  );
  monitors.forEach((monitor, i) =>
    monitor.cells.forEach((cell) => (concerns[cell.at]! |= 1 << (INVARIANT_BITS + (i % MONITOR_BITS)))),
  );
  const MONITORS = ((1 << MONITOR_BITS) - 1) << INVARIANT_BITS;
  const INVARIANTS = (1 << INVARIANT_BITS) - 1;

  system.set = (cell, value) => {
    const old = state[cell]!;
    if (old === value) return;
    undoCell[undone] = cell;
    undoValue[undone++] = old;
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
  let known = 0;

  // Where each state came from.
  let parents = new Int32Array(1 << 12);
  let movers = new Uint8Array(1 << 12);
  let chosen = new Uint8Array(1 << 12);
  const visited: Visited = options.exact === true ? new ExactSet(width) : new FingerprintSet();
  const symmetry = options.symmetry === true ? new FrameSymmetry(system, automaton, count) : undefined;
  const renaming = symmetry !== undefined && symmetry.useful;
  if (renaming && options.exact === true) throw new Error('expected exact or symmetry, not both');

  let transitions = 0;
  let terminals = 0;
  let depth = 0;
  let cyclic = false;
  let bound: string | undefined;
  let stopped = false;
  let muted = false;
  const findings: Finding[] = [];
  const foundNames = new Set<string>();

  // The state whose step is being taken, for the run of a finding.
  let expanding = -1;
  let moving = -1;
  let choosing = 0;
  const runTo = (number: number): Step[] => {
    const run: Step[] = [];
    for (let at = number; parents[at]! >= 0; at = parents[at]!)
      run.push({ agent: movers[at]!, choice: chosen[at]! });
    return run.reverse();
  };
  function found(kind: Finding['kind'], name: string, detail: string, inStep: boolean): void {
    if (muted) return;
    const key = `${kind} ${name}`;
    if (foundNames.has(key)) return;
    foundNames.add(key);
    const run = expanding < 0 ? [] : runTo(expanding);
    if (inStep && moving >= 0) run.push({ agent: moving, choice: choosing });
    findings.push({ kind, name, detail, run });
    if (kind === 'violation' || kind === 'deadlock' || kind === 'leak') foundNames.add('violation');
    if (until !== undefined && [...until].every((wanted) => foundNames.has(wanted))) stopped = true;
  }
  automaton.events.witness = (name) => found('witness', name, '', true);
  automaton.events.report = (name, detail) => found('report', name, detail, true);

  function learnt(): void {
    if (opOf.length !== automaton.op.length) {
      opOf = automaton.op;
      aOf = automaton.a;
      bOf = automaton.b;
      cOf = automaton.c;
      nextOf = automaton.next;
    }
    for (; known < automaton.size; known++) {
      if (!fuse || known === 0) continue;
      const op = opOf[known]!;
      if (op === Op.LOCK || op === Op.UNLOCK || op === Op.DONE || op === Op.FAIL) continue;
      const { reads, writes } = automaton.access(known);
      for (const cell of [...reads, ...writes]) if (fusable[cell] === 1) throw new NotFusable(cell);
    }
  }
  const fusable = new Uint8Array(cells);
  if (fuse)
    system.lockClasses.forEach(
      (lockClass, cell) => (fusable[cell] = lockClass !== undefined && !unfusable.has(cell) ? 1 : 0),
    );

  /** Takes the enabled step of an agent and moves it on; returns false if the run ends here. */
  function step(agent: number, choice: number): boolean {
    const node = state[cells + agent]!;
    dirty = 0;
    const value = execute(agent, opOf[node]!, aOf[node]!, bOf[node]!, cOf[node]!, choice);
    let child = value >= 0 && value < 8 ? nextOf[node * 8 + value]! : 0;
    if (child === 0) {
      child = automaton.child(node, value);
      learnt();
      if (child <= node) cyclic = true;
    }
    undoCell[undone] = cells + agent;
    undoValue[undone++] = node;
    state[cells + agent] = child;
    low ^= mixLow(cells + agent, node) ^ mixLow(cells + agent, child);
    high ^= mixHigh(cells + agent, node) ^ mixHigh(cells + agent, child);
    transitions++;
    if (system.fault !== undefined) return broken();
    if (opOf[child] === Op.FAIL) {
      found('violation', system.strings[aOf[child]!]!, system.strings[bOf[child]!]!, true);
      return false;
    }
    if (dirty !== 0) {
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
            found('violation', always[i]!.property, wrong, true);
            return false;
          }
        }
      }
    }
    return true;
  }
  function broken(): boolean {
    const { property, detail } = system.fault!;
    system.fault = undefined;
    found('violation', property, detail, true);
    return false;
  }

  /** Goes on with an agent's movers: acquisitions, one other step, releases. Returns false if the run ends here. */
  function fuseOn(agent: number, first: number): boolean {
    let committed = !(opOf[first] === Op.LOCK && fusable[aOf[first]!] === 1);
    for (let i = 0; i < 64; i++) {
      const node = state[cells + agent]!;
      const op = opOf[node]!;
      if (op === Op.LOAD || op === Op.STORE) return true; // a data race must find both agents at their access
      const released = op === Op.UNLOCK && fusable[aOf[node]!] === 1;
      const acquired = op === Op.LOCK && fusable[aOf[node]!] === 1;
      if (!released && committed) return true;
      if (!enabled(agent, op, aOf[node]!, bOf[node]!, cOf[node]!)) return true;
      if (op >= FIRST_OWN_OP || op === Op.CHOOSE)
        if (choices(agent, op, aOf[node]!, bOf[node]!, cOf[node]!) !== 1) return true;
      if (!acquired) committed = true;
      if (!step(agent, 0)) return false;
      if (anyPlain()) races();
    }
    return true;
  }

  const isPlain = (node: number): boolean => opOf[node] === Op.LOAD || opOf[node] === Op.STORE;
  function anyPlain(): boolean {
    for (let agent = 0; agent < count; agent++) if (isPlain(state[cells + agent]!)) return true;
    return false;
  }
  /** KCSAN: two pending accesses to one cell, one a write, one plain. */
  function races(): void {
    for (let x = 0; x < count; x++) {
      const node = state[cells + x]!;
      if (!isPlain(node)) continue;
      const cell = aOf[node]!;
      for (let y = 0; y < count; y++) {
        const other = state[cells + y]!;
        if (x === y || opOf[other] === Op.DONE || opOf[other] === Op.FAIL) continue;
        if (isPlain(other) && y < x) continue;
        const { reads, writes } = automaton.access(other);
        if (writes.includes(cell) || (opOf[node] === Op.STORE && reads.includes(cell))) {
          if (!foundNames.has('report DATA-RACE'))
            found(
              'report',
              'DATA-RACE',
              `${system.cells[cell]!.name}: ${agents[x]!.name} and ${agents[y]!.name}`,
              true,
            );
        }
      }
    }
  }

  // Frontier of packed states with their fingerprints and numbers.
  let current = new Frontier(width);
  let next = new Frontier(width);
  let states = 0;
  function record(): void {
    if (states === parents.length) {
      parents = grown(parents, new Int32Array(states * 2));
      movers = grown(movers, new Uint8Array(states * 2));
      chosen = grown(chosen, new Uint8Array(states * 2));
    }
    parents[states] = expanding;
    movers[states] = moving;
    chosen[states] = choosing;
    next.push(state, low, high, states);
    states++;
  }
  function isNew(): boolean {
    if (!renaming) return visited.add(low, high, state);
    muted = true; // what a renamed path sees, the path that it is renamed from has seen already
    symmetry.canonical(state);
    muted = false;
    learnt();
    return visited.add(symmetry.low, symmetry.high, state);
  }

  for (const monitor of monitors) monitor.update(-1);
  undone = 0;
  for (let agent = 0; agent < count; agent++) state[cells + agent] = automaton.start(agent);
  learnt();
  low = high = 0;
  for (let at = 0; at < width; at++) {
    low ^= mixLow(at, state[at]!);
    high ^= mixHigh(at, state[at]!);
  }
  for (const invariant of always) {
    const wrong = invariant.check();
    if (wrong !== undefined)
      throw new Error(`expected the initial state to be sound, but ${invariant.property}: ${wrong}`);
  }
  isNew();
  record();
  let ticks = 0;

  search: while (next.size > 0 && !stopped) {
    if (!dfs) {
      const kept = current;
      current = next;
      next = kept;
      next.size = 0;
      depth++;
    }
    const level = dfs ? 1 : current.size;
    for (let i = 0; i < level; i++) {
      const from = dfs ? next : current;
      const at = dfs ? --next.size : i;
      const base = at * width;
      for (let j = 0; j < width; j++) state[j] = from.packed[base + j]!;
      const low0 = (low = from.lows[at]!);
      const high0 = (high = from.highs[at]!);
      expanding = from.numbers[at]!;
      if ((++ticks & 4095) === 0) {
        options.onProgress?.(states, depth);
        if (now() > deadline) bound = 'time';
        if (bound !== undefined) break search;
      }
      moving = -1;
      if (anyPlain()) races();
      let ran = false;
      let waiting = false;
      for (let agent = 0; agent < count; agent++) {
        const node = state[cells + agent]!;
        const op = opOf[node]!;
        if (op === Op.DONE) continue;
        const a = aOf[node]!;
        const b = bOf[node]!;
        const c = cOf[node]!;
        if (!agents[agent]!.daemon) waiting = true;
        if (!enabled(agent, op, a, b, c)) continue;
        ran = true;
        const outcomes = op >= FIRST_OWN_OP || op === Op.CHOOSE ? choices(agent, op, a, b, c) : 1;
        for (let choice = 0; choice < outcomes; choice++) {
          undone = 0;
          moving = agent;
          choosing = choice;
          if (step(agent, choice) && (!fuse || fuseOn(agent, node)) && isNew()) record();
          while (undone > 0) {
            undone--;
            state[undoCell[undone]!] = undoValue[undone]!;
          }
          low = low0;
          high = high0;
          if (stopped) break search;
        }
      }
      if (states > maxStates) {
        bound = `${maxStates} states`;
        break search;
      }
      if (!ran) {
        moving = -1;
        if (waiting) {
          const stuck = agents
            .filter((agent, t) => !agent.daemon && opOf[state[cells + t]!] !== Op.DONE)
            .map((agent) => agent.name);
          found('deadlock', 'DEADLOCK', `${stuck.join(', ')} can't go on`, false);
        } else {
          terminals++;
          for (const invariant of atEnd) {
            const wrong = invariant.check();
            if (wrong !== undefined) found(invariant.kind ?? 'violation', invariant.property, wrong, false);
          }
        }
        if (stopped) break search;
      }
      onState?.(state, !ran);
    }
  }
  options.onProgress?.(states, depth);
  automaton.settle();
  const bytes =
    visited.bytes + parents.byteLength + movers.byteLength + chosen.byteLength + current.bytes + next.bytes;
  return {
    states,
    transitions,
    depth: Math.max(0, depth - 1),
    complete: bound === undefined && !stopped,
    ...(bound === undefined ? {} : { bound }),
    findings,
    terminals,
    automatonNodes: automaton.size - 1,
    bytes,
    cyclic,
  };
}

class Frontier {
  size = 0;
  packed: Int32Array;
  lows = new Int32Array(1024);
  highs = new Int32Array(1024);
  numbers = new Int32Array(1024);

  constructor(private readonly width: number) {
    this.packed = new Int32Array(1024 * width);
  }

  get bytes(): number {
    return this.packed.byteLength + 3 * this.lows.byteLength;
  }

  push(state: Int32Array, low: number, high: number, number: number): void {
    if (this.size === this.lows.length) {
      this.packed = grown(this.packed, new Int32Array(this.packed.length * 2));
      this.lows = grown(this.lows, new Int32Array(this.size * 2));
      this.highs = grown(this.highs, new Int32Array(this.size * 2));
      this.numbers = grown(this.numbers, new Int32Array(this.size * 2));
    }
    const base = this.size * this.width;
    for (let i = 0; i < this.width; i++) this.packed[base + i] = state[i]!;
    this.lows[this.size] = low;
    this.highs[this.size] = high;
    this.numbers[this.size++] = number;
  }
}

function grown<T extends Int32Array | Uint8Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
