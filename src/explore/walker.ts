// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import { semantics, type Semantics } from '../core/semantics.js';
import type { System } from '../core/system.js';
import type { Automaton } from './automaton.js';
import { INVARIANT_BITS, MONITOR_BITS, MONITORS } from './concerns.js';
import { Position } from './position.js';
import { FrameSymmetry } from './symmetry.js';

/**
 * A state that is moved step by step over the automata: the plain way, for what is not the hot loop of the search. What a
 * step breaks is not judged.
 */
export class Walker {
  readonly system: System;
  readonly position: Position;
  /** The fingerprint that `identify` computed. */
  low = 0;
  high = 0;
  /** Whether the last step declared progress. */
  progressed = false;
  private readonly cells: number;
  private readonly initial: Int32Array;
  private readonly semantics: Semantics;
  private readonly symmetry: FrameSymmetry | undefined;

  /** Takes the system over; it stands at its initial state. */
  constructor(
    readonly automaton: Automaton,
    symmetry: boolean,
  ) {
    const { system } = automaton;
    this.system = system;
    this.cells = system.cells.length;
    const count = system.agents.length;
    this.position = new Position(system);
    this.semantics = semantics(system);
    this.initial = this.state.slice(0, this.cells);
    this.restart();
    const renaming = symmetry ? new FrameSymmetry(system, automaton, count) : undefined;
    this.symmetry = renaming?.useful === true ? renaming : undefined;
  }

  /** Goes back to the initial state. */
  restart(): void {
    const { automaton, position, system } = this;
    position.own();
    position.state.set(this.initial);
    for (const monitor of system.monitors) monitor.update(-1);
    for (let agent = 0; agent < system.agents.length; agent++)
      position.state[this.cells + agent] = automaton.start(agent);
    position.begin();
  }

  /** Cells, then the agents' nodes. */
  get state(): Int32Array {
    return this.position.state;
  }

  node(agent: number): number {
    return this.position.state[this.cells + agent]!;
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

  /** Takes an enabled step. Returns whether it breaks nothing by itself. */
  step(agent: number, choice: number): boolean {
    const { automaton, system, position } = this;
    const { monitors } = system;
    const { op, a, b, c } = automaton;
    const node = this.node(agent);
    position.dirty = 0;
    const value = this.semantics.execute(agent, op[node]!, a[node]!, b[node]!, c[node]!, choice);
    const child = automaton.child(node, value);
    position.move(this.cells + agent, child);
    if ((position.dirty & MONITORS) !== 0)
      for (let i = 0; i < monitors.length; i++)
        if ((position.dirty >> (INVARIANT_BITS + (i % MONITOR_BITS))) & 1) monitors[i]!.update(agent);
    this.progressed = automaton.progress(node, value) !== undefined;
    const sound = system.fault === undefined && automaton.op[child] !== Op.FAIL;
    system.fault = undefined;
    return sound;
  }

  /** Puts the fingerprint of the state, or of its representative, in `low` and `high`. */
  identify(): void {
    const { low, high, state } = this.position;
    this.low = low;
    this.high = high;
    if (this.symmetry === undefined) return;
    this.symmetry.canonical(state, low, high);
    this.low = this.symmetry.low;
    this.high = this.symmetry.high;
  }
}
