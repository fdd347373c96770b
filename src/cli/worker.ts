// SPDX-License-Identifier: MIT
import type { Variant } from '../core/scenario.js';
import { check, type CheckOptions, type Verdict } from '../explore/check.js';
import { SCENARIOS } from '../scenarios/index.js';
import { internalError, userMessage } from './errors.js';
import { loadUserFile, type UserFile } from './user-file.js';

/** One variant to check. Plain data: it goes to a worker thread. */
export interface Task {
  readonly id: string;
  readonly user?: UserFile;
  readonly variant: Variant;
  readonly options: CheckOptions;
  /** Where the worker says how far it is: states, depth. */
  readonly progress: Int32Array;
}

/** What a worker answers. */
export type Answer =
  | { readonly kind: 'verdict'; readonly verdict: Verdict }
  /** The user's file is wrong. */
  | { readonly kind: 'wrong'; readonly message: string }
  /** The computer is too small. */
  | { readonly kind: 'memory' }
  /** A bug of ours. */
  | { readonly kind: 'crash'; readonly stack: string };

Error.stackTraceLimit = 100; // a user's frame may stand below many of ours

/** Checks one variant. */
export default async function run(task: Task): Promise<Answer> {
  try {
    const scenarios = task.user === undefined ? SCENARIOS : await loadUserFile(task.user);
    const scenario = scenarios.find(({ id }) => id === task.id);
    if (scenario === undefined) throw new Error(`expected a scenario ${task.id}`);
    const verdict = check(scenario, task.variant, {
      ...task.options,
      onProgress: (states, depth) => {
        task.progress[0] = states;
        task.progress[1] = depth;
      },
    });
    return { kind: 'verdict', verdict };
  } catch (error) {
    if (error instanceof RangeError && /allocation|array length|Map maximum|Set maximum/i.test(error.message))
      return { kind: 'memory' };
    const message = userMessage(error);
    return message === undefined
      ? { kind: 'crash', stack: internalError(error) }
      : { kind: 'wrong', message: `${task.id} ${task.variant.name}: ${message}` };
  }
}
