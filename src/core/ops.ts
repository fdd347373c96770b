// SPDX-License-Identifier: MIT
import type { ValueType } from './system.js';

/**
 * The operations every system has. Each is one indivisible step. "plain" and "marked" mean what they mean to KCSAN:
 * two pending accesses to one cell, one of them a write and one of them plain, are a data race.
 */
export const Op = {
  /** The path has returned. Never enabled. */
  DONE: 0,
  /** The path itself found a property broken (`claim`); a = property number, b = detail number. Never enabled. */
  FAIL: 1,
  /** Plain load of cell a. */
  LOAD: 2,
  /** Marked load of cell a. */
  READ: 3,
  /** Plain store of b to cell a. */
  STORE: 4,
  /** Marked store of b to cell a. */
  WRITE: 5,
  /** Marked load of cell a that observes only whether it equals b. */
  EQ: 6,
  /** Marked load of cell a that observes only whether a bit of mask b is set. */
  TEST: 7,
  /** Locked exchange: stores b in a, observes the old value. */
  XCHG: 8,
  /** Locked compare and exchange of cell a from b to c; observes success. */
  CMPXCHG: 9,
  /** Locked add of b to cell a; observes nothing. */
  ADD: 10,
  /** Locked add of b to cell a; observes the new value. */
  ADD_RETURN: 11,
  /** Locked add of b to cell a unless it holds c; observes success. */
  ADD_UNLESS: 12,
  /** Locked subtraction of b from cell a; observes whether the result is zero. */
  SUB_AND_TEST: 13,
  /** Locked or of mask b into cell a; observes whether any of them was set. */
  TEST_AND_SET: 14,
  /** Locked or of mask b into cell a; observes nothing. */
  SET_BITS: 15,
  /** Locked and-not of mask b from cell a; observes nothing. */
  CLEAR_BITS: 16,
  /** Locked and-not of mask b from cell a; observes whether any of them was set. */
  TEST_AND_CLEAR: 17,
  /** Takes lock a (0 = free, agent + 1 = held); waits while it is held. */
  LOCK: 18,
  /** Takes lock a if it is free; observes success. */
  TRYLOCK: 19,
  /** Releases lock a. Releasing a lock that this agent does not hold is a violation of LOCK. */
  UNLOCK: 20,
  /** Waits until cell a holds b. */
  AWAIT_EQ: 21,
  /** Waits until no bit of mask b is set in cell a. */
  AWAIT_CLEAR: 22,
  /** Waits until no bit of mask b is set in cell a, then sets them: a bit lock. */
  BIT_LOCK: 23,
  /** Full barrier: waits until this agent's store buffer is empty. */
  FENCE: 24,
  /** Observes any of 0 … a-1: the explorer tries each. */
  CHOOSE: 25,
  /** Touches nothing. */
  NOP: 26,
  /** Moves the oldest entry of store buffer a to memory. Only the drain agents make it. */
  DRAIN: 27,
} as const;

/** The first number that `System.op` hands out. */
export const FIRST_OWN_OP = 32;

/** Names for traces and errors, by number. */
export const OP_NAMES: readonly string[] = Object.entries(Op).map(([name]) => name.toLowerCase());

/** What a request reads and writes, whatever the state is. */
export interface Access {
  reads: number[];
  writes: number[];
  /** Read or written without a memory access of the code: ghosts, what the model wipes. Nothing races with that. */
  silent: number[];
  /** A compiler may tear or repeat it. */
  plain: boolean;
}

/** An access to nothing, to be filled in. */
export function noAccess(): Access {
  return { reads: [], writes: [], silent: [], plain: false };
}

/** How a request argument behaves when frames are renamed (see `explore/symmetry.ts`). */
export type ArgKind = 'plain' | 'cell' | ValueType;

/** What an operation does to locks and context, for lock order and context checks. */
export type LockRole =
  | 'acquire'
  | 'try'
  | 'release'
  | 'downgrade'
  | 'irq-off'
  | 'irq-on'
  | 'rcu-lock'
  | 'rcu-unlock'
  | 'srcu-lock'
  | 'srcu-unlock';

/** What would let a request that waits go on, and who would have to do it. */
export interface Wait {
  /** Completes "waits for". */
  readonly until: string;
  /** Agents whose turn it is, where the operation knows them. */
  readonly agents?: readonly number[];
  /** Counters by their cells: it is up to the agents that have counted themselves in there and not yet out. */
  readonly counted?: readonly number[];
  /** What they would do: `mmu_notifier_invalidate_range_end()`. */
  readonly by?: string;
  /** What `agents` are inside of, one of these: where they entered is said. */
  readonly inside?: readonly LockRole[];
}

/** An operation that a layer above defines: one indivisible step over any number of cells. */
export interface OpDefinition {
  readonly name: string;
  /** Carries the step out (only called while enabled) and returns what the path observes. `choice` < choices(). */
  exec(a: number, b: number, c: number, agent: number, choice: number): number;
  /** May the step run now? Absent: always. */
  enabled?(a: number, b: number, c: number, agent: number): boolean;
  /** Who waits for it is served in his turn, as with LOCK: he is not passed over for ever by others who come later. */
  readonly queued?: boolean;
  /** How many outcomes the step has now; each is explored. Absent: one. */
  choices?(a: number, b: number, c: number, agent: number): number;
  /** Lists the cells it reads and writes: for data races, lines that race, swapping independent steps, fusing. */
  touches(a: number, b: number, c: number, agent: number, access: Access): void;
  /** Kinds of a, b and c under a renaming of frames. Absent: plain numbers. */
  readonly args?: readonly ArgKind[];
  /** Kind of the observed value. Absent: a plain number. */
  readonly result?: ValueType;
  /**
   * Lipton's movers, for fusing (`explore/fusion.ts`). right: others can do before the step what they can do after it,
   * with the same effects but for whom they wait for; so it may be put off until right before its agent's next step.
   * left: others can do after it what they can do before it; so it may be taken right after its agent's last step. Both:
   * it never waits, and what it writes is nobody's business but that of own operations that do not merely try. Those
   * that wait for others to leave touch what these write as they enter.
   */
  readonly mover?: 'right' | 'left';
  /** A locked operation: drains this agent's store buffer first. Absent: yes. */
  readonly drains?: boolean;
  /** Lockdep: what the operation does to its agent's context. For locks, a is the lock's cell and c its subclass. */
  readonly role?: LockRole;
  /** Lockdep: it may sleep, so it is wrong in atomic context. Acquiring a sleeping lock says so by itself. */
  readonly sleeps?: boolean | ((a: number, b: number, c: number) => boolean);
  /** Lockdep: wrong with interrupts off (it waits for other CPUs to answer an interrupt). */
  readonly needsIrqsOn?: boolean;
  /** Taken so, a lock lets those in who take it so as well: readers. */
  readonly shared?: boolean;
  /**
   * For the report of a deadlock: what its agent waits for where the step may not run, if that is not a lock that a names.
   * Called with the state in which everybody is stuck.
   */
  waits?(a: number, b: number, c: number, agent: number): Wait;
  /** One line for a trace, without the agent; undefined: a quiet step. */
  describe?(a: number, b: number, c: number, observed: number): string | undefined;
}
