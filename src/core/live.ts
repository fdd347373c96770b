// SPDX-License-Identifier: MIT
import type { Path } from './path.js';

/**
 * Runtime of the source transform (`src/transform`). The transform records, at each `yield*` of a path, the site and
 * the locals that are still live there; the recorded frames of all callers are the path's continuation, so two runs with
 * equal frames and equal pending requests will do the same for ever after.
 */

/** Where a `yield*` stands in the source. */
export interface Site {
  readonly file: string;
  readonly line: number;
  /** The function that contains it. */
  readonly fn: string;
  /** The called path as written, without arguments: `ptep_get_lockless`. */
  readonly callee: string;
}

/** Error in a path or a scenario file, as opposed to one of ours: reported as one line. */
export class PathError extends Error {
  override readonly name = 'PathError';
}

/** Site, locals, site, locals …, outermost first; and the locks that a mutant did not take. */
export type Frames = unknown[] & { phantoms?: number[] };

const sites: Site[] = [];
const identities = new WeakMap<object, Identity>();
let identitiesGiven = 0;

function* leftOut(): Path<unknown> {
  return live.cutValue;
}

/** What the instrumented code calls. One object, so that a driver can swap the stack before it resumes a path. */
export const live = {
  /** Site, locals, site, locals …, outermost first: the frames of the path that runs now. */
  stack: [] as Frames,
  /** Mutation testing: the site whose call is changed, -1 for none. */
  cut: -1,
  /** What becomes of the path that the cut site calls. Default: it is left out and observes `cutValue`. */
  mutate: undefined as ((path: Path<unknown>) => Path<unknown>) | undefined,
  cutValue: 0 as unknown,
  /** The cut site is changed only where it is called from this one; -1: wherever it is called from. */
  cutWithin: -1,
  /** Set when the cut site was reached. */
  cutHit: false,
  /** How often it was reached since the path was resumed: a loop that makes no request any more must end. */
  cuts: 0,

  /** Called once by each instrumented file; returns the number of its first site. */
  register(file: string, table: readonly (readonly [line: number, fn: string, callee: string])[]): number {
    const first = sites.length;
    for (const [line, fn, callee] of table) sites.push({ file, line, fn, callee });
    return first;
  },
  /** Before a `yield*`: pushes its frame. Returns the depth to which `leave` goes back, also past frames that threw. */
  enter(at: number, locals: unknown[]): number {
    return live.stack.push(at, locals) - 2;
  },
  /** After a `yield*`: pops its frame and hands the value through. */
  leave<T>(entered: number, value: T): T {
    live.stack.length = entered;
    return value;
  },
  /** What a for…of iterates over, in a form that can be recorded. */
  list<T>(values: Iterable<T>): readonly T[] {
    return Array.isArray(values) ? (values as readonly T[]) : [...values];
  },
  /** Around the path that a `yield*` delegates to. */
  delegate<T>(at: number, path: T): T {
    if (typeof (path as Partial<Path> | undefined)?.[Symbol.iterator] !== 'function') throw noPath(at, path);
    if (at !== live.cut || (live.cutWithin >= 0 && !live.stack.includes(live.cutWithin))) return path;
    live.cutHit = true;
    if (++live.cuts > 10_000) {
      const { file, line, fn } = site(at);
      throw new PathError(`${file}:${line}: ${fn}() loops for ever without this call`);
    }
    return (live.mutate ?? leftOut)(path as Path<unknown>) as T;
  },
  /** Around a call that is not delegated to: a path that was created but will never run is an error. */
  called<T>(value: T, file: string, line: number, callee: string): T {
    if (
      typeof value === 'object' &&
      value !== null &&
      Object.prototype.toString.call(value) === '[object Generator]'
    ) {
      throw new PathError(`${file}:${line}: ${callee}() is a path: it does nothing without yield*`);
    }
    return value;
  },
};

/** What the `yield*` of a site was given is nothing that it can go through. */
function noPath(at: number, given: unknown): PathError {
  const { callee } = site(at);
  const name = callee.slice(callee.lastIndexOf('.') + 1);
  const spelled = `write it as *${name}(…) { … }`;
  if (
    given instanceof Promise ||
    (typeof given === 'object' && given !== null && Symbol.asyncIterator in given)
  )
    return new PathError(
      `${name}() is async, which a path can't wait for: ${spelled}, and yield* what it calls`,
    );
  return new PathError(`${name}() is not a path: ${spelled}`);
}

/** The site with that number. */
export function site(number: number): Site {
  const found = sites[number];
  if (found === undefined) throw new Error(`expected a site below ${sites.length}, got ${number}`);
  return found;
}

/** A frame that is open at a step: the function, what it is calling, and where. */
export interface CallFrame {
  readonly fn: string;
  readonly callee: string;
  readonly at: string;
}

/** The frame of the site with that number. */
export function frameOf(number: number): CallFrame {
  const { fn, callee, file, line } = site(number);
  return { fn, callee, at: `${file}:${line}` };
}

/** How many sites are registered so far. */
export function siteCount(): number {
  return sites.length;
}

/** The site numbers of the recorded frames, outermost first. */
export function stackSites(stack: readonly unknown[]): number[] {
  const numbers: number[] = [];
  for (let i = 0; i < stack.length; i += 2) numbers.push(stack[i] as number);
  return numbers;
}

/** By the locals of a frame: their text, where nothing in them can change. */
const frameKeys = new WeakMap<unknown[], string>();

/**
 * A text that is equal for two stacks exactly when all sites and all live locals are. `shorten`: gives each text of a
 * frame a shorter one of its own.
 */
export function stackKey(stack: Readonly<Frames>, shorten?: (frame: string) => string): string {
  let key = stack.phantoms === undefined ? '' : `without ${stack.phantoms.join()}:`;
  for (let i = 0; i < stack.length; i += 2) {
    const locals = stack[i + 1] as unknown[];
    // A caller's frame stays as it is until its call returns, but for records that it shares with what it calls.
    let text = frameKeys.get(locals);
    if (text === undefined) {
      const at = stack[i] as number;
      text = `${at}(`;
      let fixed = true;
      for (let j = 0; j < locals.length; j++) {
        const local = locals[j];
        if (fixed && isRecord(local)) fixed = false;
        text += valueKey(local, at, 0);
      }
      text += ')';
      if (shorten !== undefined) text = shorten(text);
      if (fixed && i < stack.length - 2) frameKeys.set(locals, text);
    }
    key += text;
  }
  return key;
}

/** A text that is equal for two values exactly when they are built alike from equal numbers, texts and handles. */
export function structureKey(value: unknown): string {
  return valueKey(value, -1, 0);
}

const DEEPEST = 50;

/** Whether it is an array or a plain record, not a handle: what is in it may change. */
function isRecord(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null;
}

function valueKey(value: unknown, at: number, depth: number): string {
  switch (typeof value) {
    case 'number':
      return `${value},`;
    case 'string':
      return `${JSON.stringify(value)},`;
    case 'object': {
      if (value === null) return 'null,';
      if (depth > DEEPEST)
        throw refused(at, 'a record that is nested without end', 'make it a class of handles');
      if (Array.isArray(value)) {
        let text = '[';
        for (let i = 0; i < value.length; i++) text += valueKey(value[i], at, depth + 1);
        return `${text}],`;
      }
      if (isRecord(value)) {
        let text = '{';
        for (const name of Object.keys(value))
          text += `${name.length}${name}:${valueKey((value as Record<string, unknown>)[name], at, depth + 1)}`;
        return `${text}},`;
      }
      if (value instanceof Map || value instanceof Set)
        throw refused(at, `a ${value.constructor.name}`, 'use numbers, arrays or records');
      return identity(value, at);
    }
    case 'function':
      return identity(value, at);
    default:
      return `${String(value)},`;
  }
}

function refused(at: number, what: string, instead: string): PathError {
  const { file, line, fn } = sites[at] ?? { file: 'monitor', line: 0, fn: 'context' };
  return new PathError(`${file}:${line}: ${fn}() keeps ${what} in a local: ${instead}`);
}

/** Handles (cells, pages, mms …) are made once at set-up and never change: their identity stands for them. */
interface Identity {
  readonly text: string;
  /** Its plain fields when it was first seen, for the check that it does not change. */
  readonly fields: readonly string[];
  readonly values: readonly unknown[];
}

function identity(handle: object, at: number): string {
  const fieldsOf = handle as Record<string, unknown>;
  const known = identities.get(handle);
  if (known === undefined) {
    const fields =
      typeof handle === 'function' ? [] : Object.keys(handle).filter((name) => isPlain(fieldsOf[name]));
    const values = fields.map((name) => fieldsOf[name]);
    const text = `#${++identitiesGiven},`;
    identities.set(handle, { text, fields, values });
    return text;
  }
  for (let i = 0; i < known.fields.length; i++)
    if (fieldsOf[known.fields[i]!] !== known.values[i])
      throw refused(
        at,
        `a ${handle.constructor.name} that changes`,
        'a handle stays as set-up made it, use cells or a record',
      );
  return known.text;
}

function isPlain(value: unknown): boolean {
  return typeof value === 'number' || typeof value === 'boolean' || typeof value === 'string';
}
