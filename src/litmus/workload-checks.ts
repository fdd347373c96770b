// SPDX-License-Identifier: MIT
import type { Path } from '../core/path.js';
import type { Mm, Page } from '../linux/include/mm_types.js';
import type { Kernel } from '../linux/kernel.js';
import type { Knobs, RELEASES } from '../linux/knobs.js';
import type { Dmirror } from '../linux/lib/test_hmm.js';
import { type TlbFill, type TlbFlush, Use } from '../machine/machine.js';

export interface WorkloadOptions {
  readonly seed: number;
  readonly tlb?: TlbFlush;
  readonly fill?: TlbFill;
  readonly frames?: number;
  /** Virtual pages of each process. */
  readonly pages?: number;
  readonly ptrsPerPte?: number;
  /** Whose device-exclusive memory: see RELEASES in linux/knobs.ts. */
  readonly release?: keyof typeof RELEASES;
  readonly knobs?: Partial<Knobs>;
}

/** Runs a path as an agent, from its start to its end. */
export type Runner = <T>(agent: number, path: () => Path<T>) => T;

/** A page as a process should see it. */
export interface Expected {
  contents: number;
  prot: number;
}

/** A process, or the place for one. */
export interface Process {
  readonly mm: Mm;
  /** Its threads, one on each CPU. */
  readonly threads: readonly number[];
  readonly dmirror: Dmirror;
  /** By page; undefined where nothing is mapped. */
  pages: (Expected | undefined)[];
  lives: boolean;
  /** It has the device's file open. */
  mirrored: boolean;
}

export interface Pin {
  readonly owner: Process;
  readonly addr: number;
  readonly page: Page;
  /** The owner has the page at that address since. */
  mapped: boolean;
}

/** What an operation is done to. */
export interface Target {
  readonly process: Process;
  readonly agent: number;
  readonly addr: number;
  readonly run: Runner;
}

/** A fault may take a page and a page table: with fewer free frames it may fail. */
const SHORT = 4;
const MAX_RANGE = 6;

/** What a workload knows of its processes, and what it therefore expects of the kernel. */
export abstract class WorkloadChecks {
  abstract readonly kernel: Kernel;
  protected pins: Pin[] = [];
  private state: number;

  constructor(protected readonly options: WorkloadOptions) {
    this.state = options.seed | 0;
  }

  /** A number below `count`, of the seeded sequence. */
  choose(count: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % count;
  }

  protected length({ process, addr }: Target): number {
    return 1 + this.choose(Math.min(MAX_RANGE, process.pages.length - addr));
  }

  /** The process has given these pages up: what is still pinned there is not what it sees. */
  protected forget(process: Process, addr: number, len: number): void {
    for (const pin of this.pins)
      if (pin.owner === process && pin.addr >= addr && pin.addr < addr + len) pin.mapped = false;
  }

  protected isShort(): boolean {
    return this.freeFrames() < SHORT;
  }

  protected freeFrames(): number {
    return this.kernel.mem_map.filter(({ frame }) => frame.use.value === Use.FREE).length;
  }

  /** An operation on ranges has failed: only memory can be the reason. */
  protected failed(name: string): string {
    this.expect(this.isShort(), `${name} fails, and there is memory`);
    return `${name} failed`;
  }

  /** An access has been refused: right if the page does not allow it, or if memory has run out. */
  protected refused({ process, addr }: Target, prot: number, how: string): string {
    const page = process.pages[addr];
    const may = page !== undefined && (page.prot & prot) !== 0;
    this.expect(!may || this.isShort(), `${process.mm.name} at page ${addr}: ${how}`);
    return may ? 'OOM' : how;
  }

  /** The page of an access that was made, which must allow it. */
  protected allowed({ process, addr }: Target, prot: number, does: string): Expected {
    const page = process.pages[addr];
    this.expect(
      page !== undefined && (page.prot & prot) !== 0,
      `${process.mm.name} ${does} page ${addr}, and it must not`,
    );
    return page!;
  }

  protected same({ process, addr }: Target, value: number, expected: number): void {
    this.expect(
      value === expected,
      `page ${addr} of ${process.mm.name} holds ${value}, and ${expected} was stored`,
    );
  }

  protected expect(holds: boolean, otherwise: string): void {
    if (!holds) throw new Error(`DATA: ${otherwise} (seed ${this.options.seed})`);
  }
}
