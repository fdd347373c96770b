// SPDX-License-Identifier: MIT
import { type Access, Op } from '../core/ops.js';
import type { System } from '../core/system.js';

const NOBODY = 0;
/** More than one agent; a single one is its number + 1. */
const MANY = 256;

/**
 * Who touches which cell, as far as requests and steps have shown so far: it only grows. A cell is private while one
 * agent touches it, read-only while nobody writes to it, a tally while there is nothing but additions that nobody sees
 * the result of. The cells of one place in the records of all frames count as one: frames can be renamed.
 */
export class Sharing {
  private readonly classOf: Int32Array;
  private readonly touched: Uint16Array;
  private readonly written: Uint16Array;
  /** By whom otherwise than by adding to it. */
  private readonly used: Uint16Array;
  /** What somebody relies on. */
  private readonly relied: Uint8Array;
  /** Something has changed that somebody relied on. */
  shaken = false;

  constructor(private readonly system: System) {
    const { cells, frameCells } = system;
    this.classOf = Int32Array.from(cells, (_, cell) => cell);
    const first: number[] = [];
    for (const record of frameCells)
      record.forEach((cell, slot) => (this.classOf[cell] = first[slot] ??= cell));
    this.touched = new Uint16Array(cells.length);
    this.written = new Uint16Array(cells.length);
    this.used = new Uint16Array(cells.length);
    this.relied = new Uint8Array(cells.length);
  }

  /** Forgets who relies on what. */
  begin(): void {
    this.relied.fill(0);
    this.shaken = false;
  }

  /** An agent may make this request. */
  see(agent: number, op: number, { reads, writes, silent }: Access): void {
    const { guards } = this.system;
    for (const cell of reads) {
      this.grow(this.touched, cell, agent);
      if (op !== Op.ADD) this.grow(this.used, cell, agent);
    }
    for (const cell of writes) {
      this.grow(this.touched, cell, agent);
      this.grow(this.written, cell, agent);
      if (op !== Op.ADD) this.grow(this.used, cell, agent);
    }
    for (const cell of silent) this.wrote(agent, cell);
    for (const cells of [reads, writes, silent])
      for (const cell of cells) {
        const guard = guards[cell];
        if (guard === undefined) continue;
        this.grow(this.touched, guard.cell.at, agent);
        this.grow(this.used, guard.cell.at, agent);
      }
  }

  /** A step of the agent wrote to the cell. */
  wrote(agent: number, cell: number): void {
    this.grow(this.touched, cell, agent);
    this.grow(this.written, cell, agent);
    this.grow(this.used, cell, agent);
  }

  /** Whether nobody else touches the cell. From here on that is relied on. */
  isPrivate(agent: number, cell: number): boolean {
    if (this.touched[this.classOf[cell]!] !== agent + 1) return false;
    this.relied[this.classOf[cell]!] = 1;
    return true;
  }

  /**
   * Whether others have nothing to do with what the request touches: their steps and this one can be taken in any order.
   * From here on that is relied on. `seen`: by cell, whether an invariant or a monitor looks at it.
   */
  isLocal(agent: number, op: number, { reads, writes, silent }: Access, seen: Uint8Array): boolean {
    const { guards, memory } = this.system;
    const reader = op === Op.LOAD || op === Op.READ || op === Op.EQ || op === Op.TEST;
    // Under tso whatever writes or drains depends on the store buffer; a load does not, of what nobody stores to.
    if (memory !== 'sc' && (!reader || this.written[this.classOf[reads[0]!]!] !== NOBODY)) return false;
    if (op === Op.DONE || op === Op.FAIL || op === Op.DRAIN) return false;
    const own = (cell: number): boolean => this.touched[this.classOf[cell]!] === agent + 1;
    const unwritten = (cell: number): boolean => this.written[this.classOf[cell]!] === NOBODY;
    const tally = (cell: number): boolean => op === Op.ADD && this.used[this.classOf[cell]!] === NOBODY;
    const alive = (cell: number): boolean => {
      const guard = guards[cell]?.cell.at;
      return guard === undefined || unwritten(guard) || (memory === 'sc' && own(guard));
    };
    const local =
      reads.every((cell) => (own(cell) || unwritten(cell) || tally(cell)) && alive(cell)) &&
      writes.every((cell) => seen[cell] === 0 && (own(cell) || tally(cell)) && alive(cell)) &&
      silent.every((cell) => seen[cell] === 0 && own(cell) && alive(cell));
    if (!local) return false;
    for (const cells of [reads, writes, silent])
      for (const cell of cells) {
        this.relied[this.classOf[cell]!] = 1;
        const guard = guards[cell];
        if (guard !== undefined) this.relied[this.classOf[guard.cell.at]!] = 1;
      }
    return true;
  }

  private grow(by: Uint16Array, cell: number, agent: number): void {
    const at = this.classOf[cell]!;
    const before = by[at]!;
    if (before === MANY || before === agent + 1) return;
    by[at] = before === NOBODY ? agent + 1 : MANY;
    if (this.relied[at] === 1) this.shaken = true;
  }
}
