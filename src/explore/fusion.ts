// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import { mayBlock } from '../core/semantics.js';
import type { Invariant, System } from '../core/system.js';
import type { Automaton } from './automaton.js';
import { grown } from './findings.js';
import type { Sharing } from './sharing.js';

/** What was fused turned out not to be fusable: start again. */
export class NotFusable extends Error {
  constructor(
    /** What is not to be fused: cells of locks, cells that movers write; cells that are more than an excuse. */
    readonly locks: readonly number[] = [],
    readonly movers: readonly number[] = [],
    readonly excuses: readonly number[] = [],
  ) {
    super('not fusable');
  }
}

/** What is known before a search begins, from runs by chance and from searches that had to begin again. */
export interface Known {
  readonly sharing: Sharing;
  readonly locks: Set<number>;
  readonly movers: Set<number>;
  readonly excuses: Set<number>;
}

/** Kinds of nodes. A step that nothing is fused with. */
export const ALONE = 0;
/** Any other step: one for each block. */
export const OTHER = 1;
/** Commutes with whatever others do. */
export const LOCAL = 2;
/** Moves right, may have to wait: takes a lock. */
export const ACQUIRE = 3;
/** Moves right, never waits. */
export const ENTER = 4;
/** Moves left. */
export const RELEASE = 5;

/** What looks at a cell beside the paths. */
const UNSEEN = 0;
const EXCUSE = 1;
const SEEN = 2;

/**
 * What may be fused with the step before or after it (Lipton), so that nobody needs to be seen to come between. A block
 * of an agent is: steps that move right, one other step, steps that move left; local ones anywhere.
 *
 * Local: nobody else touches what the step touches, or nobody changes it ({@link Sharing}), and no invariant or monitor
 * sees a difference.
 *
 * Locks: taking one moves right: nobody else can do anything with a lock that is held, so it may as well be taken right
 * before the agent's next step. Releasing moves left. That holds only while the lock's cell is nobody's business but that
 * of LOCK and UNLOCK; and an acquisition only goes with a step that others can't block: two agents that each hold the
 * lock that the other wants must both be seen to stand there. So a lock is fused only if
 * - no other request reads or writes it (`examine`); an invariant may look at it as an excuse: put off or given up early
 *   it excuses less, so nothing that is wrong goes unnoticed. No monitor looks at it;
 * - it has no guard: a release that moved before the step that frees the lock would not be seen to touch freed memory;
 * - the agent's CPU is its own: at a gate, other agents' steps decide whether its steps are enabled;
 * - memory is sc, for releases: under tso the lock is free only when the store buffer has drained.
 *
 * Own operations that say that they are movers: under sc, on the same terms. Some of them make others wait: a reader
 * makes a grace period wait. Entering, put off, makes fewer of them wait, which can only hide a deadlock: that is looked
 * for (`hidesDeadlock`).
 */
export class Fusion {
  /** By cell: the lock is fused. */
  private readonly lock: Uint8Array;
  /** By agent: its steps may be fused. */
  private readonly agent: Uint8Array;
  /** By cell: who looks at it beside the paths. */
  private readonly looks: Uint8Array;
  /** By cell: SEEN or not, for {@link Sharing}. */
  private readonly seen: Uint8Array;
  /** By cell: a fused own operation writes it (1), something else touches it (2). */
  private readonly moved: Uint8Array;
  /** By cell: a count of an agent's own that is fused. */
  private readonly counted: Uint8Array;
  private readonly sc: boolean;
  /** By node. */
  kind = new Uint8Array(0);
  /** By agent: the cells that its fused own operations that move right write: not 0 while others may wait for it. */
  private readonly entered: number[][];
  /** Whether there is any such operation. */
  enters = false;
  /** Nodes that are fused because of what {@link Sharing} says. */
  private readonly relying: number[] = [];
  private readonly sharing: Sharing;
  private examined = 1;

  constructor(
    private readonly system: System,
    private readonly automaton: Automaton,
    private readonly known: Known,
  ) {
    this.sharing = known.sharing;
    const cells = system.cells.length;
    this.sc = system.memory === 'sc';
    this.agent = Uint8Array.from(system.agents, (_, agent) => ((system.gates[agent] ?? -1) >= 0 ? 0 : 1));
    this.entered = system.agents.map(() => []);
    this.moved = new Uint8Array(cells);
    this.counted = new Uint8Array(cells);
    this.looks = new Uint8Array(cells);
    for (const { cells: looked, excuses = [], when } of system.invariants)
      if (when === 'always')
        for (const cell of looked) {
          const look = excuses.includes(cell) && !known.excuses.has(cell.at) ? EXCUSE : SEEN;
          this.looks[cell.at] = Math.max(this.looks[cell.at]!, look);
        }
    for (const monitor of system.monitors) for (const cell of monitor.cells) this.looks[cell.at] = SEEN;
    this.seen = this.looks.map((look) => (look === UNSEEN ? 0 : 1));
    this.lock = Uint8Array.from(system.cells, ({ at }) =>
      system.lockClasses[at] !== undefined &&
      !known.locks.has(at) &&
      system.guards[at] === undefined &&
      this.looks[at] !== SEEN
        ? 1
        : 0,
    );
    for (const guard of system.guards) if (guard !== undefined) this.lock[guard.cell.at] = 0;
    known.sharing.begin();
  }

  /** Looks at the requests that were learnt since. */
  examine(): void {
    const { automaton, sharing } = this;
    if (this.kind.length !== automaton.op.length)
      this.kind = grown(this.kind, new Uint8Array(automaton.op.length));
    for (let node = this.examined; node < automaton.size; node++)
      sharing.see(automaton.agent[node]!, automaton.op[node]!, automaton.access(node));
    this.recheck();
    for (; this.examined < automaton.size; this.examined++) {
      this.meddles(this.examined);
      this.kind[this.examined] = this.kindOf(this.examined);
    }
  }

  /** A step of the agent wrote to a cell, as a request says that it may, or as a monitor does. */
  wrote(agent: number, cell: number): void {
    this.sharing.wrote(agent, cell);
    this.recheck();
  }

  /**
   * An invariant is broken. Had an excuse been put off or given up less early, the same run would have gone on, to more
   * that is to be found: start again without.
   */
  excuse({ excuses = [] }: Invariant): void {
    const { lock, moved, counted } = this;
    const excused = excuses
      .map(({ at }) => at)
      .filter((cell) => lock[cell] === 1 || moved[cell] === 1 || counted[cell] === 1);
    if (excused.length > 0) throw new NotFusable([], [], excused);
  }

  /** Whether no step of the agent is fused with the step from `node` to `child`. */
  ends(node: number, child: number): boolean {
    const first = this.kind[node]!;
    switch (this.kind[child]!) {
      case ALONE:
        return true;
      case LOCAL:
        return false;
      case ACQUIRE:
        return first !== LOCAL && first !== ENTER;
      case RELEASE:
        return !this.sc && this.commits(first);
      default:
        return this.commits(first);
    }
  }

  /** Whether only steps that move left may follow a step of that kind. */
  commits(kind: number): boolean {
    return kind === ALONE || kind === OTHER || kind === RELEASE;
  }

  /**
   * Whether this state stands for a deadlock, had others come between some agents' entering and their next steps: all
   * that can go on are those who wait for agents to leave, and some that do not leave because they wait as well. If so,
   * the cells of what must not be fused.
   */
  hidesDeadlock(
    state: Int32Array,
    node: (agent: number) => number,
    enabled: (agent: number) => boolean,
  ): readonly number[] | undefined {
    const { system, automaton, entered, moved } = this;
    const inside = new Set<number>();
    const waiting: number[] = [];
    for (let agent = 0; agent < entered.length; agent++) {
      const at = node(agent);
      if (automaton.op[at] === Op.DONE) continue;
      for (const cell of entered[agent]!) if (state[cell] !== 0) inside.add(cell);
      if (!system.agents[agent]!.fair || !enabled(agent)) continue;
      if (!mayBlock(system, automaton.op[at]!)) return undefined;
      waiting.push(at);
    }
    const waits = (at: number): boolean => {
      const { reads, writes } = automaton.access(at);
      return [...reads, ...writes].some((cell) => inside.has(cell));
    };
    return waiting.length > 0 && waiting.every(waits)
      ? [...moved.keys()].filter((cell) => moved[cell] === 1)
      : undefined;
  }

  /** What was fused because of what {@link Sharing} said must be fusable still. */
  private recheck(): void {
    if (!this.sharing.shaken) return;
    this.sharing.shaken = false;
    for (const node of this.relying)
      if (this.kind[node] === LOCAL ? !this.isLocal(node) : !this.excuses(node)) throw new NotFusable();
  }

  /** Some locks and movers can't be fused, now that this request is known. */
  private meddles(node: number): void {
    const { automaton, system, lock, moved } = this;
    const op = automaton.op[node]!;
    if (op === Op.DONE || op === Op.FAIL) return;
    const { reads, writes, silent } = automaton.access(node);
    const touched = [...reads, ...writes, ...silent];
    if (op !== Op.LOCK && op !== Op.UNLOCK) {
      const locks = touched.filter((cell) => lock[cell] === 1);
      if (locks.length > 0) throw new NotFusable(locks);
    }
    if (op >= FIRST_OWN_OP && system.ops[op - FIRST_OWN_OP]!.role !== 'try') return;
    const movers = touched.filter((cell) => moved[cell] === 1);
    if (movers.length > 0) throw new NotFusable([], movers);
    for (const cell of touched) moved[cell] = 2;
  }

  private isLocal(node: number): boolean {
    const { automaton } = this;
    return this.sharing.isLocal(
      automaton.agent[node]!,
      automaton.op[node]!,
      automaton.access(node),
      this.seen,
    );
  }

  private kindOf(node: number): number {
    const { automaton, system, lock } = this;
    const op = automaton.op[node]!;
    const cell = automaton.a[node]!;
    if (this.agent[automaton.agent[node]!] === 0) return ALONE;
    if (this.isLocal(node)) {
      this.relying.push(node);
      return LOCAL;
    }
    // A data race must find both agents at their access.
    if (automaton.plain[node] === 1) return ALONE;
    if (op === Op.LOCK && lock[cell] === 1) return ACQUIRE;
    if (op === Op.UNLOCK && lock[cell] === 1) return RELEASE;
    // A step that others can block is one at which the agent may stand in a deadlock.
    if (mayBlock(system, op)) return ALONE;
    if (op === Op.ADD && this.excuses(node)) {
      this.relying.push(node);
      this.counted[cell] = 1;
      return automaton.b[node]! > 0 ? ENTER : RELEASE;
    }
    const mover = op < FIRST_OWN_OP ? undefined : system.ops[op - FIRST_OWN_OP]!.mover;
    if (mover === undefined || !this.moves(node)) return OTHER;
    if (mover === 'left') return RELEASE;
    this.entered[automaton.agent[node]!]!.push(...automaton.access(node).writes);
    this.enters = true;
    return ENTER;
  }

  /** A count that one agent keeps for itself, and that is an excuse while it is not 0. */
  private excuses(node: number): boolean {
    const { automaton, system, looks, sharing } = this;
    const cell = automaton.a[node]!;
    return (
      this.sc &&
      looks[cell] === EXCUSE &&
      system.guards[cell] === undefined &&
      sharing.isPrivate(automaton.agent[node]!, cell)
    );
  }

  /** Whether an own operation that says that it is a mover is one here. */
  private moves(node: number): boolean {
    const { system, looks, moved, known } = this;
    const { writes, silent } = this.automaton.access(node);
    const movable = [...writes, ...silent].every(
      (cell) =>
        looks[cell] !== SEEN &&
        moved[cell] !== 2 &&
        !known.movers.has(cell) &&
        system.guards[cell] === undefined,
    );
    if (!this.sc || !movable) return false;
    for (const cell of writes) moved[cell] = 1;
    return true;
  }
}
