// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../../core/path.js';
import type { Cell, System } from '../../../core/system.js';
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
    /** Sleeps until cell a holds b. Who changes it wakes: the look is no access of the code's. */
    rcuwait: system.op({
      name: 'rcuwait',
      sleeps: true,
      drains: false,
      args: ['cell', 'plain', 'plain'],
      enabled: (a, b) => system.mem[a] === b,
      waits: (a, b) => ({ until: `${system.cells[a]!.name} = ${b}`, counted: [a] }),
      exec: () => 0,
      touches: (a, _b, _c, _agent, access) => void access.silent.push(a),
      describe: (a, b) => `waits until ${system.cells[a]!.name} is ${b}`,
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

/** Sleeps until the field has the value, which whoever gives it that value tells. @context may sleep @kernel 6.12 kernel/exit.c rcuwait_wake_up: adapted (who waits) */
export function* rcuwait(field: Cell, value: number): Path {
  yield* request(current.kernel.op.rcuwait, field.at, value);
}
