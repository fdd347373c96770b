// SPDX-License-Identifier: MIT
import { live } from './live.js';
import { absorbed } from './mutants.js';

/**
 * A path is what an agent runs: a plain generator that yields one {@link Request} for each shared access and is
 * handed the observed value. Between two requests it may only compute on what it observed; so what it does next is a
 * function of its observations, which is what lets the engine memoise it.
 */

/** One shared access. `op` is an operation number ({@link Op} or one that {@link System.op} gave), the rest are its arguments. */
export interface Request {
  op: number;
  a: number;
  b: number;
  c: number;
}

/** Makes the linter's rule against floating promises see a path that was called without `yield*`. Never there. */
interface Floating {
  readonly then?: (fulfilled: (value: never) => void, rejected: (reason: never) => void) => never;
}

/** A kernel path, a driver, a daemon: anything that makes shared accesses. */
export type Path<T = void> = Generator<Request, T, number> & Floating;

const scratch: Request = { op: 0, a: 0, b: 0, c: 0 };

/**
 * Makes one shared access and returns what it observed. The yielded object is reused: whoever drives the path copies
 * the fields before it goes on.
 */
export function* request(op: number, a = 0, b = 0, c = 0): Path<number> {
  if (live.stack.phantoms !== undefined && absorbed(op, a)) return 0;
  scratch.op = op;
  scratch.a = a;
  scratch.b = b;
  scratch.c = c;
  return yield scratch;
}
