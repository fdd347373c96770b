// SPDX-License-Identifier: MIT
/**
 * A run in one word, to paste into a mail: `G-01@gup.pte_recheck=before-ref,machine=bcast:0*13,1*12,0*2`.
 *
 *     token = id '@' variant [ '~' pass ] ':' run
 *     run   = steps [ '/' steps ]           the part after the slash repeats for ever (a lasso)
 *     steps = [ item { ',' item } ]
 *     item  = agent [ '.' choice ] [ '*' count ]
 *
 * `agent` is its number in the scenario, `choice` the outcome where a step has several (0 is left out), `pass` the
 * settings of a pass that is not the variant's first (`~eager`). White space and backslashes, which a mail or a shell
 * puts in, are skipped.
 */
import { type Pass, UsageError } from '../core/scenario.js';
import type { Step } from './search.js';

export interface Token {
  readonly id: string;
  readonly variant: string;
  /** Settings of the pass; undefined: the first pass. */
  readonly pass: string | undefined;
  readonly run: readonly Step[];
  /** How many steps come before the part that repeats. */
  readonly loop: number | undefined;
}

const EXAMPLE = 'G-01@machine=bcast:0*13,1*12,0*2';
const MOST_STEPS = 1_000_000;

/** The settings of a pass as a token spells them. */
export function passSuffix(pass: Pass): string {
  return Object.values(pass.settings).join('+');
}

/** The number of the pass that a token names. */
export function passNumber(passes: readonly Pass[], suffix: string | undefined): number {
  if (suffix === undefined) return 0;
  const number = passes.findIndex((pass) => passSuffix(pass) === suffix);
  if (number < 0)
    throw new UsageError(
      `token: no pass ~${suffix}; there is ${passes.map((pass) => `~${passSuffix(pass)}`).join(', ')}`,
    );
  return number;
}

export function printToken({ id, variant, pass, run, loop }: Token): string {
  return `${id}@${variant}${pass === undefined ? '' : `~${pass}`}:${printRun(run, loop)}`;
}

/** The run alone: `0*13,1*12`. */
export function printRun(run: readonly Step[], loop?: number): string {
  if (loop === undefined) return items(run);
  return `${items(run.slice(0, loop))}/${items(run.slice(loop))}`;
}

function items(run: readonly Step[]): string {
  const parts: string[] = [];
  for (let i = 0; i < run.length;) {
    const { agent, choice } = run[i]!;
    let count = 1;
    while (run[i + count]?.agent === agent && run[i + count]?.choice === choice) count++;
    parts.push(`${agent}${choice === 0 ? '' : `.${choice}`}${count === 1 ? '' : `*${count}`}`);
    i += count;
  }
  return parts.join(',');
}

/** Reads a token. Throws a UsageError that says what is wrong with it. */
export function parseToken(text: string): Token {
  const clean = text.replace(/[\s\\]/g, '');
  const parts = /^([^@:]+)@([^~:]+)(?:~([^:]+))?:(.*)$/.exec(clean);
  if (parts === null)
    throw new UsageError(`token: expected ID@VARIANT:RUN, as in ${EXAMPLE}, got "${clip(clean)}"`);
  return { id: parts[1]!, variant: parts[2]!, pass: parts[3], ...parseRun(parts[4]!) };
}

/** Reads the run of a token. */
export function parseRun(text: string): { run: Step[]; loop: number | undefined } {
  const run: Step[] = [];
  const halves = text.split('/');
  if (halves.length > 2)
    throw new UsageError('token: a run has at most one "/", which begins the part that repeats');
  parseItems(halves[0]!, run);
  if (halves.length === 1) return { run, loop: undefined };
  const loop = run.length;
  parseItems(halves[1]!, run);
  if (run.length === loop)
    throw new UsageError('token: the part after "/" repeats for ever, so it needs a step');
  return { run, loop };
}

function parseItems(text: string, run: Step[]): void {
  if (text === '') return;
  for (const item of text.split(',')) {
    const parts = /^(\d{1,3})(?:\.(\d{1,3}))?(?:\*(\d{1,7}))?$/.exec(item);
    const count = Number(parts?.[3] ?? 1);
    if (parts === null || count === 0)
      throw new UsageError(`token: expected AGENT, AGENT*COUNT or AGENT.CHOICE*COUNT, got "${clip(item)}"`);
    if (run.length + count > MOST_STEPS)
      throw new UsageError(`token: the run has more than ${MOST_STEPS} steps`);
    const step = { agent: Number(parts[1]), choice: Number(parts[2] ?? 0) };
    for (let i = 0; i < count; i++) run.push(step);
  }
}

function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
