// SPDX-License-Identifier: MIT
import { type AnswersOptions, answersOf } from '../src/cli/ops.js';
import { UsageError } from '../src/core/scenario.js';
import { normalise } from '../src/litmus/ops-observe.js';

/** An operation, and the lines that were answered to it. */
export function answers(lines: readonly string[]): string[][] {
  const found: string[][] = [];
  for (const line of lines) {
    if (line.startsWith('>') || found.length === 0) found.push([]);
    found.at(-1)!.push(line);
  }
  return found;
}

/**
 * What the model answers; if an operation breaks one of its properties, the last line says so. `real`: no more than up to
 * the first answer that differs from it. `operationBegins` is called before each operation.
 */
export function modelAnswer(
  script: string,
  name: string,
  options: AnswersOptions,
  real?: readonly string[],
  operationBegins: () => void = () => {},
): string[] {
  const answering = answersOf(script, name, options);
  const lines: string[] = [];
  /** An operation's lines, and those of what is observed after it. */
  let answer: string[] = [];
  for (;;) {
    operationBegins();
    const { value, done } = answering.next();
    if (done || value[0]!.startsWith('>')) {
      const from = lines.length;
      for (const line of normalise(answer)) lines.push(line);
      if (done) return value === undefined ? lines : [...lines, `the model is broken: ${value}`];
      if (real !== undefined && lines.some((line, i) => i >= from && line !== real[i])) return lines;
      answer = [];
    }
    answer.push(...value);
  }
}

/** The first operation that the model answers otherwise, with what came before it since the last reset; undefined if there is none. */
export function firstDifference(model: readonly string[], real: readonly string[]): string | undefined {
  const [got, want] = [answers(model), answers(real)];
  let at = 0;
  while (at < want.length && want[at]!.join('\n') === got[at]?.join('\n')) at++;
  if (at === want.length && got.length <= want.length) return undefined;
  const from = want.findLastIndex((lines, i) => i < at && lines[0] === '> reset') + 1;
  return [
    ...want.slice(from, at).map(([line]) => line!),
    'the real kernel:',
    ...(want[at] ?? ['nothing']),
    'the model:',
    ...(got[at] ?? ['nothing']),
  ].join('\n');
}

/** Do the two differ about a script? One that the model does not take is no witness. */
export function differ(script: string, real: readonly string[], trace: boolean): boolean {
  try {
    return firstDifference(modelAnswer(script, 'script', { trace }), real) !== undefined;
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}
