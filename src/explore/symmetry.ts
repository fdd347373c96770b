// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import { namesCell } from '../core/semantics.js';
import { bits, frameSet, type System, type ValueType } from '../core/system.js';
import type { Automaton, Renamer, Renaming } from './automaton.js';
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

/** A renaming of frames, and where each cell goes. */
interface CellRenaming extends Renaming {
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
  /** Cells that a renaming moves, or may change the values of. */
  private readonly renamable: Int32Array;
  /** Store buffers: the entries' first words, and by cell whether it is the first (1) or second (2) word of one. */
  private readonly buffered: number[] = [];
  private readonly inBuffer: Uint8Array;
  private readonly signature: Int32Array;
  /** The free frames, sorted by their signatures. */
  private readonly sorted: number[];
  private readonly order: number[];
  private readonly to: number[];
  private readonly renamings = new Map<number, CellRenaming>();
  /** Of the state at hand: the renamable cells that are not 0, and the fingerprint without them and the agents' nodes. */
  private readonly moving: Int32Array;
  private movingCells = 0;
  private restLow = 0;
  private restHigh = 0;
  private first = true;

  constructor(
    private readonly system: System,
    private readonly automaton: Automaton,
    private readonly agents: number,
  ) {
    const frames = system.frameCells.length;
    const cells = system.cells.length;
    this.free = Array.from({ length: frames }, (_, f) => f).filter((f) => !system.fixedFrames.has(f));
    this.cellTypes = system.cells.map((cell) => cell.type);
    this.frameOfCell = new Int32Array(cells).fill(-1);
    this.slotOfCell = new Int32Array(cells).fill(-1);
    system.frameCells.forEach((record, frame) =>
      record.forEach((cell, slot) => {
        this.frameOfCell[cell] = frame;
        this.slotOfCell[cell] = slot;
      }),
    );
    this.inBuffer = new Uint8Array(cells);
    for (const first of system.storeBuffers)
      for (let i = 0; i < system.storeBufferDepth; i++) {
        this.buffered.push(first + 2 * i);
        this.inBuffer[first + 2 * i] = 1;
        this.inBuffer[first + 2 * i + 1] = 2;
      }
    this.renamable = Int32Array.from(
      system.cells
        .filter(
          ({ at, type }) =>
            this.frameOfCell[at]! >= 0 || type.rename !== undefined || this.inBuffer[at] !== 0,
        )
        .map(({ at }) => at),
    );
    this.moving = new Int32Array(this.renamable.length);
    this.signature = new Int32Array(frames);
    this.sorted = this.free.slice();
    this.order = Array.from({ length: frames }, (_, f) => f);
    this.to = this.order.slice();
  }

  /** Whether there is anything to rename. */
  get useful(): boolean {
    // Store buffers hold addresses, which are not renamed.
    return this.free.length > 1 && this.system.memory === 'sc';
  }

  /**
   * Puts the fingerprint of the representative of `state` (cells, then the agents' nodes) in `low` and `high`. Those
   * given are the fingerprint of the state itself.
   */
  canonical(state: Int32Array, low: number, high: number): void {
    const { signature, sorted } = this;
    this.restLow = low;
    this.restHigh = high;
    this.sign(state);
    const cells = this.cellTypes.length;
    for (let agent = 0; agent < this.agents; agent++) {
      const node = state[cells + agent]!;
      this.restLow ^= mixLow(cells + agent, node);
      this.restHigh ^= mixHigh(cells + agent, node);
    }
    for (let i = 1; i < sorted.length; i++) {
      const frame = sorted[i]!;
      let at = i - 1;
      for (; at >= 0 && signature[sorted[at]!]! > signature[frame]!; at--) sorted[at + 1] = sorted[at]!;
      sorted[at + 1] = frame;
    }
    this.first = true;
    this.permuteTies(state, 0);
  }

  /** Computes the signatures, and gathers the cells that count. A cell that is 0 does not: it looks the same everywhere. */
  private sign(state: Int32Array): void {
    const { signature, frameOfCell, slotOfCell, cellTypes, renamable, moving } = this;
    signature.fill(0);
    let count = 0;
    for (let i = 0; i < renamable.length; i++) {
      const cell = renamable[i]!;
      const value = state[cell]!;
      if (value === 0) continue;
      moving[count++] = cell;
      this.restLow ^= mixLow(cell, value) ^ mixLow(cell, 0);
      this.restHigh ^= mixHigh(cell, value) ^ mixHigh(cell, 0);
      const type = cellTypes[cell]!;
      const named = type.frameOf === undefined ? -1 : type.frameOf(value);
      const frame = frameOfCell[cell]!;
      if (frame < 0) {
        this.signNamed(type, value, cell + 5000);
        continue;
      }
      const slot = slotOfCell[cell]!;
      // The same for a value and its renamed value.
      const colour =
        type.rename === undefined
          ? value
          : named >= 0
            ? 77 + (named === frame ? 1 : 0)
            : type.frameOf === undefined
              ? 79
              : value;
      signature[frame] = (signature[frame]! + mixLow(slot + 1000, colour)) | 0;
      if (named >= 0) this.signFrame(named, slot + 3000);
      else if (type === frameSet) for (const f of bits(value)) this.signFrame(f, slot + 3000);
    }
    this.movingCells = count;
    for (const entry of this.buffered) {
      const cell = state[entry]! - 1;
      if (cell < 0) continue;
      if (frameOfCell[cell]! >= 0) this.signFrame(frameOfCell[cell]!, slotOfCell[cell]! + entry * 64 + 7000);
      this.signNamed(cellTypes[cell]!, state[entry + 1]!, entry + 7000);
    }
  }

  private signFrame(frame: number, how: number): void {
    this.signature[frame] = (this.signature[frame]! + mixLow(how, 1)) | 0;
  }

  private signNamed(type: ValueType, value: number, how: number): void {
    if (type.rename === undefined || value === 0) return;
    const named = type.frameOf === undefined ? -1 : type.frameOf(value);
    if (named >= 0) this.signFrame(named, how);
    else if (type === frameSet) for (const f of bits(value)) this.signFrame(f, how);
  }

  /** Tries all orders of the frames from that place on which keep the signatures sorted. */
  private permuteTies(state: Int32Array, from: number): void {
    const { signature, sorted } = this;
    let start = from;
    let end = from;
    for (; start < sorted.length; start = end) {
      end = start + 1;
      while (end < sorted.length && signature[sorted[end]!] === signature[sorted[start]!]) end++;
      // Empty frames that neither a cell nor a path names: any order will do.
      if (end > start + 1 && !(signature[sorted[start]!] === 0 && this.unnamed(state, start, end))) break;
    }
    if (start >= sorted.length) this.tryOrder(state);
    else this.permute(state, start, end);
  }

  private permute(state: Int32Array, at: number, end: number): void {
    if (at >= end - 1) {
      this.permuteTies(state, end);
      return;
    }
    for (let i = at; i < end; i++) {
      swap(this.sorted, at, i);
      this.permute(state, at + 1, end);
      swap(this.sorted, at, i);
    }
  }

  private tryOrder(state: Int32Array): void {
    const { to, sorted, free } = this;
    for (let i = 0; i < sorted.length; i++) to[sorted[i]!] = free[i]!;
    const renaming = this.renaming(to);
    const { cells } = renaming;
    const count = this.cellTypes.length;
    let low = this.restLow;
    let high = this.restHigh;
    for (let i = 0; i < this.movingCells; i++) {
      const cell = this.moving[i]!;
      let value = state[cell]!;
      const { rename } = this.cellTypes[cell]!;
      if (rename !== undefined) value = rename(value, renaming.to);
      if (this.inBuffer[cell] !== 0) value = this.bufferedValue(state, cell, renaming);
      const target = cells[cell]!;
      low ^= mixLow(target, value) ^ mixLow(target, 0);
      high ^= mixHigh(target, value) ^ mixHigh(target, 0);
    }
    for (let agent = 0; agent < this.agents; agent++) {
      const node = this.automaton.renamed(state[count + agent]!, renaming, this);
      low ^= mixLow(count + agent, node);
      high ^= mixHigh(count + agent, node);
    }
    if (this.first || low < this.low || (low === this.low && high < this.high)) {
      this.low = low;
      this.high = high;
      this.first = false;
    }
  }

  private bufferedValue(state: Int32Array, cell: number, { to, cells }: CellRenaming): number {
    const value = state[cell]!;
    if (this.inBuffer[cell] === 1) return cells[value - 1]! + 1;
    return state[cell - 1] === 0 ? value : this.value(this.cellTypes[state[cell - 1]! - 1]!, value, to);
  }

  /** Whether no agent's path depends on which of the frames sorted[from..end) is which: exchanging two changes no node. */
  private unnamed(state: Int32Array, from: number, end: number): boolean {
    const { sorted, order } = this;
    const count = this.cellTypes.length;
    for (let i = from + 1; i < end; i++) {
      swap(order, sorted[from]!, sorted[i]!);
      const renaming = this.renaming(order);
      swap(order, sorted[from]!, sorted[i]!);
      for (let agent = 0; agent < this.agents; agent++) {
        const node = state[count + agent]!;
        if (this.automaton.renamed(node, renaming, this) !== node) return false;
      }
    }
    return true;
  }

  private renaming(to: readonly number[]): CellRenaming {
    let code = 0;
    for (let i = 0; i < to.length; i++) code = code * to.length + to[i]!;
    let known = this.renamings.get(code);
    if (known === undefined) {
      const { frameCells } = this.system;
      const cells = new Int32Array(this.system.cells.length);
      for (let cell = 0; cell < cells.length; cell++) {
        const frame = this.frameOfCell[cell]!;
        cells[cell] = frame < 0 ? cell : frameCells[to[frame]!]![this.slotOfCell[cell]!]!;
      }
      this.renamings.set(code, (known = { to: to.slice(), cells, images: new Int32Array(0) }));
    }
    return known;
  }

  /** What the request of `node` would have observed. */
  result(node: number, value: number, { to }: Renaming): number {
    const { automaton } = this;
    const op = automaton.op[node]!;
    if (op === Op.LOAD || op === Op.READ || op === Op.XCHG)
      return this.value(this.cellTypes[automaton.a[node]!]!, value, to);
    if (op < FIRST_OWN_OP) return value;
    const { result } = this.system.ops[op - FIRST_OWN_OP]!;
    return result === undefined ? value : this.value(result, value, to);
  }

  /** Whether the request of `image` is the renamed request of `node`. */
  sameRequest(node: number, image: number, { to }: Renaming): boolean {
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
