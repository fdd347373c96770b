// SPDX-License-Identifier: MIT
import type { Account, Scenario, Variant } from '../core/scenario.js';
import { check, type CheckOptions, type Found, type Verdict } from '../explore/check.js';
import { find, type Sought } from '../explore/find.js';
import { makeTrace, type Trace } from '../explore/trace.js';
import { kernelValue } from '../report/values.js';
import { SCENARIOS } from '../scenarios/index.js';
import { internalError, userMessage } from './errors.js';
import { loadUserFile, type UserFile } from './user-file.js';

/** One variant to check, or to search for a run to something. Plain data: it goes to a worker thread. */
export interface Task {
  readonly id: string;
  readonly user?: UserFile;
  readonly variant: Variant;
  readonly sought?: Sought;
  readonly options: CheckOptions;
  /** Where the worker says how far it is: states, depth, and 1 once it has begun. */
  readonly progress: Int32Array;
}

/** A verdict with the run that shows it. */
export interface Result {
  readonly verdict: Verdict;
  readonly trace: Trace | null;
  readonly memory: string;
}

/** What a worker answers. */
export type Answer =
  | { readonly kind: 'verdict'; readonly result: Result }
  | { readonly kind: 'run'; readonly trace: Trace | null; readonly bound: string | undefined }
  /** The user's file is wrong. */
  | { readonly kind: 'wrong'; readonly message: string }
  /** There is not enough memory, or time. */
  | { readonly kind: 'gave up'; readonly bound: string }
  /** A bug of ours. */
  | { readonly kind: 'crash'; readonly stack: string };

Error.stackTraceLimit = 100; // a user's frame may stand below many of ours

/** Does what the task says. */
export default async function run(task: Task): Promise<Answer> {
  task.progress[2] = 1;
  try {
    const scenarios = task.user === undefined ? SCENARIOS : await loadUserFile(task.user);
    const scenario = scenarios.find(({ id }) => id === task.id);
    if (scenario === undefined) throw new Error(`expected a scenario ${task.id}`);
    const options: CheckOptions = {
      ...task.options,
      onProgress: (states, depth) => {
        task.progress[0] = states;
        task.progress[1] = depth;
      },
    };
    return task.sought === undefined
      ? checkVariant(scenario, task.variant, options)
      : findRun(scenario, task.variant, task.sought, options);
  } catch (error) {
    if (error instanceof RangeError && /allocation|array length|maximum size/i.test(error.message))
      return { kind: 'gave up', bound: 'memory' };
    const message = userMessage(error);
    return message === undefined
      ? { kind: 'crash', stack: internalError(error) }
      : { kind: 'wrong', message: `${task.id} ${task.variant.name}: ${withoutId(message, task.id)}` };
  }
}

function withoutId(message: string, id: string): string {
  return message.startsWith(`${id}: `) ? message.slice(id.length + 2) : message;
}

function checkVariant(scenario: Scenario, variant: Variant, options: CheckOptions): Answer {
  const verdict = check(scenario, variant, options);
  const trace = verdict.shown === undefined ? null : traceOf(scenario, variant, verdict.shown);
  const { memory } = scenario.build(variant.knobs, scenario.passes(variant.knobs)[0]!).system;
  return { kind: 'verdict', result: { verdict, trace, memory } };
}

function findRun(scenario: Scenario, variant: Variant, sought: Sought, options: CheckOptions): Answer {
  const { found, bound, accounts } = find(scenario, variant, sought, options);
  return {
    kind: 'run',
    trace: found === undefined ? null : traceOf(scenario, variant, found, accounts),
    bound,
  };
}

function traceOf(
  scenario: Scenario,
  variant: Variant,
  found: Found,
  accounts: readonly Account[] = [],
): Trace {
  return makeTrace({
    scenario,
    variant: variant.name,
    knobs: variant.knobs,
    pass: found.pass,
    run: found.run,
    loop: found.loop,
    shows: { kind: found.kind, property: found.name, detail: found.detail },
    accounts,
    showValue: kernelValue,
  });
}
