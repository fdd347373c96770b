// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { current, type Kernel } from '../kernel.js';

/**
 * Interrupts on and off. An IRQ-off region is an RCU reader (one flavour since 4.20): switching on ends it.
 */
export function defineIrqOps(kernel: Kernel) {
  const { system, machine } = kernel;
  const cpuOf = (agent: number): number => system.agents[agent]!.cpu;
  return {
    irqOff: system.op({
      name: 'local_irq_disable',
      role: 'irq-off',
      mover: 'right',
      exec: (_a, _b, _c, agent) => {
        system.set(machine.irqsOff[cpuOf(agent)]!.at, 1);
        if (system.gates[agent]! >= 0) system.set(system.gates[agent]!, agent + 1);
        return 0;
      },
      touches: (_a, _b, _c, agent, access) => access.writes.push(machine.irqsOff[cpuOf(agent)]!.at),
      describe: () => 'irqs off',
    }),
    irqOn: system.op({
      name: 'local_irq_enable',
      role: 'irq-on',
      mover: 'left',
      exec: (_a, _b, _c, agent) => {
        system.set(machine.irqsOff[cpuOf(agent)]!.at, 0);
        if (system.gates[agent]! >= 0) system.set(system.gates[agent]!, 0);
        kernel.rcu.quiescent(agent);
        return 0;
      },
      touches: (_a, _b, _c, agent, access) => {
        access.writes.push(machine.irqsOff[cpuOf(agent)]!.at, ...kernel.rcu.maskCells());
        kernel.rcu.touchesReader(agent, access);
      },
      describe: () => 'irqs on',
    }),
  };
}

/**
 * Interrupts off on this CPU. The model does not nest it: the caller has them on.
 * @context any; not nested
 * @kernel 6.12 include/linux/irqflags.h local_irq_save: adapted (flags are not returned)
 */
export function* local_irq_save(): Path {
  yield* request(current.kernel.op.irqOff);
}

/**
 * Interrupts on again: pending IPIs get their answer, the RCU reader that the region was ends.
 * @kernel 6.12 include/linux/irqflags.h local_irq_restore: adapted (not nested)
 */
export function* local_irq_restore(): Path {
  yield* request(current.kernel.op.irqOn);
}
