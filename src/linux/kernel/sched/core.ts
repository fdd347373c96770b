// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../../core/path.js';
import type { System } from '../../../core/system.js';
import { current } from '../../kernel.js';

export function defineSchedOps(system: System) {
  return {
    mightSleep: system.op({
      name: 'might_sleep',
      sleeps: true,
      drains: false,
      exec: () => 0,
      touches: () => {},
    }),
  };
}

/**
 * Says that this point may sleep: in atomic context that is a report.
 * @context may sleep
 * @kernel 6.12 kernel/sched/core.c __might_sleep: faithful
 */
export function* might_sleep(): Path {
  yield* request(current.kernel.op.mightSleep);
}
