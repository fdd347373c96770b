// SPDX-License-Identifier: MIT
/** What a step learns from a cell, and when that stops being true. */
import type { TraceLine } from '../explore/trace.js';

/** Operations that change a cell without learning anything from it. */
const BLIND: ReadonlySet<string> = new Set(['add', 'set_bits', 'clear_bits', 'unlock', 'drain']);

/** What the step would learn if its cell held `raw`: equal results are one and the same to it. */
export function learns({ op, args }: TraceLine, raw: number): number | boolean {
  switch (op) {
    case 'eq':
    case 'cmpxchg':
      return raw === args![0];
    case 'test':
    case 'test_and_set':
    case 'test_and_clear':
      return (raw & args![0]!) !== 0;
    case 'add_unless':
      return raw === args![1];
    default:
      return raw;
  }
}

/** Whether the step learns something from its cell, or overwrites what somebody else may have put there. */
export function looks({ op, cell }: TraceLine): boolean {
  return cell !== undefined && !BLIND.has(op);
}

/** A step that only looks. */
export function isLook({ op, changes }: TraceLine): boolean {
  return changes.length === 0 && ['load', 'read', 'eq', 'test'].includes(op);
}

/** Whether what the step saw is no longer so when its cell holds `raw`; undefined: it saw nothing to go by. */
export function isStale(step: TraceLine, raw: number): boolean | undefined {
  const { op, observed, args } = step;
  switch (op) {
    case 'load':
    case 'read':
      return raw !== observed;
    case 'eq':
    case 'test':
      return learns(step, raw) !== (observed === 1);
    case 'add_unless':
      return learns(step, raw) === (observed === 1);
    case 'cmpxchg':
      return observed === 1 ? raw !== args![1] : raw === args![0];
    case 'sub_and_test':
      return observed === 1 ? raw !== 0 : undefined;
    default:
      return undefined;
  }
}

/** Whether a later step of the same agent makes sure of what `first` saw. */
export function looksAgain(first: TraceLine, later: TraceLine): boolean {
  if (later.cell !== first.cell || !looks(later)) return false;
  return (
    ['load', 'read', 'eq', 'cmpxchg', 'xchg'].includes(later.op) ||
    (later.op === first.op && later.args![0] === first.args![0])
  );
}
