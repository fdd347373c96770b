// SPDX-License-Identifier: MIT
import { existsSync, readFileSync } from 'node:fs';
import { type Scenario, UsageError, type Variant } from '../core/scenario.js';
import { makeTrace, type Trace } from '../explore/trace.js';
import { divergence, parseTrace, type RecordedTrace } from '../explore/trace-file.js';
import { parseToken, passNumber, type Token } from '../explore/token.js';
import { diagram } from '../report/diagram.js';
import { kernelValue } from '../report/values.js';
import { type Entry, selectOne } from './catalogue.js';
import { Exit } from './exit.js';
import { sayJson, shellWord } from './output.js';
import { looksLikeFile } from './paths.js';
import { withSource } from './result.js';
import { variantNamed } from './variants.js';

/** The trace as text, with a replay command that finds a user's file. */
export function drawn(trace: Trace, entry: Entry, all: boolean): string {
  const token = entry.user === undefined ? trace.token : shellWord(`${entry.user.name}#${trace.token}`);
  return diagram({ ...trace, token }, { all });
}

export interface ReplayCommand {
  /** A token, `FILE#TOKEN`, or a trace file. */
  readonly argument: string;
  readonly all: boolean;
  readonly json: boolean;
}

/** Executes a recorded run and prints it. Exit code 1: the code has changed, and the run does something else now. */
export async function replayCommand({ argument, all, json }: ReplayCommand): Promise<number> {
  const { entry, token, recorded } = isTraceFile(argument)
    ? await fromFile(argument)
    : await fromToken(argument);
  const { scenario } = entry;
  const variant = variantNamed(scenario, token.variant);
  const trace = traceOf(scenario, variant, token);
  const diverged = recorded === undefined ? trace.diverged : divergence(recorded, trace);
  const shown: Trace = diverged === undefined ? trace : { ...trace, diverged };
  if (json) sayJson(withSource(shown, entry));
  else process.stdout.write(drawn(shown, entry, all));
  return diverged === undefined ? Exit.OK : Exit.DIFFERS;
}

function traceOf(scenario: Scenario, variant: Variant, { pass, run, loop }: Token): Trace {
  const passes = scenario.passes(variant.knobs);
  return makeTrace({
    scenario,
    variant: variant.name,
    knobs: variant.knobs,
    pass: passNumber(passes, pass),
    run,
    loop,
    showValue: kernelValue,
  });
}

function isTraceFile(argument: string): boolean {
  if (existsSync(argument)) return true;
  return !argument.includes('@') && (looksLikeFile(argument) || argument.endsWith('.json'));
}

interface Replay {
  readonly entry: Entry;
  readonly token: Token;
  readonly recorded?: RecordedTrace;
}

async function fromToken(argument: string): Promise<Replay> {
  const hash = argument.lastIndexOf('#', argument.lastIndexOf('@'));
  if (hash >= 0) {
    const token = parseToken(argument.slice(hash + 1));
    return { entry: await selectOne(`${argument.slice(0, hash)}#${token.id}`), token };
  }
  const token = parseToken(argument);
  return { entry: await selectOne(token.id), token };
}

async function fromFile(path: string): Promise<Replay> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as { code?: string };
    throw new UsageError(
      code === 'ENOENT' ? `${path}: no such file` : `${path}: can't be read (${code ?? 'error'})`,
      { cause: error },
    );
  }
  const recorded = parseTrace(text, path);
  const token = withPath(path, () => parseToken(recorded.token));
  const { source } = JSON.parse(text) as { source?: unknown };
  if (source !== undefined && typeof source !== 'string')
    throw new UsageError(`${path}: corrupt: source must be the name of a file`);
  if (source !== undefined && !existsSync(source))
    throw new UsageError(`${path}: was made from ${source}, which is not there: run this where it was made`);
  return {
    entry: await selectOne(source === undefined ? token.id : `${source}#${token.id}`),
    token,
    recorded,
  };
}

/** Says in which file the error is. */
function withPath<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}
