// SPDX-License-Identifier: MIT
/** What lockdep knows of an agent at a point of its path, and what a request does to it. */
import { FIRST_OWN_OP } from '../core/ops.js';
import { roleOf } from '../core/semantics.js';
import type { System } from '../core/system.js';

/** Where something was done; only kept where stacks are asked for, since points of a path would differ in it. */
export interface Place {
  readonly stack: readonly number[];
  /** A lock map: no request was made there, but by what the innermost frame calls. */
  readonly map: boolean;
}

export interface Held {
  readonly cell: number;
  readonly subclass: number;
  /** Others may hold it as well: a reader's. */
  readonly shared?: true;
  readonly at?: Place;
}

export interface Context {
  readonly held: readonly Held[];
  readonly irqsOff: boolean;
  readonly rcu: number;
  readonly irqsOffAt?: Place;
  /** Of the outermost read-side section. */
  readonly rcuAt?: Place;
}

export const NOTHING_HELD: Context = { held: [], irqsOff: false, rcu: 0 };

/** The class of a lock, which is what lockdep orders. */
export function classOf(system: System, { cell, subclass }: Held): string {
  const name = system.lockClasses[cell] ?? system.cells[cell]!.name;
  return subclass === 0 ? name : `${name}/${subclass}`;
}

/** The context after a request that observed `value`. */
export function afterRequest(
  system: System,
  before: Context,
  { op, a, c }: { op: number; a: number; c: number },
  value: number,
  at?: Place,
): Context {
  const place = at === undefined ? {} : { at };
  const shared = op >= FIRST_OWN_OP && system.ops[op - FIRST_OWN_OP]!.shared === true;
  const take = (): Context => ({
    ...before,
    held: [...before.held, { cell: a, subclass: c, ...(shared ? { shared } : {}), ...place }],
  });
  switch (roleOf(system, op)) {
    case 'acquire':
      return take();
    case 'try':
      return value === 0 ? before : take();
    case 'release':
      return without(before, a);
    case 'downgrade':
      return {
        ...before,
        held: before.held.map((lock) => (lock.cell === a ? { ...lock, shared: true } : lock)),
      };
    case 'irq-off':
      return { ...before, irqsOff: true, ...(at === undefined ? {} : { irqsOffAt: at }) };
    case 'irq-on': {
      const { irqsOffAt: _, ...rest } = before;
      return { ...rest, irqsOff: false };
    }
    case 'rcu-lock':
      return {
        ...before,
        rcu: before.rcu + 1,
        ...(at === undefined || before.rcu > 0 ? {} : { rcuAt: at }),
      };
    case 'rcu-unlock':
      return { ...before, rcu: Math.max(0, before.rcu - 1) };
    case 'srcu-lock':
    case 'srcu-unlock':
    case undefined:
      return before;
  }
}

/** The context after a lock map was entered (cell + 1) or left (-(cell + 1)). */
export function afterMark(before: Context, map: number, at?: Place): Context {
  const cell = Math.abs(map) - 1;
  if (map < 0) return without(before, cell);
  return { ...before, held: [...before.held, { cell, subclass: 0, ...(at === undefined ? {} : { at }) }] };
}

function without(before: Context, cell: number): Context {
  const at = before.held.findLastIndex((lock) => lock.cell === cell);
  return at < 0 ? before : { ...before, held: before.held.filter((_, i) => i !== at) };
}

/** Why sleeping is wrong in a context, as what is so, and since where. */
export interface Atomic {
  /** `interrupts are off`. */
  readonly what: string;
  /** As the end of a sentence. */
  readonly tail: string;
  readonly at: Place | undefined;
}

function whyAtomic(system: System, now: Context, softirq: boolean): Atomic | undefined {
  if (now.irqsOff) return { what: 'interrupts are off', tail: ', interrupts are off', at: now.irqsOffAt };
  const spinning = now.held.find(({ cell }) => system.sleepingLocks[cell] !== true);
  if (spinning !== undefined) {
    const what = classOf(system, spinning);
    return { what: `${what} is held`, tail: ` under ${what}`, at: spinning.at };
  }
  if (now.rcu > 0)
    return { what: 'an RCU read-side section', tail: ' in an RCU read-side section', at: now.rcuAt };
  return softirq ? { what: 'softirq context', tail: ' in softirq context', at: undefined } : undefined;
}

/** What lockdep has to say of a request, or of a lock map. */
export interface Judgement {
  /** Something sleeps, or waits, where it may not. */
  readonly wrong: readonly { readonly what: string; readonly detail: string; readonly why: Atomic }[];
  /** Classes that it takes. */
  readonly takes: readonly string[];
}

/** Judges a request by the context in which it is made. */
export function judgeRequest(
  system: System,
  now: Context,
  { agent, op, a, b, c }: { agent: number; op: number; a: number; b: number; c: number },
): Judgement {
  const { name, atomic } = system.agents[agent]!;
  const role = roleOf(system, op);
  const own = op >= FIRST_OWN_OP ? system.ops[op - FIRST_OWN_OP]! : undefined;
  const lock = { cell: a, subclass: c };
  const sleeps =
    role === 'acquire'
      ? system.sleepingLocks[a] === true
      : typeof own?.sleeps === 'function'
        ? own.sleeps(a, b, c)
        : (own?.sleeps ?? false);
  const what = role === undefined ? system.opName(op) : `taking ${classOf(system, lock)}`;
  const wrong: Judgement['wrong'][number][] = [];
  const why = sleeps ? whyAtomic(system, now, atomic === true) : undefined;
  if (why !== undefined) wrong.push({ what, detail: `${name}: ${what} may sleep${why.tail}`, why });
  if (own?.needsIrqsOn === true && now.irqsOff) {
    const off: Atomic = { what: 'interrupts are off', tail: '', at: now.irqsOffAt };
    wrong.push({ what, detail: `${name}: ${what} waits for other CPUs, interrupts are off`, why: off });
  }
  return { wrong, takes: role === 'acquire' ? [classOf(system, lock)] : [] };
}

/** Judges the entering of a lock map. */
export function judgeMark(system: System, now: Context, agent: number, map: number): Judgement {
  if (map < 0) return { wrong: [], takes: [] };
  const { name, atomic } = system.agents[agent]!;
  const cell = map - 1;
  const what = classOf(system, { cell, subclass: 0 });
  const why = system.sleepingLocks[cell] === true ? whyAtomic(system, now, atomic === true) : undefined;
  return {
    wrong: why === undefined ? [] : [{ what, detail: `${name}: ${what} may sleep${why.tail}`, why }],
    takes: [what],
  };
}
