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

/** What a model that is broken says instead of an answer. */
const BROKEN = 'the model is broken: ';

/**
 * What the model answers; if an operation breaks one of its properties, or its code, the last line says so. `real`: no more
 * than up to the first answer that differs from it. `operationBegins` is called before each operation.
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
    const { value, done } = nextOf(answering);
    if (done || value[0]!.startsWith('>')) {
      const from = lines.length;
      for (const line of normalise(answer)) lines.push(line);
      if (done) return value === undefined ? lines : [...lines, BROKEN + value];
      if (real !== undefined && lines.slice(from).some((line, i) => line !== real[from + i])) return lines;
      answer = [];
    }
    answer.push(...value);
  }
}

type Answering = ReturnType<typeof answersOf>;

/** An error is something that a model that is broken says, unless the script is none. */
function nextOf(answering: Answering): ReturnType<Answering['next']> {
  try {
    return answering.next();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    return { done: true, value: (error as Error).message };
  }
}

/** The first operation that the model answers otherwise. */
export interface Difference {
  /** The operations since the last reset, with what was answered. */
  readonly before: readonly string[];
  readonly real: readonly string[];
  readonly model: readonly string[];
  /** The model does not answer: a property or its code is broken. */
  readonly broken: boolean;
}

export function differenceOf(model: readonly string[], real: readonly string[]): Difference | undefined {
  const [got, want] = [answers(model), answers(real)];
  let at = 0;
  while (at < want.length && want[at]!.join('\n') === got[at]?.join('\n')) at++;
  if (at === want.length && got.length <= want.length) return undefined;
  const from = want.findLastIndex((lines, i) => i < at && lines[0] === '> reset') + 1;
  const answered = got[at] ?? ['nothing'];
  return {
    before: want.slice(from, at).map(([line]) => line!),
    real: want[at] ?? ['nothing'],
    model: answered,
    broken: answered.at(-1)!.startsWith(BROKEN),
  };
}

/** The two answers. */
export const shown = ({ real, model }: Difference): string =>
  ['the real kernel:', ...real, 'the model:', ...model].join('\n');

/** The first operation that the model answers otherwise, with what came before it since the last reset; undefined if there is none. */
export function firstDifference(model: readonly string[], real: readonly string[]): string | undefined {
  const difference = differenceOf(model, real);
  return difference && [...difference.before, shown(difference)].join('\n');
}
