// SPDX-License-Identifier: MIT
import type { System } from '../core/system.js';
import { concernsOf } from './concerns.js';
import { grown } from './findings.js';
import { lanes, mixHigh, mixLow, TABLED } from './fingerprint.js';

/** The state that is being expanded, its fingerprint, and what it takes to go back from where steps have led. */
export class Position {
  /** Cells, then the agents' nodes. Operations see it as system.mem. */
  readonly state: Int32Array;
  low = 0;
  high = 0;
  /** Which invariants and monitors the changes concern since this was last cleared. */
  dirty = 0;
  private undoCell = new Int32Array(4096);
  private undoValue = new Int32Array(4096);
  /** How many changes there are to take back. */
  changes = 0;

  /** Takes `mem` and `set` of the system over. Again, if somebody else took them meanwhile. */
  readonly own: () => void;

  constructor(system: System) {
    const cells = system.cells.length;
    const state = (this.state = new Int32Array(cells + system.agents.length));
    state.set(system.mem.subarray(0, cells));
    const concerns = concernsOf(system);
    const { low: lowOf, high: highOf } = lanes(cells);
    const set = (cell: number, value: number): void => {
      const old = state[cell]!;
      if (old === value) return;
      this.log(cell, old);
      this.dirty |= concerns[cell]!;
      if (old >= 0 && old < TABLED) {
        this.low ^= lowOf[cell * TABLED + old]!;
        this.high ^= highOf[cell * TABLED + old]!;
      } else {
        this.low ^= mixLow(cell, old);
        this.high ^= mixHigh(cell, old);
      }
      if (value >= 0 && value < TABLED) {
        this.low ^= lowOf[cell * TABLED + value]!;
        this.high ^= highOf[cell * TABLED + value]!;
      } else {
        this.low ^= mixLow(cell, value);
        this.high ^= mixHigh(cell, value);
      }
      state[cell] = value;
    };
    this.own = () => {
      system.mem = state;
      system.set = set;
    };
    this.own();
  }

  /** The state was put together by hand: nothing to go back to, and the fingerprint is that of the whole. */
  begin(): void {
    this.changes = 0;
    this.low = this.high = 0;
    for (let at = 0; at < this.state.length; at++) {
      this.low ^= mixLow(at, this.state[at]!);
      this.high ^= mixHigh(at, this.state[at]!);
    }
  }

  /** `at` is about to change, from `value`. */
  log(at: number, value: number): void {
    if (this.changes === this.undoCell.length) {
      this.undoCell = grown(this.undoCell, new Int32Array(this.changes * 2));
      this.undoValue = grown(this.undoValue, new Int32Array(this.changes * 2));
    }
    this.undoCell[this.changes] = at;
    this.undoValue[this.changes++] = value;
  }

  /** Moves an agent, whose node stands at `at`, to another node. */
  move(at: number, node: number): void {
    const old = this.state[at]!;
    this.log(at, old);
    this.low ^= mixLow(at, old) ^ mixLow(at, node);
    this.high ^= mixHigh(at, old) ^ mixHigh(at, node);
    this.state[at] = node;
  }

  /** Where the change with this number was made. */
  changed(number: number): number {
    return this.undoCell[number]!;
  }

  /** There is no way back behind this point. */
  keep(): void {
    this.changes = 0;
  }

  /** Takes changes back, all but the first so many. The caller knows the fingerprint. */
  back(changes = 0): void {
    const { state, undoCell, undoValue } = this;
    while (this.changes > changes) {
      const last = --this.changes;
      state[undoCell[last]!] = undoValue[last]!;
    }
  }
}
