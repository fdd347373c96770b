// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import { namesCell } from '../core/semantics.js';
import type { System, ValueType } from '../core/system.js';
import type { Automaton, Renamer } from './automaton.js';
import { mixHigh, mixLow } from './fingerprint.js';

/**
 * Frame symmetry: with an allocator that may hand out any free frame, states that differ only in which frame plays
 * which part have the same future. The fingerprint of a state is that of its representative: frames are sorted by a
 * signature that does not depend on their numbers, and among frames of equal signature every order is tried.
 * The automata need not be closed: the node of a renamed path is found by renaming what the path has observed.
 */
export class FrameSymmetry implements Renamer {
  /** The fingerprint that `canonical` computed. */
  low = 0;
  high = 0;
  private readonly free: number[];
  private readonly cellTypes: ValueType[];
  private readonly frameOfCell: Int32Array;
  private readonly slotOfCell: Int32Array;
  private readonly plain: number[] = [];
  private readonly owned: number[] = [];
  private readonly signature: Int32Array;
  private readonly order: number[];
  private readonly renamings = new Map<string, { to: number[]; cells: Int32Array }>();

  constructor(
    private readonly system: System,
    private readonly automaton: Automaton,
    private readonly agents: number,
  ) {
    const frames = system.frameCells.length;
    this.free = Array.from({ length: frames }, (_, f) => f).filter((f) => !system.fixedFrames.has(f));
    this.cellTypes = system.cells.map((cell) => cell.type);
    this.frameOfCell = new Int32Array(system.cells.length).fill(-1);
    this.slotOfCell = new Int32Array(system.cells.length).fill(-1);
    system.frameCells.forEach((cells, frame) =>
      cells.forEach((cell, slot) => {
        this.frameOfCell[cell] = frame;
        this.slotOfCell[cell] = slot;
      }),
    );
    for (let cell = 0; cell < system.cells.length; cell++) {
      (this.frameOfCell[cell]! >= 0 ? this.owned : this.plain).push(cell);
    }
    this.signature = new Int32Array(frames);
    this.order = Array.from({ length: frames }, (_, f) => f);
  }

  /** Whether there is anything to rename. */
  get useful(): boolean {
    // Store buffers hold addresses, which are not renamed.
    return this.free.length > 1 && this.system.memory === 'sc';
  }

  /** Puts the fingerprint of the representative of `state` (cells, then the agents' nodes) in `low` and `high`. */
  canonical(state: Int32Array): void {
    const { signature, frameOfCell, slotOfCell, cellTypes, free } = this;
    signature.fill(0);
    for (const cell of this.owned) {
      const value = state[cell]!;
      const type = cellTypes[cell]!;
      const frame = frameOfCell[cell]!;
      const named = type.frameOf === undefined ? -1 : type.frameOf(value);
      const colour = type.rename === undefined ? value : named >= 0 ? 77 + (named === frame ? 1 : 0) : value;
      if (colour !== 0) signature[frame] = (signature[frame]! + mixLow(slotOfCell[cell]! + 1000, colour)) | 0;
      if (named >= 0) signature[named] = (signature[named]! + mixLow(slotOfCell[cell]! + 3000, 5)) | 0;
    }
    for (const cell of this.plain) {
      const type = cellTypes[cell]!;
      if (type.rename === undefined || state[cell] === 0) continue;
      if (type.frameOf === undefined) {
        for (const f of free)
          if ((state[cell]! >> f) & 1) signature[f] = (signature[f]! + mixLow(cell + 5000, 1)) | 0;
      } else {
        const named = type.frameOf(state[cell]!);
        if (named >= 0) signature[named] = (signature[named]! + mixLow(cell + 5000, 1)) | 0;
      }
    }
    const sorted = free.slice().sort((x, y) => signature[x]! - signature[y]!);
    let first = true;
    const tryOrder = (): void => {
      const to = this.order.slice();
      sorted.forEach((frame, i) => (to[frame] = free[i]!));
      const { low, high } = this.fingerprint(state, to);
      if (first || low < this.low || (low === this.low && high < this.high)) {
        this.low = low;
        this.high = high;
        first = false;
      }
    };
    const permuteTies = (from: number): void => {
      if (from >= sorted.length) return tryOrder();
      let end = from;
      while (end < sorted.length && signature[sorted[end]!] === signature[sorted[from]!]) end++;
      const within = (at: number): void => {
        if (at >= end - 1) return permuteTies(end);
        for (let i = at; i < end; i++) {
          swap(sorted, at, i);
          within(at + 1);
          swap(sorted, at, i);
        }
      };
      within(from);
    };
    permuteTies(0);
  }

  private fingerprint(state: Int32Array, to: number[]): { low: number; high: number } {
    const { cells } = this.renaming(to);
    const count = this.system.cells.length;
    let low = 0;
    let high = 0;
    for (let cell = 0; cell < count; cell++) {
      let value = state[cell]!;
      const { rename } = this.cellTypes[cell]!;
      if (value !== 0 && rename !== undefined) value = rename(value, to);
      low ^= mixLow(cells[cell]!, value);
      high ^= mixHigh(cells[cell]!, value);
    }
    for (let agent = 0; agent < this.agents; agent++) {
      const node = this.automaton.renamed(state[count + agent]!, to, this);
      low ^= mixLow(count + agent, node);
      high ^= mixHigh(count + agent, node);
    }
    return { low, high };
  }

  private renaming(to: number[]): { to: number[]; cells: Int32Array } {
    const key = to.join();
    let known = this.renamings.get(key);
    if (known === undefined) {
      const { frameCells } = this.system;
      const cells = new Int32Array(this.system.cells.length);
      for (let cell = 0; cell < cells.length; cell++) {
        const frame = this.frameOfCell[cell]!;
        cells[cell] = frame < 0 ? cell : frameCells[to[frame]!]![this.slotOfCell[cell]!]!;
      }
      this.renamings.set(key, (known = { to, cells }));
    }
    return known;
  }

  /** What the request of `node` would have observed. */
  result(node: number, value: number, to: readonly number[]): number {
    const { automaton } = this;
    const op = automaton.op[node]!;
    if (op === Op.LOAD || op === Op.READ || op === Op.XCHG)
      return this.value(this.cellTypes[automaton.a[node]!]!, value, to);
    if (op < FIRST_OWN_OP) return value;
    const { result } = this.system.ops[op - FIRST_OWN_OP]!;
    return result === undefined ? value : this.value(result, value, to);
  }

  /** Whether the request of `image` is the renamed request of `node`. */
  sameRequest(node: number, image: number, to: readonly number[]): boolean {
    const { op, a, b, c } = this.automaton;
    if (op[node] !== op[image]) return false;
    if (namesCell(op[node]!)) {
      const { cells } = this.renaming(to.slice());
      const type = this.cellTypes[a[node]!]!;
      const value = (x: number): number => this.value(type, x, to);
      const arithmetic = op[node]! >= Op.ADD && op[node]! <= Op.SUB_AND_TEST;
      return (
        cells[a[node]!] === a[image] &&
        (arithmetic ? b[node] : value(b[node]!)) === b[image] &&
        (op[node] === Op.CMPXCHG ? value(c[node]!) : c[node]) === c[image]
      );
    }
    if (op[node]! < FIRST_OWN_OP) return a[node] === a[image] && b[node] === b[image] && c[node] === c[image];
    const kinds = this.system.ops[op[node]! - FIRST_OWN_OP]!.args ?? [];
    return [a, b, c].every((argument, i) => {
      const kind = kinds[i] ?? 'plain';
      const value = argument[node]!;
      const expected =
        kind === 'plain'
          ? value
          : kind === 'cell'
            ? value < 0
              ? value
              : this.renaming(to.slice()).cells[value]
            : this.value(kind, value, to);
      return argument[image] === expected;
    });
  }

  private value(type: ValueType, value: number, to: readonly number[]): number {
    return value === 0 || type.rename === undefined ? value : type.rename(value, to);
  }
}

function swap(list: number[], i: number, j: number): void {
  const kept = list[i]!;
  list[i] = list[j]!;
  list[j] = kept;
}
