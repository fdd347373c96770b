// SPDX-License-Identifier: MIT
import { driver } from './driver.js';
import { live } from './live.js';
import type { Path } from './path.js';
import { running } from './running.js';
import { roleOf } from './semantics.js';

const IRQ = -1;
const RCU = -2;
/** Less the number of the domain. */
const SRCU = -3;

/**
 * Mutation testing: runs `path` without the locks that it takes (interrupts off and RCU sections are locks here). What
 * was not taken is remembered with the path's frames, and its release is left out too ({@link absorbed}).
 */
export function* withoutLocks(path: Path<unknown>): Path<unknown> {
  const requests = step(() => path[Symbol.iterator]());
  let result = step(() => requests.next(0));
  while (!result.done) {
    const { op, a } = result.value;
    const role = roleOf(running.system, op);
    const token =
      role === 'acquire' || role === 'try'
        ? a
        : role === 'irq-off'
          ? IRQ
          : role === 'rcu-lock'
            ? RCU
            : role === 'srcu-lock'
              ? SRCU - a
              : undefined;
    if (token === undefined) {
      const observed = yield result.value;
      result = step(() => requests.next(observed));
    } else {
      (live.stack.phantoms ??= []).push(token);
      result = step(() => requests.next(1));
    }
  }
  return result.value;
}

/** What runs asks for each of its requests, also where they are executed at once. */
function step<T>(run: () => T): T {
  const { atOnce } = driver;
  driver.atOnce = undefined;
  try {
    return run();
  } finally {
    driver.atOnce = atOnce;
  }
}

/** Whether the request releases a lock that a mutant did not take. */
export function absorbed(op: number, a: number): boolean {
  const { phantoms } = live.stack;
  if (phantoms === undefined) return false;
  const role = roleOf(running.system, op);
  const token =
    role === 'release'
      ? a
      : role === 'irq-on'
        ? IRQ
        : role === 'rcu-unlock'
          ? RCU
          : role === 'srcu-unlock'
            ? SRCU - a
            : undefined;
  const at = token === undefined ? -1 : phantoms.lastIndexOf(token);
  if (at < 0) return false;
  phantoms.splice(at, 1);
  return true;
}
