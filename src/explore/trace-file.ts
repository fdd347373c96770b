// SPDX-License-Identifier: MIT
/** Reading a trace that was written to a file, perhaps long ago, and holding it against what the code does now. */
import { UsageError } from '../core/scenario.js';
import type { Divergence } from './replay.js';
import { parseRun } from './token.js';
import { type Trace, TRACE_VERSION, type TraceFrame, type TraceLine } from './trace.js';

/** What a trace file must hold to be replayed. */
export type RecordedTrace = Pick<Trace, 'id' | 'variant' | 'token' | 'run' | 'steps'>;

/** Reads a trace file. Throws a UsageError that says what is wrong with it. */
export function parseTrace(text: string, name = 'trace'): RecordedTrace {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${name}: not JSON: ${(error as Error).message.split('\n')[0]!}`);
  }
  if (typeof document !== 'object' || document === null || !('version' in document) || !('token' in document))
    throw new UsageError(`${name}: not a trace file of shootdown (it has no version and token)`);
  const trace = document as Partial<Trace>;
  if (trace.version !== TRACE_VERSION)
    throw new UsageError(
      `${name}: trace version ${String(trace.version)}, this shootdown reads ${TRACE_VERSION}`,
    );
  const { id, variant, token, run, steps } = trace;
  if (
    typeof id !== 'string' ||
    typeof variant !== 'string' ||
    typeof token !== 'string' ||
    typeof run !== 'string'
  )
    throw new UsageError(`${name}: corrupt: id, variant, token and run must be texts`);
  parseRun(run);
  if (!Array.isArray(steps) || !steps.every(isStep))
    throw new UsageError(`${name}: corrupt: steps must be a list of steps`);
  return { id, variant, token, run, steps };
}

function isStep(step: unknown): boolean {
  const { agent, op, value, stack } = (step ?? {}) as Partial<TraceLine>;
  return (
    typeof agent === 'number' &&
    typeof op === 'string' &&
    typeof value === 'string' &&
    Array.isArray(stack) &&
    stack.every((frame) => typeof (frame as Partial<TraceFrame> | null)?.fn === 'string')
  );
}

/** Where a replayed trace does something else than the recorded one: the code changed in between. */
export function divergence(recorded: RecordedTrace, now: Trace): Divergence | undefined {
  const words = ({ agent, op, cell, value, stack }: TraceLine): string =>
    `${now.agents[agent]?.name ?? agent}: ${op}${cell === undefined ? '' : ` ${cell}`} = ${value} in ${stack.at(-1)?.fn ?? '?'}()`;
  for (const [i, line] of now.steps.entries()) {
    const before = recorded.steps[i];
    if (before === undefined) break;
    if (words(before) !== words(line))
      return { step: line.index, reason: `recorded ${words(before)}; now ${words(line)}` };
  }
  return now.diverged;
}
