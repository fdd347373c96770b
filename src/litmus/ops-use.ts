// SPDX-License-Identifier: MIT
/** Pages that are taken between two resets, at most. */
interface Taken {
  /** By who touches them. */
  touched: number;
  ofFiles: number;
  inDevice: number;
}

/** Counts what operations may take, at most: between two resets a page is taken by who touches it first. */
export class Use {
  private now: Taken = { touched: 0, ofFiles: 0, inDevice: 0 };
  private readonly all = [this.now];
  private pinned = 0;

  count(operation: string, words: readonly number[], ofDevice: boolean): void {
    const { now } = this;
    if (operation === 'reset') this.all.push((this.now = { touched: 0, ofFiles: 0, inDevice: 0 }));
    if (operation === 'mmap' && words[3] !== 0) now.ofFiles += words[1]!;
    // A page of the file, and a private copy of it.
    if (operation === 'r' || operation === 'w') now.touched += 2;
    if (['mlock', 'madvise', 'mprotect', 'pin'].includes(operation)) now.touched += 2 * words[2]!;
    if (operation === 'pin') this.pinned = Math.max(this.pinned, words[2]!);
    if (operation === 'fork') now.touched += this.pinned; // the child gets copies at once
    if (ofDevice) now.touched += 2 * words[3]!;
    if (operation === 'todev') now.inDevice += words[3]!;
  }

  /** The most at any time, where processes can map that many. */
  most(mapped: number): number {
    const most = Math.max(...this.all.map(({ touched, ofFiles }) => Math.min(touched, mapped + ofFiles)));
    // What comes from device memory is in RAM twice until it is mapped.
    return most + this.pinned + this.mostInDevice(mapped);
  }

  mostInDevice(mapped: number): number {
    return Math.max(...this.all.map(({ inDevice }) => Math.min(inDevice, mapped)));
  }
}
