// SPDX-License-Identifier: MIT
import { driver } from './driver.js';
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

/** The request that is executed at once; each is delegated to before the next one is made. */
class Immediate<T> implements Request {
  op = 0;
  a = 0;
  b = 0;
  c = 0;
  private readonly result: { done: true; value: T };

  constructor(
    private readonly asks: (op: number, a: number, b: number, c: number) => Path<T>,
    private readonly means: (observed: number) => T,
  ) {
    this.result = { done: true, value: means(0) };
  }

  of(op: number, a: number, b: number, c: number): Path<T> {
    this.op = op;
    this.a = a;
    this.b = b;
    this.c = c;
    return this as unknown as Path<T>;
  }

  [Symbol.iterator](): Iterator<Request, T, number> {
    const { op, a, b, c } = this;
    return driver.atOnce?.takes(op, a, b, c) === true ? this : this.asks(op, a, b, c);
  }

  next(): IteratorResult<Request, T> {
    this.result.value = this.means(driver.atOnce!.execute(this.op, this.a, this.b, this.c));
    return this.result;
  }
}

const immediateNumber = new Immediate(asked, (observed) => observed);
const immediateTruth = new Immediate(askedTruth, (observed) => observed !== 0);

/** Whether a request is executed at once. Not while a lock is left out: its release has to be seen. */
const isImmediate = (): boolean => driver.atOnce !== undefined && live.stack.phantoms === undefined;

/** Makes one shared access and returns what it observed. */
export function request(op: number, a = 0, b = 0, c = 0): Path<number> {
  return isImmediate() ? immediateNumber.of(op, a, b, c) : asked(op, a, b, c);
}

/** Makes one shared access and returns whether it observed anything but 0. */
export function truth(op: number, a = 0, b = 0, c = 0): Path<boolean> {
  return isImmediate() ? immediateTruth.of(op, a, b, c) : askedTruth(op, a, b, c);
}

function* askedTruth(op: number, a: number, b: number, c: number): Path<boolean> {
  return (yield* asked(op, a, b, c)) !== 0;
}

/** The yielded object is reused: whoever drives the path copies the fields before it goes on. */
function* asked(op: number, a: number, b: number, c: number): Path<number> {
  if (live.stack.phantoms !== undefined && absorbed(op, a)) return 0;
  scratch.op = op;
  scratch.a = a;
  scratch.b = b;
  scratch.c = c;
  return yield scratch;
}
