// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import { namesCell } from '../core/semantics.js';
import { bits, frameSet, type System, type ValueType } from '../core/system.js';
import type { Automaton, Renamer } from './automaton.js';
import { mixHigh, mixLow } from './fingerprint.js';

/** Operations whose second argument is a mask. */
const MASKED: ReadonlySet<number> = new Set([
  Op.TEST,
  Op.TEST_AND_SET,
  Op.SET_BITS,
  Op.CLEAR_BITS,
  Op.TEST_AND_CLEAR,
  Op.AWAIT_CLEAR,
  Op.BIT_LOCK,
]);

/** One renaming of frames: its name, and where each cell goes. */
interface Renaming {
  readonly key: string;
  readonly cells: Int32Array;
}

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
  /** Store buffers: the entries' first words, and by cell whether it is the first (1) or second (2) word of one. */
  private readonly buffered: number[] = [];
  private readonly inBuffer: Uint8Array;
  private readonly signature: Int32Array;
  private readonly order: number[];
  private readonly renamings = new Map<number, Renaming>();
  /** Cells of the state at hand that are not 0 and that a renaming may move or change; the hash of the others. */
  private readonly moving: number[] = [];
  private stillLow = 0;
  private stillHigh = 0;

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
    this.inBuffer = new Uint8Array(system.cells.length);
    for (const first of system.storeBuffers)
      for (let i = 0; i < system.storeBufferDepth; i++) {
        this.buffered.push(first + 2 * i);
        this.inBuffer[first + 2 * i] = 1;
        this.inBuffer[first + 2 * i + 1] = 2;
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
      // The same for a value and its renamed value.
      const colour =
        type.rename === undefined || value === 0
          ? value
          : named >= 0
            ? 77 + (named === frame ? 1 : 0)
            : type.frameOf === undefined
              ? 79
              : value;
      if (colour !== 0) signature[frame] = (signature[frame]! + mixLow(slotOfCell[cell]! + 1000, colour)) | 0;
      if (named >= 0) this.sign(named, slotOfCell[cell]! + 3000);
      else if (type === frameSet) for (const f of bits(value)) this.sign(f, slotOfCell[cell]! + 3000);
    }
    for (const cell of this.plain) this.signNamed(cellTypes[cell]!, state[cell]!, cell + 5000);
    for (const entry of this.buffered) {
      const cell = state[entry]! - 1;
      if (cell < 0) continue;
      if (frameOfCell[cell]! >= 0) this.sign(frameOfCell[cell]!, slotOfCell[cell]! + entry * 64 + 7000);
      this.signNamed(cellTypes[cell]!, state[entry + 1]!, entry + 7000);
    }
    this.gather(state);
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
      // Empty frames that neither a cell nor a path names: any order will do.
      if (signature[sorted[from]!] === 0 && this.unnamed(state, sorted, from, end)) return permuteTies(end);
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

  /** Whether no agent's path depends on which of the frames sorted[from..end) is which: exchanging two changes no node. */
  private unnamed(state: Int32Array, sorted: readonly number[], from: number, end: number): boolean {
    const count = this.system.cells.length;
    for (let i = from + 1; i < end; i++) {
      const to = this.order.slice();
      to[sorted[from]!] = sorted[i]!;
      to[sorted[i]!] = sorted[from]!;
      const { key } = this.renaming(to);
      for (let agent = 0; agent < this.agents; agent++) {
        const node = state[count + agent]!;
        if (this.automaton.renamed(node, to, this, key) !== node) return false;
      }
    }
    return true;
  }

  /** Splits the cells that are not 0 into those that no renaming touches, hashed once, and the others. A 0 counts as 0. */
  private gather(state: Int32Array): void {
    const { cellTypes, frameOfCell, moving, inBuffer } = this;
    moving.length = 0;
    this.stillLow = this.stillHigh = 0;
    for (let cell = 0; cell < cellTypes.length; cell++) {
      const value = state[cell]!;
      if (value === 0) continue;
      if (frameOfCell[cell]! >= 0 || cellTypes[cell]!.rename !== undefined || inBuffer[cell] !== 0)
        moving.push(cell);
      else {
        this.stillLow ^= mixLow(cell, value);
        this.stillHigh ^= mixHigh(cell, value);
      }
    }
  }

  private sign(frame: number, how: number): void {
    this.signature[frame] = (this.signature[frame]! + mixLow(how, 1)) | 0;
  }

  private signNamed(type: ValueType, value: number, how: number): void {
    if (type.rename === undefined || value === 0) return;
    const named = type.frameOf === undefined ? -1 : type.frameOf(value);
    if (named >= 0) this.sign(named, how);
    else if (type === frameSet) for (const f of bits(value)) this.sign(f, how);
  }

  private fingerprint(state: Int32Array, to: number[]): { low: number; high: number } {
    const { cells, key } = this.renaming(to);
    const count = this.system.cells.length;
    let low = this.stillLow;
    let high = this.stillHigh;
    for (const cell of this.moving) {
      let value = state[cell]!;
      const { rename } = this.cellTypes[cell]!;
      if (rename !== undefined) value = rename(value, to);
      if (this.inBuffer[cell] === 1) value = cells[state[cell]! - 1]! + 1;
      else if (this.inBuffer[cell] === 2 && state[cell - 1] !== 0)
        value = this.value(this.cellTypes[state[cell - 1]! - 1]!, value, to);
      if (value === 0) continue;
      low ^= mixLow(cells[cell]!, value);
      high ^= mixHigh(cells[cell]!, value);
    }
    for (let agent = 0; agent < this.agents; agent++) {
      const node = this.automaton.renamed(state[count + agent]!, to, this, key);
      low ^= mixLow(count + agent, node);
      high ^= mixHigh(count + agent, node);
    }
    return { low, high };
  }

  private renaming(to: readonly number[]): Renaming {
    let code = 0;
    for (const frame of to) code = code * to.length + frame;
    let known = this.renamings.get(code);
    if (known === undefined) {
      const { frameCells } = this.system;
      const cells = new Int32Array(this.system.cells.length);
      for (let cell = 0; cell < cells.length; cell++) {
        const frame = this.frameOfCell[cell]!;
        cells[cell] = frame < 0 ? cell : frameCells[to[frame]!]![this.slotOfCell[cell]!]!;
      }
      this.renamings.set(code, (known = { key: to.join(), cells }));
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
      const { cells } = this.renaming(to);
      const type = this.cellTypes[a[node]!]!;
      const value = (x: number): number => this.value(type, x, to);
      // A number that is added, or a mask of flags: only a mask of frames is renamed.
      const arithmetic =
        (op[node]! >= Op.ADD && op[node]! <= Op.SUB_AND_TEST) ||
        (MASKED.has(op[node]!) && type.frameOf !== undefined);
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
              : this.renaming(to).cells[value]
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
