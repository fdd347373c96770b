// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import type { System } from '../core/system.js';
import type { Automaton } from './automaton.js';
import { grown } from './findings.js';

/** Locks were fused that somebody tries or looks at: start again without fusing them. */
export class NotFusable extends Error {
  constructor(readonly cells: readonly number[]) {
    super('not fusable');
  }
}

/** Kinds of nodes: taking a fused lock, releasing one, a step that can go between, a step that nothing is fused with. */
export const OTHER = 0;
export const ACQUIRE = 1;
export const RELEASE = 2;
export const ALONE = 3;

/**
 * Lock fusion (Lipton). Taking a lock moves right: nobody else can do anything with a lock that is held, so it may as
 * well be taken right before the agent's next step. Releasing moves left. Both hold only while the lock's cell is
 * nobody's business but that of LOCK and UNLOCK, and an acquisition only goes with a step that others can't block: two
 * agents that each hold the lock that the other wants must both be seen to stand there. So a lock is fused only if
 * - no other request reads or writes it (`examine`), no invariant or monitor looks at it;
 * - it has no guard: a release that moved before the step that frees the lock would not be seen to touch freed memory;
 * - the agent's CPU is its own: at a gate, other agents' steps decide whether its steps are enabled;
 * - memory is sc, for releases: under tso the lock is free only when the store buffer has drained.
 */
export class Fusion {
  /** By cell: the lock is fused. */
  readonly lock: Uint8Array;
  /** By agent: its steps may be fused. */
  readonly agent: Uint8Array;
  /** Releases are fused. */
  readonly releases: boolean;
  /** By node. */
  mover = new Uint8Array(0);
  private examined = 1;

  constructor(
    private readonly system: System,
    private readonly automaton: Automaton,
    unfusable: ReadonlySet<number>,
  ) {
    this.lock = new Uint8Array(system.cells.length);
    this.agent = Uint8Array.from(system.agents, (_, agent) => ((system.gates[agent] ?? -1) >= 0 ? 0 : 1));
    this.releases = system.memory === 'sc';
    system.lockClasses.forEach((lockClass, cell) => {
      if (lockClass !== undefined && !unfusable.has(cell) && system.guards[cell] === undefined)
        this.lock[cell] = 1;
    });
    for (const { cells, when } of system.invariants)
      if (when === 'always') for (const cell of cells) this.lock[cell.at] = 0;
    for (const { cells } of system.monitors) for (const cell of cells) this.lock[cell.at] = 0;
    for (const guard of system.guards) if (guard !== undefined) this.lock[guard.cell.at] = 0;
  }

  /** Looks at the requests that were learnt since. */
  examine(): void {
    const { automaton, lock } = this;
    if (this.mover.length !== automaton.op.length)
      this.mover = grown(this.mover, new Uint8Array(automaton.op.length));
    for (; this.examined < automaton.size; this.examined++) {
      const op = automaton.op[this.examined]!;
      this.mover[this.examined] = this.kindOf(this.examined);
      if (op === Op.LOCK || op === Op.UNLOCK || op === Op.DONE || op === Op.FAIL) continue;
      const { reads, writes } = automaton.access(this.examined);
      const touched = [...reads, ...writes].filter((cell) => lock[cell] === 1);
      if (touched.length > 0) throw new NotFusable(touched);
    }
  }

  /** Whether no step of the agent is fused with the step from `node` to `child`. */
  ends(node: number, child: number): boolean {
    const kind = this.mover[child]!;
    return this.mover[node] === ACQUIRE
      ? kind !== OTHER && kind !== RELEASE
      : kind !== RELEASE || !this.releases;
  }

  private kindOf(node: number): number {
    const { automaton, system } = this;
    const op = automaton.op[node]!;
    // A data race must find both agents at their access.
    if (this.agent[automaton.agent[node]!] === 0 || automaton.plain[node] === 1) return ALONE;
    if (op === Op.LOCK && this.lock[automaton.a[node]!] === 1) return ACQUIRE;
    if (op === Op.UNLOCK && this.lock[automaton.a[node]!] === 1) return RELEASE;
    // A step that others can block is one at which the agent may stand in a deadlock.
    return mayBlock(system, op) ? ALONE : OTHER;
  }
}

/** Whether other agents can keep a request from being carried out. */
export function mayBlock(system: System, op: number): boolean {
  if (op >= FIRST_OWN_OP) return system.ops[op - FIRST_OWN_OP]!.enabled !== undefined;
  return (
    op === Op.LOCK ||
    op === Op.AWAIT_EQ ||
    op === Op.AWAIT_CLEAR ||
    op === Op.BIT_LOCK ||
    op === Op.DRAIN ||
    op === Op.DONE
  );
}
