// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import { semantics, type Semantics } from '../core/semantics.js';
import type { System } from '../core/system.js';
import type { Automaton } from './automaton.js';
import { mixHigh, mixLow } from './fingerprint.js';
import { FrameSymmetry } from './symmetry.js';

/**
 * A state that is moved step by step over the automata: the plain way, for what is not the hot loop of the search. The
 * system must have been searched and found sound: what a step breaks is not looked at.
 */
export class Walker {
  /** Cells, then the agents' nodes. */
  readonly state: Int32Array;
  /** The fingerprint that `identify` computed. */
  low = 0;
  high = 0;
  private readonly cells: number;
  private readonly semantics: Semantics;
  private readonly symmetry: FrameSymmetry | undefined;
  /** The cells that the last step wrote to. */
  readonly changed = new Set<number>();

  constructor(
    readonly system: System,
    readonly automaton: Automaton,
    symmetry: boolean,
  ) {
    this.cells = system.cells.length;
    const count = system.agents.length;
    const state = (this.state = new Int32Array(this.cells + count));
    state.set(system.mem.subarray(0, this.cells));
    system.mem = state;
    system.set = (cell, value) => {
      if (state[cell] === value) return;
      this.changed.add(cell);
      state[cell] = value;
    };
    this.semantics = semantics(system);
    for (const monitor of system.monitors) monitor.update(-1);
    for (let agent = 0; agent < count; agent++) state[this.cells + agent] = automaton.start(agent);
    const renaming = symmetry ? new FrameSymmetry(system, automaton, count) : undefined;
    this.symmetry = renaming?.useful === true ? renaming : undefined;
  }

  node(agent: number): number {
    return this.state[this.cells + agent]!;
  }

  returned(agent: number): boolean {
    return this.automaton.op[this.node(agent)] === Op.DONE;
  }

  enabled(agent: number): boolean {
    const { op, a, b, c } = this.automaton;
    const node = this.node(agent);
    return this.semantics.enabled(agent, op[node]!, a[node]!, b[node]!, c[node]!);
  }

  /** Whether the agent's next step is to take a lock whose waiters queue. */
  queued(agent: number): boolean {
    const op = this.automaton.op[this.node(agent)]!;
    return op === Op.LOCK || (op >= FIRST_OWN_OP && this.system.ops[op - FIRST_OWN_OP]!.queued === true);
  }

  outcomes(agent: number): number {
    const { op, a, b, c } = this.automaton;
    const node = this.node(agent);
    return this.semantics.choices(agent, op[node]!, a[node]!, b[node]!, c[node]!);
  }

  /** Takes an enabled step. Returns whether it goes on in order, and whether it declared progress. */
  step(agent: number, choice: number): { sound: boolean; progress: boolean } {
    const { automaton, system, changed } = this;
    const { op, a, b, c } = automaton;
    const node = this.node(agent);
    changed.clear();
    const value = this.semantics.execute(agent, op[node]!, a[node]!, b[node]!, c[node]!, choice);
    const child = automaton.child(node, value);
    this.state[this.cells + agent] = child;
    for (const monitor of system.monitors)
      if (monitor.cells.some((cell) => changed.has(cell.at))) monitor.update(agent);
    const sound = system.fault === undefined && automaton.op[child] !== Op.FAIL;
    system.fault = undefined;
    return { sound, progress: automaton.progress(node, value) !== undefined };
  }

  /** Puts the fingerprint of the state, or of its representative, in `low` and `high`. */
  identify(): void {
    if (this.symmetry !== undefined) {
      this.symmetry.canonical(this.state);
      this.low = this.symmetry.low;
      this.high = this.symmetry.high;
      return;
    }
    this.low = this.high = 0;
    for (let at = 0; at < this.state.length; at++) {
      this.low ^= mixLow(at, this.state[at]!);
      this.high ^= mixHigh(at, this.state[at]!);
    }
  }
}
