// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, type LockRole, Op } from '../core/ops.js';
import type { NodeMonitor } from '../core/scenario.js';
import type { System } from '../core/system.js';

/** What lockdep knows of an agent at a point of its path. */
interface Context {
  readonly held: readonly { readonly cell: number; readonly subclass: number }[];
  readonly irqsOff: boolean;
  readonly rcu: number;
}

/**
 * LOCK-ORDER and CTX, as lockdep and might_sleep() report them. Both depend on the path alone, so they are judged once
 * for each point of a path, not in each state. The graph of lock classes grows over the whole exploration.
 */
export function lockdep(system: System): NodeMonitor {
  const order = new Map<string, Map<string, string>>();

  const roleOf = (op: number): LockRole | undefined => {
    if (op === Op.LOCK || op === Op.BIT_LOCK) return 'acquire';
    if (op === Op.TRYLOCK) return 'try';
    if (op === Op.UNLOCK) return 'release';
    return op >= FIRST_OWN_OP ? system.ops[op - FIRST_OWN_OP]!.role : undefined;
  };
  const classOf = (cell: number, subclass: number): string => {
    const name = system.lockClasses[cell] ?? system.cells[cell]!.name;
    return subclass === 0 ? name : `${name}/${subclass}`;
  };
  const reaches = (from: string, to: string, seen = new Set<string>()): string[] | undefined => {
    if (from === to) return [to];
    seen.add(from);
    for (const next of order.get(from)?.keys() ?? []) {
      if (seen.has(next)) continue;
      const rest = reaches(next, to, seen);
      if (rest !== undefined) return [from, ...rest];
    }
    return undefined;
  };
  const takes = (
    context: Context,
    taken: string,
    who: string,
    report: (name: string, detail: string) => void,
  ): void => {
    for (const { cell, subclass } of context.held) {
      const holds = classOf(cell, subclass);
      const known = order.get(holds);
      if (known?.has(taken)) continue;
      const back = reaches(taken, holds);
      if (back !== undefined)
        report(
          'LOCK-ORDER',
          `${who} takes ${taken} while it holds ${holds}, elsewhere ${back.join(' is held while taking ')}`,
        );
      if (known === undefined) order.set(holds, new Map([[taken, who]]));
      else known.set(taken, who);
    }
  };

  /** Why sleeping is wrong here, as the end of a sentence. */
  const whyAtomic = (now: Context, softirq: boolean): string | undefined => {
    const spinning = now.held.find(({ cell }) => system.sleepingLocks[cell] !== true);
    if (now.irqsOff) return ', interrupts are off';
    if (spinning !== undefined) return ` under ${classOf(spinning.cell, spinning.subclass)}`;
    if (now.rcu > 0) return ' in an RCU read-side section';
    return softirq ? ' in softirq context' : undefined;
  };

  return {
    start: (): Context => ({ held: [], irqsOff: false, rcu: 0 }),
    after(context, _agent, op, a, _b, c, value): Context {
      const before = context as Context;
      switch (roleOf(op)) {
        case 'acquire':
          return { ...before, held: [...before.held, { cell: a, subclass: c }] };
        case 'try':
          return value === 0 ? before : { ...before, held: [...before.held, { cell: a, subclass: c }] };
        case 'release': {
          const at = before.held.findLastIndex((lock) => lock.cell === a);
          return at < 0 ? before : { ...before, held: before.held.filter((_, i) => i !== at) };
        }
        case 'irq-off':
          return { ...before, irqsOff: true };
        case 'irq-on':
          return { ...before, irqsOff: false };
        case 'rcu-lock':
          return { ...before, rcu: before.rcu + 1 };
        case 'rcu-unlock':
          return { ...before, rcu: Math.max(0, before.rcu - 1) };
        case 'srcu-lock':
        case 'srcu-unlock':
        case undefined:
          return before;
      }
    },
    asserts(context, agent, cell, report) {
      if (!(context as Context).held.some((lock) => lock.cell === cell))
        report(
          'LOCK-HELD',
          `${system.agents[agent]!.name} does not hold ${system.cells[cell]!.name}, and says that it does`,
        );
    },
    marked(context, agent, maps, report): Context {
      let now = context as Context;
      const { name, atomic } = system.agents[agent]!;
      for (const map of maps) {
        const cell = Math.abs(map) - 1;
        if (map > 0) {
          const what = classOf(cell, 0);
          const why = system.sleepingLocks[cell] === true ? whyAtomic(now, atomic === true) : undefined;
          if (why !== undefined) report('CTX', `${name}: ${what} may sleep${why}`);
          takes(now, what, name, report);
          now = { ...now, held: [...now.held, { cell, subclass: 0 }] };
        } else {
          const at = now.held.findLastIndex((lock) => lock.cell === cell);
          now = { ...now, held: now.held.filter((_, i) => i !== at) };
        }
      }
      return now;
    },
    check(context, agent, op, a, b, c, report) {
      const now = context as Context;
      const { name, atomic } = system.agents[agent]!;
      const role = roleOf(op);
      const own = op >= FIRST_OWN_OP ? system.ops[op - FIRST_OWN_OP]! : undefined;
      const sleeps =
        role === 'acquire'
          ? system.sleepingLocks[a] === true
          : typeof own?.sleeps === 'function'
            ? own.sleeps(a, b, c)
            : (own?.sleeps ?? false);
      const what = role === undefined ? system.opName(op) : `taking ${classOf(a, c)}`;
      const why = sleeps ? whyAtomic(now, atomic === true) : undefined;
      if (why !== undefined) report('CTX', `${name}: ${what} may sleep${why}`);
      if (own?.needsIrqsOn === true && now.irqsOff)
        report('CTX', `${name}: ${what} waits for other CPUs, interrupts are off`);
      if (role === 'acquire') takes(now, classOf(a, c), name, report);
    },
  };
}
