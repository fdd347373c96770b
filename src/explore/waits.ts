// SPDX-License-Identifier: MIT
/** Why nobody can go on at the end of a run: who waits for what, whose turn that is, and where each took what it holds. */
import { FIRST_OWN_OP, type LockRole, Op, type Wait } from '../core/ops.js';
import { namesCell, roleOf } from '../core/semantics.js';
import { holder, type System } from '../core/system.js';
import type { Pending, TraceStep } from './replay.js';

/** Something that an agent has taken and not given back. */
export interface Hold {
  readonly kind: 'lock' | 'rcu-lock' | 'srcu-lock' | 'irq-off';
  /** The lock's cell, or the number of the SRCU domain. */
  readonly cell: number;
  /** Taken by an operation that lets others in who take it so as well. */
  readonly shared: boolean;
  /** Where: the step, and the site numbers of the frames that were open, outermost first. */
  readonly index: number;
  readonly stack: readonly number[];
}

/** Where an agent did what others wait for the end of. */
export type Since = Pick<Hold, 'index' | 'stack'>;

/** Whom somebody waits for. */
export interface Holder {
  readonly agent: number;
  readonly since: Since | undefined;
  /** It does not have the lock, but stands before the other in the queue. */
  readonly queued?: boolean;
}

/** An agent that can't go on. */
export interface Waiting {
  readonly agent: number;
  /** The lock that it waits for, if it is one. */
  readonly lock: number | undefined;
  readonly wait: Wait;
  /** Whose turn it is, and where that began, if it is known. */
  readonly on: readonly Holder[];
  readonly stack: readonly number[];
  readonly holds: readonly Hold[];
}

/** Follows a run, and knows at its end who waits for whom. */
export class Holdings {
  private readonly held: Hold[][];
  /** By agent and cell: what it has added, and since when that is more than nothing. */
  private readonly counts = new Map<string, { net: number; since: Since }>();

  constructor(private readonly system: System) {
    this.held = system.agents.map(() => []);
  }

  /** Takes note of a step. */
  after({ agent, op, a, observed, index, stack, changes }: TraceStep): void {
    const { system, held } = this;
    const own = op < FIRST_OWN_OP ? undefined : system.ops[op - FIRST_OWN_OP]!;
    const take = (kind: Hold['kind'], cell: number): void =>
      void held[agent]!.push({ kind, cell, shared: own?.shared === true, index, stack });
    const drop = (who: number, kind: Hold['kind'], cell: number): boolean => {
      const at = held[who]!.findLastIndex((hold) => hold.kind === kind && hold.cell === cell);
      if (at >= 0) held[who]!.splice(at, 1);
      return at >= 0;
    };
    const role = op === Op.CLEAR_BITS ? 'release' : roleOf(system, op);
    switch (role) {
      case 'acquire':
        take('lock', a);
        break;
      case 'try':
        if (observed !== 0) take('lock', a);
        break;
      case 'release':
        // Somebody else may release what an agent took for him.
        if (!drop(agent, 'lock', a)) system.agents.some((_, other) => drop(other, 'lock', a));
        break;
      case 'downgrade': {
        const at = held[agent]!.findLastIndex((hold) => hold.kind === 'lock' && hold.cell === a);
        if (at >= 0) held[agent]![at] = { ...held[agent]![at]!, shared: true };
        break;
      }
      case 'irq-off':
        take('irq-off', 0);
        break;
      case 'irq-on':
        drop(agent, 'irq-off', 0);
        break;
      case 'rcu-lock':
        take('rcu-lock', 0);
        break;
      case 'rcu-unlock':
        drop(agent, 'rcu-lock', 0);
        break;
      case 'srcu-lock':
        take('srcu-lock', a);
        break;
      case 'srcu-unlock':
        drop(agent, 'srcu-lock', a);
        break;
      case undefined:
        break;
    }
    for (const { cell, from, to } of changes) {
      const key = `${agent} ${cell}`;
      const count = this.counts.get(key);
      const net = (count?.net ?? 0) + to - from;
      const since = count !== undefined && count.net > 0 ? count.since : { index, stack };
      this.counts.set(key, { net, since });
    }
  }

  /** What those wait for who can't go on. `system` is in the state that the run has led to. */
  waiting(pending: readonly Pending[]): Waiting[] {
    const stuck = pending.filter(({ enabled }) => !enabled);
    return stuck.map((request) => {
      const { agent, stack } = request;
      const lock = this.lockOf(request);
      const wait = this.waitOf(request, lock);
      const on = lock === undefined ? this.upTo(wait) : this.holders(request, lock, stuck);
      const holds = this.held[agent]!.filter((hold) => !this.isQueued(hold, request));
      return { agent, lock, wait, on, stack, holds };
    });
  }

  /** The lock that a request waits for. */
  private lockOf({ agent, op, a, b }: Pending): number | undefined {
    const { system } = this;
    const gate = system.gates[agent] ?? -1;
    if (gate >= 0 && ![0, agent + 1].includes(system.mem[gate]!)) return gate;
    if (roleOf(system, op) === 'acquire') return a;
    if (op >= FIRST_OWN_OP) {
      const { waits, args } = system.ops[op - FIRST_OWN_OP]!;
      return waits === undefined && args?.[0] === 'cell' && system.lockClasses[a] !== undefined
        ? a
        : undefined;
    }
    return op === Op.AWAIT_EQ && b === 0 && system.cells[a]!.type === holder ? a : undefined;
  }

  private waitOf({ agent, op, a, b, c }: Pending, lock: number | undefined): Wait {
    const { system } = this;
    const { cells, ops } = system;
    if (lock !== undefined) return { until: cells[lock]!.name };
    const own = op < FIRST_OWN_OP ? undefined : ops[op - FIRST_OWN_OP]!;
    if (own?.waits !== undefined) return own.waits(a, b, c, agent);
    if (!namesCell(op)) return { until: `${system.opName(op)}()` };
    const { name, type } = cells[a]!;
    const value = type.show(b);
    return { until: op === Op.AWAIT_EQ ? `${name} = ${value}` : `${name} without ${value}`, counted: [a] };
  }

  /** Who has a lock, or stands before the request in its queue. */
  private holders(request: Pending, lock: number, stuck: readonly Pending[]): Waiting['on'] {
    const { system, held } = this;
    const value = system.mem[lock]!;
    const { op } = request;
    const shared = op >= FIRST_OWN_OP && system.ops[op - FIRST_OWN_OP]!.shared === true;
    const owner = system.cells[lock]!.type === holder || system.gates.includes(lock) ? value - 1 : -1;
    const found: Holder[] = [];
    held.forEach((holds, agent) => {
      const mine = stuck.find((other) => other.agent === agent);
      const since = holds.find(
        (hold) =>
          hold.kind === 'lock' &&
          hold.cell === lock &&
          (shared ? !hold.shared : mine === undefined || !this.isQueued(hold, mine)),
      );
      const queued = since !== undefined && mine !== undefined && this.isQueued(since, mine);
      if (owner === agent || (owner < 0 && since !== undefined)) found.push({ agent, since, queued });
    });
    return found;
  }

  /** Whether the agent has only asked for the lock: its request is what waits for it. */
  private isQueued(hold: Hold, { agent, op, a }: Pending): boolean {
    return (
      hold.kind === 'lock' &&
      hold.cell === a &&
      op >= FIRST_OWN_OP &&
      roleOf(this.system, op) === undefined &&
      this.system.ops[op - FIRST_OWN_OP]!.queued === true &&
      this.held[agent]!.findLast((other) => other.kind === 'lock' && other.cell === a) === hold
    );
  }

  private upTo({ agents, counted, inside }: Wait): Waiting['on'] {
    if (agents !== undefined)
      return agents.map((agent) => ({
        agent,
        since: this.held[agent]!.find(({ kind }) => inside?.includes(kind as LockRole)),
      }));
    return this.system.agents.flatMap((_, agent) => {
      const counts = (counted ?? []).flatMap((cell) => this.counts.get(`${agent} ${cell}`) ?? []);
      const open = counts.find(({ net }) => net > 0);
      return open === undefined ? [] : [{ agent, since: open.since }];
    });
  }
}

/** Agents that wait for each other in a circle, each for the next; empty if there is no circle. The shortest one. */
export function circleOf(waiting: readonly Waiting[]): number[] {
  const on = new Map(waiting.map((one) => [one.agent, one.on.map(({ agent }) => agent)]));
  let shortest: number[] = [];
  for (const first of on.keys()) {
    const from = new Map<number, number>();
    const queue = [first];
    for (const agent of queue) {
      for (const next of on.get(agent) ?? []) {
        if (next === first) {
          const circle = [agent];
          while (circle[0] !== first) circle.unshift(from.get(circle[0]!)!);
          if (shortest.length === 0 || circle.length < shortest.length) shortest = circle;
        } else if (!from.has(next)) {
          from.set(next, agent);
          queue.push(next);
        }
      }
    }
  }
  return shortest;
}
