// SPDX-License-Identifier: MIT
/**
 * Zobrist hashing of state vectors in two 32-bit lanes: the fingerprint of a state is the exclusive or of one random
 * word per (position, value), so a step updates it by the few positions it changed. Small values come from a table.
 */
export const TABLED = 64;

export interface Lanes {
  readonly low: Int32Array;
  readonly high: Int32Array;
}

/** Random words for `positions` x values below {@link TABLED}. */
export function lanes(positions: number): Lanes {
  const low = new Int32Array(positions * TABLED);
  const high = new Int32Array(positions * TABLED);
  for (let position = 0; position < positions; position++) {
    for (let value = 0; value < TABLED; value++) {
      low[position * TABLED + value] = mixLow(position, value);
      high[position * TABLED + value] = mixHigh(position, value);
    }
  }
  return { low, high };
}

export function mixLow(position: number, value: number): number {
  let x = Math.imul(value + 1, 0x9e3779b1) ^ Math.imul(position + 7, 0x85ebca6b);
  x ^= x >>> 15;
  x = Math.imul(x, 0x2c1b3c6d);
  x ^= x >>> 12;
  x = Math.imul(x, 0x297a2d39);
  return x ^ (x >>> 15);
}

export function mixHigh(position: number, value: number): number {
  let x = Math.imul(value + 0x51ed27, 0xc2b2ae35) ^ Math.imul(position + 13, 0x27d4eb2f);
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return x ^ (x >>> 16);
}
