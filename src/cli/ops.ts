// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { text as textOf } from 'node:stream/consumers';
import { UsageError } from '../core/scenario.js';
import { Broken, Straight } from '../explore/straight.js';
import { Ops } from '../litmus/ops.js';
import { normalise } from '../litmus/ops-observe.js';
import { parseOps } from '../litmus/ops-language.js';
import type { Knobs } from '../linux/knobs.js';
import { Exit } from './exit.js';
import { fail } from './output.js';

export interface OpsCommand {
  /** A script, or - for standard input. */
  readonly file: string;
  readonly normalise: boolean;
  /** Show what notifiers are told as well. */
  readonly trace: boolean;
  readonly knobs: Partial<Knobs>;
}

/** Executes a script of mm operations on one kernel and prints what they answer. Returns the exit code. */
export async function opsCommand({ file, normalise: normalised, trace, knobs }: OpsCommand): Promise<number> {
  const name = file === '-' ? 'standard input' : file;
  const { lines, broken } = runOps(await readScript(file, name), name, { knobs, trace });
  const shown = normalised ? normalise(lines) : lines;
  process.stdout.write(shown.map((line) => `${line}\n`).join(''));
  if (broken === undefined) return Exit.OK;
  fail(broken);
  return Exit.DIFFERS;
}

/** What a script has answered, and which property an operation has broken, if any: then it ends there. */
export interface OpsResult {
  readonly lines: string[];
  readonly broken?: string;
}

/** Executes a script with all invariants that hold always, the sums after each operation, and lockdep. */
export function runOps(text: string, name: string, options: AnswersOptions = {}): OpsResult {
  const answers = answersOf(text, name, options);
  const lines: string[] = [];
  for (;;) {
    const { value, done } = answers.next();
    if (!done) lines.push(...value);
    else return value === undefined ? { lines } : { lines, broken: value };
  }
}

export interface AnswersOptions {
  readonly knobs?: Partial<Knobs>;
  /** Steps that one path of an operation may take. */
  readonly limit?: number;
  /**
   * When invariants are looked at. Default: after each step, and then lockdep looks on as well. never: for the answers alone,
   * several times as fast.
   */
  readonly judged?: 'step' | 'operation' | 'never' | undefined;
  /** Show what notifiers are told as well. */
  readonly trace?: boolean;
}

/** The lines of each answer as the operations are executed; then which property the last one has broken, if any. */
export function* answersOf(
  text: string,
  name: string,
  { knobs = {}, limit, trace = false, judged: when = 'step' }: AnswersOptions,
): Generator<string[], string | undefined> {
  const script = parseOps(text, name);
  const ops: Ops = new Ops(script, (agent, path) => straight.run(agent, path), knobs, when !== 'never');
  const straight: Straight = new Straight(ops.kernel.system, {
    choose: () => 0,
    ...(when === 'step' ? {} : { atOnce: true, invariants: when === 'never' ? 'off' : when }),
    ...(when === 'never' ? {} : { monitor: () => ops.monitor() }),
    ...(limit === undefined ? {} : { limit }),
  });
  if (trace) ops.traceRanges();
  /** What a step breaks. */
  const judged = (step: () => void): string | undefined => {
    try {
      step();
      straight.settle();
      if (when !== 'never') straight.judge();
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      return `${error.property}: ${error.detail}`;
    }
    const [report] = straight.reports;
    if (report !== undefined) return `${report[0]}: ${report[1]}`;
    return ops.leaked.length === 0 ? undefined : `all processes have exited, and ${ops.leaked.join(', ')}`;
  };
  for (const line of script.lines) {
    let answer: string[] = [];
    const broken = judged(() => (answer = ops.step(line)));
    if (answer.length > 0) yield answer;
    if (broken !== undefined) return `${name}:${line.number}: ${broken}`;
  }
  const broken = judged(() => ops.finish());
  return broken === undefined ? undefined : `${name}: ${broken}`;
}

/** Reads a file, or standard input for `-`. Throws a UsageError. */
export async function readScript(file: string, name: string): Promise<string> {
  try {
    return file === '-' ? await textOf(process.stdin) : readFileSync(file, 'utf8');
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException;
    throw new UsageError(`${name}: ${UNREADABLE[code] ?? `can't be read (${code})`}`, { cause: error });
  }
}

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EISDIR: 'not a file',
  ERR_FS_FILE_TOO_LARGE: 'too long',
  ERR_STRING_TOO_LONG: 'too long',
};
