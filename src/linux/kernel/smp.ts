// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { current } from '../kernel.js';

/**
 * Interrupts all other CPUs and waits until each has handled the interrupt, which it does as soon as its interrupts
 * are on. The CPUs may answer in any order.
 * @context interrupts on
 * @kernel 6.12 kernel/smp.c smp_call_function: adapted (wait = 1; the function runs in the step that answers)
 */
export function* smp_call_function(): Path {
  const { machine } = current.kernel;
  let others = 0;
  for (let cpu = 0; cpu < machine.options.cpus; cpu++) if (cpu !== current.cpu) others |= 1 << cpu;
  if (others === 0) return;
  yield* request(machine.op.ipiSend, others);
  while ((yield* request(machine.op.ipiAnswer, 0, -1)) === 0);
}
