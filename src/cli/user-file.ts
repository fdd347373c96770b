// SPDX-License-Identifier: MIT
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PathError } from '../core/live.js';
import { running } from '../core/running.js';
import { type Scenario, UsageError } from '../core/scenario.js';
import { nearest } from './near.js';
import { ENTRIES, shownPath } from './paths.js';
import { originOf } from './source-lines.js';

/** A user's scenario file, made ready to run: plain data, so that it can go to worker threads. */
export interface UserFile {
  /** As the user named it. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  /** One JavaScript module: the file and what it imports by relative path, instrumented. */
  readonly code: string;
  /** Source map of `code`, JSON; its sources are relative to the working directory. */
  readonly map: string;
}

/** What V8 calls the bundle in stack traces. */
const STACK_NAME = 'shootdown-user-file';
const loaded = new Map<string, Promise<readonly Scenario[]>>();
const places = new Map<number, UserFile>();

/** Runs the file, once in each thread, and returns the scenarios that it exports. Throws a UsageError otherwise. */
export function loadUserFile(user: UserFile): Promise<readonly Scenario[]> {
  let scenarios = loaded.get(user.path);
  if (scenarios === undefined) loaded.set(user.path, (scenarios = load(user)));
  return scenarios;
}

/** Has a path that asks for what differs from run to run end in an error: what it does must depend on what it sees. */
function guardPaths(): void {
  const refuse = (owner: object, name: string, spelled: string): void => {
    const original = (owner as Record<string, () => number>)[name]!.bind(owner);
    Object.defineProperty(owner, name, {
      configurable: true,
      writable: true,
      value: () => {
        if (running.agent >= 0)
          throw new PathError(`a path may not ask ${spelled}: use choose(n), and every outcome is explored`);
        return original();
      },
    });
  };
  refuse(Math, 'random', 'Math.random()');
  refuse(Date, 'now', 'Date.now()');
  refuse(performance, 'now', 'performance.now()');
}

async function load(user: UserFile): Promise<readonly Scenario[]> {
  if (places.size === 0) guardPaths();
  const number = places.size;
  places.set(number, user);
  const code = `${user.code.replace(/\n\/\/# sourceMappingURL=.*\n?$/, '')}\n//# sourceURL=${STACK_NAME}-${number}\n`;
  let exported: { readonly default?: unknown };
  try {
    exported = (await import(`data:text/javascript;base64,${Buffer.from(code).toString('base64')}`)) as {
      default?: unknown;
    };
  } catch (error) {
    const text = (await missingExport(error)) ?? errorText(error);
    throw new UsageError(userError(error) ?? `${user.name}: ${text}`, { cause: error });
  }
  if (exported.default === undefined)
    throw new UsageError(
      `${user.name}: exports no scenario; it must say: export default scenario({ id: …, … })`,
    );
  const scenarios: unknown[] = Array.isArray(exported.default) ? exported.default : [exported.default];
  if (scenarios.length === 0) throw new UsageError(`${user.name}: its default export is an empty array`);
  scenarios.forEach((scenario, i) => {
    if (isScenario(scenario)) return;
    const which = Array.isArray(exported.default)
      ? `element ${i} of the default export`
      : 'the default export';
    throw new UsageError(`${user.name}: ${which} is not a scenario: make it with scenario({ … })`);
  });
  return scenarios as Scenario[];
}

/** Node names the file of the package, which the user has never seen: names the entry instead. */
async function missingExport(error: unknown): Promise<string | undefined> {
  const found = /module '(.*)' does not provide an export named '(.*)'/.exec(errorText(error));
  if (found === null) return undefined;
  const [, url = '', name = ''] = found;
  const entry = Object.entries(ENTRIES).find(([, other]) => other === url)?.[0];
  if (entry === undefined) return undefined;
  const near = nearest(name, Object.keys((await import(url)) as object));
  return `${entry} has no export ${name}${near.length > 0 ? `; near it: ${near.join(', ')}` : ''}`;
}

function isScenario(value: unknown): value is Scenario {
  if (typeof value !== 'object' || value === null) return false;
  const { id, variants, build } = value as Partial<Scenario>;
  return typeof id === 'string' && Array.isArray(variants) && typeof build === 'function';
}

/**
 * One line about an error that was thrown in, or called from, a user's file: `file:line: what`. Undefined if no user's
 * code is on the stack: then the error is ours.
 */
export function userError(error: unknown): string | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const frame = new RegExp(`${STACK_NAME}-(\\d+):(\\d+):(\\d+)`).exec(stack);
  const user = frame === null ? undefined : places.get(Number(frame[1]));
  if (frame === null || user === undefined) return undefined;
  const origin = originOf(user.map)(Number(frame[2]), Number(frame[3]) - 1);
  const file = origin === undefined ? user.name : shownPath(sourcePath(origin.file));
  return `${file}${origin === undefined ? '' : `:${origin.line}`}: ${errorText(error)}`;
}

function sourcePath(source: string): string {
  return source.startsWith('file:') ? fileURLToPath(source) : resolve(source);
}

function errorText(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const message = error.message.split('\n', 1)[0]!;
  const ours = error instanceof UsageError || error instanceof PathError || error.name === 'Error';
  return ours ? message : `${error.name}: ${message}`;
}
