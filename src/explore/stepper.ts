// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import { semantics, type Semantics } from '../core/semantics.js';
import type { Invariant, System } from '../core/system.js';
import type { Automaton } from './automaton.js';
import { INVARIANT_BITS, INVARIANTS, MONITOR_BITS, MONITORS } from './concerns.js';
import type { Findings } from './findings.js';
import type { Fusion } from './fusion.js';
import type { Position } from './position.js';
import { dataRace } from './races.js';
import { CHILD, DIRTY, HIGH, LOW, Steps, VALUE } from './steps.js';

/**
 * Takes steps: carries them out or, where one is remembered, looks its outcome up; then brings the monitors up to date
 * and checks the invariants that it concerns.
 */
export class Stepper {
  readonly steps: Steps;
  transitions = 0;
  private readonly cells: number;
  private readonly agents: number;
  private readonly always: readonly Invariant[];
  private readonly semantics: Semantics;

  constructor(
    private readonly system: System,
    private readonly automaton: Automaton,
    private readonly position: Position,
    private readonly findings: Findings,
    /** Is told of each request that may be made, and of what steps write. */
    private readonly fusion: Fusion | undefined,
  ) {
    this.steps = new Steps(system, automaton);
    this.cells = system.cells.length;
    this.agents = system.agents.length;
    this.always = system.invariants.filter(({ when }) => when === 'always');
    this.semantics = semantics(system);
  }

  /** Puts the initial state together. Returns false if the run ends there. */
  begin(): boolean {
    const { system, automaton, position, findings, cells, agents } = this;
    for (const monitor of system.monitors) monitor.update(-1);
    for (let agent = 0; agent < agents; agent++) position.state[cells + agent] = automaton.start(agent);
    this.learnt();
    position.begin();
    if (system.fault !== undefined) return this.broken();
    for (let agent = 0; agent < agents; agent++)
      if (automaton.op[this.node(agent)] === Op.FAIL) return this.failed(this.node(agent));
    for (const invariant of this.always) {
      const wrong = invariant.check();
      if (wrong === undefined) continue;
      findings.add('violation', invariant.property, wrong, false);
      return false;
    }
    return true;
  }

  node(agent: number): number {
    return this.position.state[this.cells + agent]!;
  }

  returned(agent: number): boolean {
    return this.automaton.op[this.node(agent)] === Op.DONE;
  }

  /** Call it when the automata may have grown. */
  learnt(): void {
    this.steps.examine();
    this.fusion?.examine();
  }

  enabled(agent: number, node: number): boolean {
    const { op, a, b, c } = this.automaton;
    return this.semantics.enabled(agent, op[node]!, a[node]!, b[node]!, c[node]!);
  }

  outcomes(agent: number, node: number): number {
    const { op, a, b, c } = this.automaton;
    const operation = op[node]!;
    if (operation < FIRST_OWN_OP && operation !== Op.CHOOSE) return 1;
    return this.semantics.choices(agent, operation, a[node]!, b[node]!, c[node]!);
  }

  /** Carries out the enabled step of an agent and moves it on; returns false if the run ends here. */
  take(agent: number, choice: number): boolean {
    const { system, automaton, position, steps } = this;
    const { state } = position;
    const at = this.cells + agent;
    const node = state[at]!;
    const cell = steps.cell[node]!;
    const found = cell < 0 ? 0 : state[cell]!;
    const low0 = position.low;
    const high0 = position.high;
    const before = position.changes;
    position.dirty = 0;
    this.findings.taken++;
    const { op, a, b, c } = automaton;
    const value = this.semantics.execute(agent, op[node]!, a[node]!, b[node]!, c[node]!, choice);
    if (op[node]! >= FIRST_OWN_OP) this.tell(agent, before);
    const child = this.childOf(node, value);
    position.log(at, node);
    state[at] = child;
    position.low ^= steps.low[node]! ^ steps.low[child]!;
    position.high ^= steps.high[node]! ^ steps.high[child]!;
    this.transitions++;
    if (system.fault !== undefined) return this.broken();
    if (automaton.op[child] === Op.FAIL) return this.failed(child);
    const { dirty } = position;
    if (cell >= 0)
      steps.remember(node, found, state[cell]!, child, position.low ^ low0, position.high ^ high0, dirty);
    return dirty === 0 || this.sound(agent, dirty);
  }

  /** The same for a step that is remembered. */
  takeAgain(agent: number, node: number, outcome: number): boolean {
    const { position, steps } = this;
    const { state } = position;
    const { fields } = steps;
    const cell = steps.cell[node]!;
    const at = this.cells + agent;
    this.findings.taken++;
    position.log(cell, state[cell]!);
    position.log(at, node);
    state[cell] = fields[outcome + VALUE]!;
    state[at] = fields[outcome + CHILD]!;
    position.low ^= fields[outcome + LOW]!;
    position.high ^= fields[outcome + HIGH]!;
    this.transitions++;
    const dirty = fields[outcome + DIRTY]!;
    return dirty === 0 || this.sound(agent, dirty);
  }

  /** Takes the last step back: there were so many changes before it, and this was the fingerprint. */
  untake(changes: number, low: number, high: number): void {
    this.position.back(changes);
    this.position.low = low;
    this.position.high = high;
    this.findings.taken--;
    this.transitions--;
  }

  /** Some agent is about to make a plain access. */
  anyPlain(): boolean {
    if (!this.steps.plain) return false;
    const { plain } = this.automaton;
    for (let agent = 0; agent < this.agents; agent++) if (plain[this.node(agent)] === 1) return true;
    return false;
  }

  /** Reports two accesses that race in this state. */
  races(): void {
    const { system, automaton, findings } = this;
    if (findings.has('report', 'DATA-RACE')) return;
    const race = dataRace(this.agents, (agent) => automaton.access(this.node(agent)));
    if (race === undefined) return;
    const { cell, x, y } = race;
    const detail = `${system.cells[cell]!.name}: ${system.agents[x]!.name} and ${system.agents[y]!.name}`;
    findings.add('report', 'DATA-RACE', detail, true);
  }

  /** Says what was written since there were so many changes. */
  private tell(agent: number, before: number): void {
    const { fusion, position } = this;
    if (fusion === undefined) return;
    for (let i = before; i < position.changes; i++) {
      const cell = position.changed(i);
      if (cell < this.cells) fusion.wrote(agent, cell);
    }
  }

  private childOf(node: number, value: number): number {
    let child = value >= 0 && value < 8 ? this.automaton.next[node * 8 + value]! : 0;
    if (child === 0) {
      child = this.automaton.child(node, value);
      this.learnt();
    }
    return child;
  }

  /** Brings the monitors up to date and checks the invariants that the changes concern. */
  private sound(agent: number, changed: number): boolean {
    const { system, position, always } = this;
    const { monitors } = system;
    let dirty = changed;
    if ((dirty & MONITORS) !== 0) {
      const before = position.changes;
      position.dirty = dirty;
      for (let i = 0; i < monitors.length; i++)
        if ((position.dirty >> (INVARIANT_BITS + (i % MONITOR_BITS))) & 1) monitors[i]!.update(agent);
      if (system.fault !== undefined) return this.broken();
      dirty = position.dirty; // monitors write, too
      this.tell(agent, before);
    }
    if ((dirty & INVARIANTS) !== 0) {
      for (let i = 0; i < always.length; i++) {
        if (!((dirty >> (i % INVARIANT_BITS)) & 1)) continue;
        const wrong = always[i]!.check();
        if (wrong !== undefined) {
          this.fusion?.excuse(always[i]!);
          this.findings.add('violation', always[i]!.property, wrong, true);
          return false;
        }
      }
    }
    return true;
  }

  private broken(): boolean {
    const { property, detail } = this.system.fault!;
    this.system.fault = undefined;
    this.findings.add('violation', property, detail, true);
    return false;
  }

  private failed(node: number): boolean {
    const { a, b } = this.automaton;
    const { strings } = this.system;
    this.findings.add('violation', strings[a[node]!]!, strings[b[node]!]!, true);
    return false;
  }
}
