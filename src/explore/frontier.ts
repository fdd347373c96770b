// SPDX-License-Identifier: MIT
import { FIRST, grown } from './findings.js';

/** States that wait to be expanded: packed, with their fingerprints and numbers. */
export class Frontier {
  size = 0;
  packed: Int32Array;
  lows = new Int32Array(FIRST);
  highs = new Int32Array(FIRST);
  numbers = new Int32Array(FIRST);

  constructor(private readonly width: number) {
    this.packed = new Int32Array(FIRST * width);
  }

  get bytes(): number {
    return this.packed.byteLength + 3 * this.lows.byteLength;
  }

  push(state: Int32Array, low: number, high: number, number: number): void {
    if (this.size === this.lows.length) {
      this.packed = grown(this.packed, new Int32Array(this.packed.length * 2));
      this.lows = grown(this.lows, new Int32Array(this.size * 2));
      this.highs = grown(this.highs, new Int32Array(this.size * 2));
      this.numbers = grown(this.numbers, new Int32Array(this.size * 2));
    }
    const base = this.size * this.width;
    for (let i = 0; i < this.width; i++) this.packed[base + i] = state[i]!;
    this.lows[this.size] = low;
    this.highs[this.size] = high;
    this.numbers[this.size++] = number;
  }
}
