// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import type { NodeMonitor } from '../core/scenario.js';
import { namesCell } from '../core/semantics.js';
import type { Kernel } from '../linux/kernel.js';
import { Guarded, guardedOps, type Holding } from './guarded.js';
import { type Context, NOTHING_HELD } from './lock-context.js';
import { lockdep } from './lockdep.js';

const READS: ReadonlySet<number> = new Set([Op.LOAD, Op.READ, Op.EQ, Op.TEST, Op.AWAIT_EQ, Op.AWAIT_CLEAR]);
const LOCKS: ReadonlySet<number> = new Set([Op.LOCK, Op.TRYLOCK, Op.UNLOCK, Op.BIT_LOCK]);

/** Lockdep, and GUARDED-BY, for runs straight through. */
export function locking(kernel: Kernel): NodeMonitor {
  const { system } = kernel;
  const inner = lockdep(system);
  const guarded = new Guarded(kernel);
  const ops = guardedOps(kernel);
  let now = NOTHING_HELD;
  const holding: Holding = {
    get now() {
      return now;
    },
    has: ({ at }) => now.held.some(({ cell }) => cell === at),
    writes: ({ count: { at } }) => now.held.some(({ cell, shared }) => cell === at && shared !== true),
    hasClass: (lockClass) => now.held.some(({ cell }) => system.lockClasses[cell] === lockClass),
  };
  return {
    ...inner,
    check(context, agent, op, a, b, c, report) {
      if (op >= FIRST_OWN_OP || LOCKS.has(op)) inner.check(context, agent, op, a, b, c, report);
      now = context as Context;
      let missing: string | undefined;
      let what = '';
      if (namesCell(op)) {
        const rule = guarded.of(a);
        if (rule === undefined) return;
        const reads = READS.has(op);
        missing = (reads ? rule.read : rule.write)?.(holding, b, op);
        if (missing !== undefined) what = `${reads ? 'looks at' : 'changes'} ${system.cells[a]!.name}`;
      } else {
        missing = ops.get(op)?.(holding, a, b, c);
        if (missing !== undefined) what = `carries out ${system.opName(op)}`;
      }
      if (missing !== undefined)
        report('GUARDED-BY', `${system.agents[agent]!.name} ${what} without ${missing}`);
    },
    after: (context, agent, op, a, b, c, value) =>
      op >= FIRST_OWN_OP || LOCKS.has(op) ? inner.after(context, agent, op, a, b, c, value) : context,
  };
}
