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
import { Fusion, mayBlock, NotFusable } from './fusion.js';
import { dataRace } from './races.js';
import type { Finding, SearchOptions, SearchResult, Step } from './result.js';
import { FrameSymmetry } from './symmetry.js';
import { ExactSet, FingerprintSet, type Visited } from './visited.js';

export type { Finding, SearchOptions, SearchResult, Step };

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
    if (undone === undoCell.length) {
      undoCell = grown(undoCell, new Int32Array(undone * 2));
      undoValue = grown(undoValue, new Int32Array(undone * 2));
    }
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
  let plainOf = automaton.plain;

  const visited: Visited = options.exact === true ? new ExactSet(width) : new FingerprintSet();
  const symmetry = options.symmetry === true ? new FrameSymmetry(system, automaton, count) : undefined;
  const renaming = symmetry !== undefined && symmetry.useful;
  if (renaming && options.exact === true) throw new Error('expected exact or symmetry, not both');

  let transitions = 0;
  let terminals = 0;
  let depth = 0;
  let bound: string | undefined;
  automaton.events.witness = (name) => findings.add('witness', name, '', true);
  automaton.events.report = (name, detail) => findings.add('report', name, detail, true);

  // Of the nodes: those that were looked at, and whether one of them makes a plain access.
  let known = 1;
  let plainThere = false;
  /** The automata have grown. */
  function learnt(): void {
    if (opOf.length !== automaton.op.length) {
      opOf = automaton.op;
      aOf = automaton.a;
      bOf = automaton.b;
      cOf = automaton.c;
      nextOf = automaton.next;
      plainOf = automaton.plain;
    }
    for (; known < automaton.size; known++) if (automaton.plain[known] === 1) plainThere = true;
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

  /** Takes the enabled step of an agent and moves it on; returns false if the run ends here. */
  function step(agent: number, choice: number): boolean {
    const node = state[cells + agent]!;
    dirty = 0;
    findings.taken++;
    const value = execute(agent, opOf[node]!, aOf[node]!, bOf[node]!, cOf[node]!, choice);
    const child = childOf(node, value);
    if (undone === undoCell.length) {
      undoCell = grown(undoCell, new Int32Array(undone * 2));
      undoValue = grown(undoValue, new Int32Array(undone * 2));
    }
    undoCell[undone] = cells + agent;
    undoValue[undone++] = node;
    state[cells + agent] = child;
    low ^= mixLow(cells + agent, node) ^ mixLow(cells + agent, child);
    high ^= mixHigh(cells + agent, node) ^ mixHigh(cells + agent, child);
    transitions++;
    if (system.fault !== undefined) return broken();
    if (opOf[child] === Op.FAIL) return failed(child);
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
            findings.add('violation', always[i]!.property, wrong, true);
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
    findings.add('violation', property, detail, true);
    return false;
  }
  function failed(node: number): boolean {
    findings.add('violation', system.strings[aOf[node]!]!, system.strings[bOf[node]!]!, true);
    return false;
  }

  /** Goes on with an agent's movers: an acquisition, one other step, releases. Returns false if the run ends here. */
  function fuseOn({ lock, agent: own, releases }: Fusion, agent: number, first: number): boolean {
    if (own[agent] === 0) return true;
    let committed = !(opOf[first] === Op.LOCK && lock[aOf[first]!] === 1);
    for (let i = 0; i < BLOCK; i++) {
      const node = state[cells + agent]!;
      const op = opOf[node]!;
      if (plainOf[node] === 1) return true; // a data race must find both agents at their access
      const releasing = op === Op.UNLOCK && lock[aOf[node]!] === 1;
      if (committed && !(releasing && releases)) return true;
      // A release after which the path fails, or that fails itself, ends the run: others may go before it.
      if (releasing && (state[aOf[node]!] !== agent + 1 || failsAfter(node))) return true;
      // A step that others can block is one at which the agent may stand in a deadlock.
      if (!committed && mayBlock(system, op)) return true;
      if (!enabled(agent, op, aOf[node]!, bOf[node]!, cOf[node]!)) return true;
      if (op >= FIRST_OWN_OP || op === Op.CHOOSE)
        if (choices(agent, op, aOf[node]!, bOf[node]!, cOf[node]!) !== 1) return true;
      committed = true;
      if (anyPlain()) races();
      if (!step(agent, 0)) return false;
    }
    return true;
  }

  function failsAfter(release: number): boolean {
    findings.taken++; // a witness that is seen now is seen after the release
    const child = childOf(release, 0);
    findings.taken--;
    return opOf[child] === Op.FAIL;
  }

  const nodeOf = (agent: number): number => state[cells + agent]!;
  function anyPlain(): boolean {
    if (!plainThere) return false;
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
  if (begin()) {
    isNew();
    record();
  }
  let untilTick = 64; // once soon: see FIRST

  search: while (next.size > 0 && !findings.stopped) {
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
      findings.expanding = from.numbers[at]!;
      if (--untilTick === 0) {
        untilTick = 4096;
        options.onProgress?.(states, depth);
        if (now() > deadline) bound = 'time';
        if (bound !== undefined) break search;
      }
      findings.moving = -1;
      if (anyPlain()) races();
      let resting = true;
      for (let agent = 0; agent < count; agent++) {
        const node = state[cells + agent]!;
        const op = opOf[node]!;
        if (op === Op.DONE) continue;
        const a = aOf[node]!;
        const b = bOf[node]!;
        const c = cOf[node]!;
        if (!enabled(agent, op, a, b, c)) continue;
        if (agents[agent]!.fair) resting = false;
        const outcomes = op >= FIRST_OWN_OP || op === Op.CHOOSE ? choices(agent, op, a, b, c) : 1;
        for (let choice = 0; choice < outcomes; choice++) {
          undone = 0;
          findings.moving = agent;
          findings.choosing = choice;
          findings.taken = 0;
          if (step(agent, choice) && (fusion === undefined || fuseOn(fusion, agent, node)) && isNew())
            record();
          while (undone > 0) {
            undone--;
            state[undoCell[undone]!] = undoValue[undone]!;
          }
          low = low0;
          high = high0;
          if (findings.stopped) break search;
        }
      }
      if (states > maxStates) {
        bound = `${maxStates} states`;
        break search;
      }
      if (resting) {
        findings.moving = -1;
        if (judgeRest(system, (agent) => opOf[nodeOf(agent)] === Op.DONE, findings)) terminals++;
      }
      onState?.(state, resting);
      if (findings.stopped) break search;
    }
  }
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
