// SPDX-License-Identifier: MIT
/**
 * The set of visited states. Both kinds number the states in the order in which they came, so that per-state data
 * (parent, agent) are plain arrays beside it.
 */
export interface Visited {
  readonly size: number;
  readonly bytes: number;
  /** Adds the state with this 64-bit fingerprint (and, in exact mode, this content). Returns whether it is new. */
  add(low: number, high: number, state: Int32Array): boolean;
}

/**
 * Most steps lead to states of the level that is being built: the few that were looked up last fit into the processor's
 * cache, the whole set does not.
 */
const RECENT = 1 << 15;

/** Some of the fingerprints that were looked up last: of those with equal low bits the last one. */
export class RecentFingerprints {
  private table = new Int32Array(2 * 256);
  private since = 0;

  get bytes(): number {
    return this.table.byteLength;
  }

  /** Whether the fingerprint is known to have been looked up before. */
  has(low: number, high: number): boolean {
    const at = (2 * high) & (this.table.length - 2);
    if (this.table[at] === low && this.table[at + 1] === high) return (low | high) !== 0;
    if (++this.since > this.table.length && this.table.length < 8 * RECENT) this.grow();
    const place = (2 * high) & (this.table.length - 2);
    this.table[place] = low;
    this.table[place + 1] = high;
    return false;
  }

  private grow(): void {
    this.table = new Int32Array(4 * this.table.length);
    this.since = 0;
  }
}

/** 64-bit fingerprints in open addressing; grows at three quarters full. */
export class FingerprintSet implements Visited {
  size = 0;
  private slots: number;
  private table: Int32Array;
  /** What was looked up last, by the high half. */
  private recent: Int32Array;
  private limit: number;

  constructor(log2 = 8) {
    this.slots = 1 << log2;
    this.table = new Int32Array(2 * this.slots);
    this.recent = new Int32Array(2 * Math.min(this.slots, RECENT));
    this.limit = this.threeQuarters();
  }

  get bytes(): number {
    return this.table.byteLength + this.recent.byteLength;
  }

  add(low: number, high: number): boolean {
    if ((low | high) === 0) high = 1;
    const { table, recent } = this;
    const last = (2 * high) & (recent.length - 2);
    if (recent[last] === low && recent[last + 1] === high) return false;
    recent[last] = low;
    recent[last + 1] = high;
    const mask = this.slots - 1;
    let at = low & mask;
    for (;;) {
      const low2 = table[2 * at]!;
      const high2 = table[2 * at + 1]!;
      if (low2 === low && high2 === high) return false;
      if ((low2 | high2) === 0) break;
      at = (at + 1) & mask;
    }
    table[2 * at] = low;
    table[2 * at + 1] = high;
    if (++this.size > this.limit) this.grow();
    return true;
  }

  /** As an integer: a field that turns into a double throws the compiled search away. */
  private threeQuarters(): number {
    return (this.slots >> 2) * 3;
  }

  private grow(): void {
    const old = this.table;
    // Each growth puts all fingerprints in again: few growths while memory is no matter.
    this.slots *= this.slots < 1 << 22 ? 4 : 2;
    this.limit = this.threeQuarters();
    const table = (this.table = new Int32Array(2 * this.slots));
    if (this.recent.length < 2 * RECENT) this.recent = new Int32Array(2 * Math.min(this.slots, RECENT));
    const mask = this.slots - 1;
    for (let i = 0; i < old.length; i += 2) {
      const low = old[i]!;
      const high = old[i + 1]!;
      if ((low | high) === 0) continue;
      let at = low & mask;
      while ((table[2 * at]! | table[2 * at + 1]!) !== 0) at = (at + 1) & mask;
      table[2 * at] = low;
      table[2 * at + 1] = high;
    }
  }
}

/** 64-bit fingerprints with the numbers in which they came. */
export class FingerprintMap {
  size = 0;
  private slots = 1 << 10;
  /** Low half, high half, number + 1 (0: empty slot). */
  private table = new Int32Array(3 * this.slots);

  /** The number of the fingerprint: the next one if it was not there yet. */
  numberOf(low: number, high: number): number {
    const at = this.find(this.table, this.slots - 1, low, high);
    const known = this.table[at + 2]!;
    if (known !== 0) return known - 1;
    this.table[at] = low;
    this.table[at + 1] = high;
    this.table[at + 2] = ++this.size;
    if (this.size > (this.slots >> 2) * 3) this.grow();
    return this.size - 1;
  }

  private find(table: Int32Array, mask: number, low: number, high: number): number {
    let at = low & mask;
    while (table[3 * at + 2] !== 0 && (table[3 * at] !== low || table[3 * at + 1] !== high))
      at = (at + 1) & mask;
    return 3 * at;
  }

  private grow(): void {
    const old = this.table;
    this.slots *= 2;
    this.table = new Int32Array(3 * this.slots);
    for (let i = 0; i < old.length; i += 3) {
      if (old[i + 2] === 0) continue;
      this.table.set(old.subarray(i, i + 3), this.find(this.table, this.slots - 1, old[i]!, old[i + 1]!));
    }
  }
}

/** Whole state vectors: certainty for small models. */
export class ExactSet implements Visited {
  size = 0;
  private readonly chunkStates: number;
  private readonly chunks: Int32Array[] = [];
  private slots = 1 << 8;
  private table = new Int32Array(this.slots);
  private lows = new Int32Array(1 << 6);

  constructor(private readonly width: number) {
    this.chunkStates = 1 << 12;
  }

  get bytes(): number {
    return (
      this.table.byteLength + this.lows.byteLength + this.chunks.length * this.chunkStates * this.width * 4
    );
  }

  add(low: number, _high: number, state: Int32Array): boolean {
    const { width, chunkStates } = this;
    let mask = this.slots - 1;
    let at = low & mask;
    probe: for (; this.table[at] !== 0; at = (at + 1) & mask) {
      const other = this.table[at]! - 1;
      if (this.lows[other] !== low) continue;
      const chunk = this.chunks[Math.floor(other / chunkStates)]!;
      const base = (other % chunkStates) * width;
      for (let i = 0; i < width; i++) if (chunk[base + i] !== state[i]) continue probe;
      return false;
    }
    const number = this.size++;
    if (number % chunkStates === 0) this.chunks.push(new Int32Array(chunkStates * width));
    const chunk = this.chunks[this.chunks.length - 1]!;
    const base = (number % chunkStates) * width;
    for (let i = 0; i < width; i++) chunk[base + i] = state[i]!;
    if (number === this.lows.length) {
      const larger = new Int32Array(number * 2);
      larger.set(this.lows);
      this.lows = larger;
    }
    this.lows[number] = low;
    this.table[at] = number + 1;
    if (this.size > (this.slots >> 2) * 3) {
      this.slots *= 2;
      mask = this.slots - 1;
      this.table = new Int32Array(this.slots);
      for (let i = 0; i < this.size; i++) {
        at = this.lows[i]! & mask;
        while (this.table[at] !== 0) at = (at + 1) & mask;
        this.table[at] = i + 1;
      }
    }
    return true;
  }
}
