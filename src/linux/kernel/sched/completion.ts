// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import { awaitValue, write } from '../../../core/primitives.js';
import type { Cell } from '../../../core/system.js';
import type { Kernel } from '../../kernel.js';

/** @kernel 6.12 include/linux/completion.h struct completion: adapted (completed once) */
export class Completion {
  readonly done: Cell;
  constructor(kernel: Kernel, name: string) {
    this.done = kernel.system.cell(name);
  }
}

/** @context any @kernel 6.12 kernel/sched/completion.c complete: adapted (completed once) */
export function* complete(x: Completion): Path {
  yield* write(x.done, 1);
}

/** @context may sleep @kernel 6.12 kernel/sched/completion.c wait_for_completion: adapted (completed once: stays done) */
export function* wait_for_completion(x: Completion): Path {
  yield* awaitValue(x.done, 1);
}
