// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, OP_NAMES, type OpDefinition } from './ops.js';
import { PathError } from './live.js';
import type { Path } from './path.js';
import { running } from './running.js';

/** How the values of a cell are shown, and what a renaming of frames does to them. */
export interface ValueType {
  readonly name: string;
  show(value: number): string;
  /** The value after frame f became frame to[f]. Absent: a renaming leaves it alone. */
  rename?(value: number, to: readonly number[]): number;
  /** Which frame the value names, -1 for none. Goes with `rename`. */
  frameOf?(value: number): number;
}

/** A plain number. */
export const int: ValueType = { name: 'int', show: String };
/** A frame number plus one; 0 is none. */
export const frameRef: ValueType = {
  name: 'frame',
  show: (value) => (value === 0 ? 'none' : `f${value - 1}`),
  rename: (value, to) => (value === 0 ? 0 : to[value - 1]! + 1),
  frameOf: (value) => value - 1,
};
/** A set of frames, one bit each. */
export const frameSet: ValueType = {
  name: 'frames',
  show: (value) =>
    `{${bits(value)
      .map((f) => `f${f}`)
      .join(' ')}}`,
  rename: (value, to) => bits(value).reduce((set, f) => set | (1 << to[f]!), 0),
};
/** The holder of a lock: agent plus one, 0 is free. */
export const holder: ValueType = {
  name: 'lock',
  show: (value) => (value === 0 ? 'free' : `held by ${value - 1}`),
};

/** The positions of the set bits of `mask`. */
export function bits(mask: number): number[] {
  const found: number[] = [];
  for (let i = 0; mask >> i !== 0 && i < 31; i++) if ((mask >> i) & 1) found.push(i);
  return found;
}

/** One word of the state. Its address is what requests carry; everything else about it stands still. */
export class Cell {
  constructor(
    readonly system: System,
    /** Index into `system.mem`. */
    readonly at: number,
    readonly name: string,
    readonly type: ValueType,
  ) {}
  /** The value now. For set-up, invariants and displays; a path uses a request. */
  get value(): number {
    if (running.agent >= 0)
      throw new PathError(`a path reads ${this.name} with a request (yield* read …), not through .value`);
    return this.system.mem[this.at]!;
  }
  /** Sets the initial value. Only at set-up. */
  init(value: number): this {
    this.system.mem[this.at] = value;
    return this;
  }
}

/** A cell that may only be touched while another one says that the object lives. */
export interface Guard {
  readonly cell: Cell;
  /** Bit v set: the object lives while the guard cell holds v. */
  readonly alive: number;
  /** The cell may be looked at at any time, and only be changed while the object lives. */
  readonly readable?: boolean;
  /** What is guarded, for messages: `struct page of f0`. */
  readonly what: string;
  /** The property that an access breaks while the guard cell holds `value`. */
  property(value: number): string;
}

export interface CellOptions {
  readonly type?: ValueType;
  readonly guard?: Guard;
  /** The frame whose record the cell belongs to, and its place in the record: frames may then be renamed. */
  readonly frame?: { readonly number: number; readonly slot: string };
  /** For lockdep: locks of one class are one lock. */
  readonly lockClass?: string;
  /** The lock sleeps (mutex, rwsem, folio lock); absent: it spins. */
  readonly sleeps?: boolean;
}

/** One thread of execution. */
export interface Agent {
  readonly name: string;
  /** The CPU it runs on, -1 for none (hardware, RCU callbacks). */
  readonly cpu: number;
  /** May wait for ever at the end. */
  readonly daemon: boolean;
  /** Weakly fair: if it can run for ever, it runs at some time. Hardware speculation is not. */
  readonly fair: boolean;
  /** Runs in atomic context from the start (softirq): sleeping there is a report. */
  readonly atomic?: boolean;
  start(): Path<unknown>;
}

/** A named statement about the state. `check` returns what is wrong, or undefined. */
export interface Invariant {
  readonly property: string;
  /** The cells it looks at: it is checked again when one of them changed. */
  readonly cells: readonly Cell[];
  /** Of these, the ones that only excuse while they are not 0: a lock that is held, a change that is under way. */
  readonly excuses?: readonly Cell[];
  check(): string | undefined;
  /** 'always': in every state. 'end': when all agents but the daemons have returned. */
  readonly when: 'always' | 'end';
  /** At the end: what a failure is called. */
  readonly kind?: 'violation' | 'leak';
}

/**
 * Ghost state: brought up to date after each step that changed one of the cells. Writes through `system.set`. Names all cells
 * that it reads and that a step may write: others must not be fused across them.
 */
export interface Monitor {
  readonly cells: readonly Cell[];
  update(agent: number): void;
}

/** What a step did wrong. */
export interface Fault {
  readonly property: string;
  readonly detail: string;
}

/** sc: each access takes effect at once. tso: stores wait in a buffer per CPU, loads forward, locked operations drain. */
export type MemoryModel = 'sc' | 'tso';

/**
 * The thing that is explored: cells, operations, agents, and what must hold. Built once by a scenario's set-up, then
 * driven by an explorer, which owns `mem` (the state) and `set` from then on.
 */
export class System {
  /** The values of all cells now. */
  mem = new Int32Array(64);
  readonly cells: Cell[] = [];
  readonly agents: Agent[] = [];
  readonly ops: OpDefinition[] = [];
  readonly invariants: Invariant[] = [];
  readonly monitors: Monitor[] = [];
  /** By cell: what keeps it alive. */
  readonly guards: (Guard | undefined)[] = [];
  /** By cell: its lock class, if it is a lock. */
  readonly lockClasses: (string | undefined)[] = [];
  /** By cell: whether waiting for the lock sleeps. */
  readonly sleepingLocks: boolean[] = [];
  /** [frame][slot] -> cell address; the slots of all frames are the same. */
  readonly frameCells: number[][] = [];
  /** Frames that the set-up speaks of by number, so that they can't be renamed. */
  readonly fixedFrames = new Set<number>();
  /** Property names and details that paths claim by number. */
  readonly strings: string[] = [];
  /** By agent: cell that keeps others of its CPU from running (0: nobody), or -1. */
  readonly gates: number[] = [];
  /** By CPU: first cell of its store buffer; empty under sc. Entries are (cell + 1, value), oldest first. */
  readonly storeBuffers: number[] = [];
  storeBufferDepth = 0;
  /** Set by a step that broke something; the driver takes it away. */
  fault: Fault | undefined;
  /** Whether `cell()` may still be called while paths run: straight-through mode only. */
  growable = false;

  private readonly slots: string[] = [];
  private readonly stringNumbers = new Map<string, number>();

  constructor(readonly memory: MemoryModel = 'sc') {}

  /** Adds a cell. */
  cell(name: string, initial = 0, options: CellOptions = {}): Cell {
    const cell = new Cell(this, this.cells.length, name, options.type ?? int);
    if (cell.at === this.mem.length) {
      const larger = new Int32Array(this.mem.length * 2);
      larger.set(this.mem);
      this.mem = larger;
    }
    this.cells.push(cell);
    this.guards[cell.at] = options.guard;
    this.lockClasses[cell.at] = options.lockClass;
    this.sleepingLocks[cell.at] = options.sleeps ?? false;
    if (options.frame !== undefined) {
      let slot = this.slots.indexOf(options.frame.slot);
      if (slot < 0) slot = this.slots.push(options.frame.slot) - 1;
      (this.frameCells[options.frame.number] ??= [])[slot] = cell.at;
    }
    this.mem[cell.at] = initial;
    return cell;
  }

  /** Writes a cell. The explorer puts its own function here, which keeps hashes and the undo log. */
  set: (cell: number, value: number) => void = (cell, value) => {
    this.mem[cell] = value;
  };

  /** Adds an operation; returns its number for requests. */
  op(definition: OpDefinition): number {
    return FIRST_OWN_OP + this.ops.push(definition) - 1;
  }

  /** The name of an operation. */
  opName(op: number): string {
    return op < FIRST_OWN_OP ? (OP_NAMES[op] ?? '?') : this.ops[op - FIRST_OWN_OP]!.name;
  }

  /** Adds an agent; returns its number. */
  agent(agent: Agent): number {
    return this.agents.push(agent) - 1;
  }

  /** The numbers of the agents of that name. */
  agentsNamed(wanted: string): number[] {
    return this.agents.flatMap(({ name }, agent) => (name === wanted ? [agent] : []));
  }

  /** Called by a step: the step broke `property`. The first fault of a step counts. */
  fail(property: string, detail: string): void {
    this.fault ??= { property, detail };
  }

  /** Checks the guard of a cell: for operations that touch cells other than the one they name. `reads`: changes nothing. */
  touch(cell: number, reads = false): void {
    const guard = this.guards[cell];
    if (guard === undefined || (reads && guard.readable === true)) return;
    const value = this.mem[guard.cell.at]!;
    if (!((guard.alive >> value) & 1))
      this.fail(
        guard.property(value),
        `${this.cells[cell]!.name} is touched, and ${guard.what} is ${guard.cell.type.show(value)}`,
      );
  }

  /** A number that stands for a text in requests. */
  string(text: string): number {
    let number = this.stringNumbers.get(text);
    if (number === undefined) {
      number = this.strings.push(text) - 1;
      this.stringNumbers.set(text, number);
    }
    return number;
  }
}
