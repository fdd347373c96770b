// SPDX-License-Identifier: MIT
import { Op } from '../core/ops.js';
import { mayBlock, namesCell } from '../core/semantics.js';
import type { System } from '../core/system.js';
import type { Automaton } from './automaton.js';
import { grown } from './findings.js';
import { mixHigh, mixLow } from './fingerprint.js';

/** Values of a cell that are remembered: those below. */
const VALUES = 16;
/** Fields of a remembered step: new value of the cell, next node, change of the fingerprint, what it concerns. */
export const VALUE = 0;
export const CHILD = 1;
export const LOW = 2;
export const HIGH = 3;
export const DIRTY = 4;
const FIELDS = 8;
/** In `outcome`: the step can't be taken. */
export const DISABLED = -1;
/** In `ready`: the request is never enabled, always, or it depends on the state. */
export const NEVER = 0;
export const ALWAYS = 1;
export const SOMETIMES = 2;

/**
 * What steps did. An operation on one cell does the same each time it finds the same value there; so the semantics are
 * asked once for each (node, value), and the search looks the rest up. Steps that depend on more than their cell are not
 * remembered: own operations, store buffers, gates. A guarded cell is looked up only while its guard says that it lives.
 */
export class Steps {
  /** By node: the cell whose value decides, -1 if the steps are not remembered. */
  cell = new Int32Array(0);
  /** By node: the cell that guards that cell (-1: none), and the values with which it lives, one bit each. */
  guard = new Int32Array(0);
  alive = new Int32Array(0);
  /** [node * VALUES + value]: where the step stands in `fields`, DISABLED, or 0 if it was not taken yet. */
  outcome = new Int32Array(0);
  fields = new Int32Array(FIELDS * 64);
  /** By node: its share of the fingerprint. */
  low = new Int32Array(0);
  high = new Int32Array(0);
  /** By node: NEVER, ALWAYS or SOMETIMES. */
  ready = new Uint8Array(0);
  /** Some node makes a plain access. */
  plain = false;
  private size = 1;
  private known = 1;

  constructor(
    private readonly system: System,
    private readonly automaton: Automaton,
  ) {}

  /** Looks at the nodes that were learnt since. */
  examine(): void {
    const { automaton } = this;
    const capacity = automaton.op.length;
    if (this.cell.length !== capacity) {
      this.cell = grown(this.cell, new Int32Array(capacity));
      this.guard = grown(this.guard, new Int32Array(capacity));
      this.alive = grown(this.alive, new Int32Array(capacity));
      this.outcome = grown(this.outcome, new Int32Array(capacity * VALUES));
      this.low = grown(this.low, new Int32Array(capacity));
      this.high = grown(this.high, new Int32Array(capacity));
      this.ready = grown(this.ready, new Uint8Array(capacity));
    }
    for (; this.known < automaton.size; this.known++) this.see(this.known);
  }

  private see(node: number): void {
    const { system, automaton } = this;
    const op = automaton.op[node]!;
    const agent = automaton.agent[node]!;
    const own = system.memory === 'sc' && (system.gates[agent] ?? -1) < 0;
    this.low[node] = mixLow(system.cells.length + agent, node);
    this.high[node] = mixHigh(system.cells.length + agent, node);
    if (op === Op.DONE || op === Op.FAIL) this.ready[node] = NEVER;
    else this.ready[node] = own && !mayBlock(system, op) ? ALWAYS : SOMETIMES;
    if (automaton.plain[node] === 1) this.plain = true;
    this.cell[node] = this.guard[node] = -1;
    if (!own || !namesCell(op)) return;
    const cell = automaton.a[node]!;
    this.cell[node] = cell;
    const guard = system.guards[cell];
    if (guard === undefined) return;
    this.guard[node] = guard.cell.at;
    this.alive[node] = guard.alive;
  }

  /** Where the step of `node` in `state` stands in `fields`; 0 if it has to be carried out, DISABLED if it can't be. */
  outcomeIn(state: Int32Array, node: number): number {
    const cell = this.cell[node]!;
    if (cell < 0) return 0;
    const value = state[cell]!;
    if (value >>> 0 >= VALUES) return 0;
    const guard = this.guard[node]!;
    if (guard >= 0 && ((this.alive[node]! >> state[guard]!) & 1) === 0) return 0;
    return this.outcome[node * VALUES + value]!;
  }

  /** `node` found `value` in its cell and can't go on. */
  disable(node: number, value: number): void {
    if (value >= 0 && value < VALUES) this.outcome[node * VALUES + value] = DISABLED;
  }

  /** `node` found `value` in its cell, left `after` there and went on to `child`. The step broke nothing. */
  remember(
    node: number,
    value: number,
    after: number,
    child: number,
    low: number,
    high: number,
    dirty: number,
  ): void {
    if (value < 0 || value >= VALUES) return;
    const at = this.size++ * FIELDS;
    if (at === this.fields.length) this.fields = grown(this.fields, new Int32Array(at * 2));
    this.fields[at + VALUE] = after;
    this.fields[at + CHILD] = child;
    this.fields[at + LOW] = low;
    this.fields[at + HIGH] = high;
    this.fields[at + DIRTY] = dirty;
    this.outcome[node * VALUES + value] = at;
  }
}
