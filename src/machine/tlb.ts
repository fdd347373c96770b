// SPDX-License-Identifier: MIT
import type { Access } from '../core/ops.js';
import type { Machine } from './machine.js';
import { rangeEnd, rangeStart } from './range.js';

/** TLB shoot-down: the steps that flush_tlb_*() and smp_call_function() are made of. Page ranges are packed: packRange(). */
export function defineTlbOps(machine: Machine) {
  const { system, options } = machine;
  const range = (packed: number): { start: number; end: number } => ({
    start: rangeStart(packed),
    end: rangeEnd(packed),
  });
  const cpuOf = (agent: number): number => system.agents[agent]!.cpu;
  const flushCpu = (cpu: number, space: number, packed: number): void => {
    const { start, end } = range(packed);
    const entries = machine.tlb[cpu]![space];
    if (entries === undefined) return;
    for (let page = start; page < end; page++)
      if (entries[page] !== undefined) system.set(entries[page]!.at, 0);
    for (const entry of machine.pwc[cpu]![space] ?? []) system.set(entry.at, 0);
  };
  const tlbCells = (cpus: readonly number[], space: number, access: Access): void => {
    for (const cpu of cpus)
      for (const entry of [...(machine.tlb[cpu]![space] ?? []), ...(machine.pwc[cpu]![space] ?? [])])
        access.writes.push(entry.at);
  };
  const drained = (cpu: number): boolean => {
    const buffer = system.storeBuffers[cpu];
    return buffer === undefined || system.mem[buffer] === 0;
  };
  /** CPUs that can handle the interrupt of agent's CPU now. */
  const answering = (agent: number): number[] => {
    const mask = machine.ipiPending[cpuOf(agent)]!.value;
    const cpus: number[] = [];
    for (let cpu = 0; cpu < options.cpus; cpu++)
      // An interrupt drains the store buffer of the CPU that it hits.
      if ((mask >> cpu) & 1 && machine.irqsOff[cpu]!.value === 0 && drained(cpu)) cpus.push(cpu);
    return cpus;
  };
  const pages = (space: number, packed: number): string => {
    const { start, end } = range(packed);
    return end - start === 1
      ? `${machine.spaces[space]!.name} page ${start}`
      : `${machine.spaces[space]!.name} pages ${start}..${end - 1}`;
  };
  return {
    /** Drops the entries of space a, pages b, on this CPU. */
    flushLocal: system.op({
      name: 'flush_tlb_local',
      exec: (a, b, _c, agent) => {
        flushCpu(cpuOf(agent), a, b);
        return 0;
      },
      touches: (a, _b, _c, agent, access) => tlbCells([cpuOf(agent)], a, access),
      describe: (a, b) => `this CPU's TLB: ${pages(a, b)} flushed`,
    }),
    /** bcast: drops the entries of space a, pages b, on all CPUs, whatever they are doing. */
    flushBroadcast: system.op({
      name: 'flush_tlb_broadcast',
      exec: (a, b) => {
        for (const cpu of machine.spaces[a]!.cpus) flushCpu(cpu, a, b);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => tlbCells(machine.spaces[a]!.cpus, a, access),
      describe: (a, b) => `all TLBs: ${pages(a, b)} flushed, no CPU waited for`,
    }),
    /** Sends an interrupt to the CPUs of mask a. */
    ipiSend: system.op({
      name: 'ipi_send',
      exec: (a, _b, _c, agent) => {
        system.set(machine.ipiPending[cpuOf(agent)]!.at, a);
        return 0;
      },
      touches: (_a, _b, _c, agent, access) => access.writes.push(machine.ipiPending[cpuOf(agent)]!.at),
      needsIrqsOn: true,
      describe: () => 'IPI sent',
    }),
    /**
     * One of the CPUs that this CPU waits for, and that has interrupts on, handles the interrupt; which one is a choice.
     * b = -1: it only answers; else it drops the entries of space a, pages b. Observes whether it was the last one.
     */
    ipiAnswer: system.op({
      name: 'ipi_answer',
      enabled: (_a, _b, _c, agent) => answering(agent).length > 0,
      waits: (_a, _b, _c, agent) => ({
        until: 'other CPUs to answer its interrupt',
        agents: system.agents.flatMap(({ cpu }, other) =>
          cpu >= 0 &&
          (machine.ipiPending[cpuOf(agent)]!.value >> cpu) & 1 &&
          machine.irqsOff[cpu]!.value !== 0
            ? [other]
            : [],
        ),
        by: 'local_irq_enable()',
        inside: ['irq-off'],
      }),
      choices: (_a, _b, _c, agent) => answering(agent).length,
      exec: (a, b, _c, agent, choice) => {
        const cpu = answering(agent)[choice]!;
        if (b >= 0) flushCpu(cpu, a, b);
        const pending = machine.ipiPending[cpuOf(agent)]!;
        const rest = pending.value & ~(1 << cpu);
        system.set(pending.at, rest);
        return rest === 0 ? 1 : 0;
      },
      touches: (a, b, _c, agent, access) => {
        const cpu = cpuOf(agent);
        access.writes.push(machine.ipiPending[cpu]!.at);
        for (let other = 0; other < options.cpus; other++)
          if (other !== cpu) {
            access.reads.push(machine.irqsOff[other]!.at);
            const buffer = system.storeBuffers[other];
            if (buffer !== undefined) access.reads.push(buffer);
          }
        if (b >= 0)
          tlbCells(
            machine.spaces[a]!.cpus.filter((other) => other !== cpu),
            a,
            access,
          );
      },
      describe: (a, b) => (b < 0 ? 'IPI handled' : `IPI handled: ${pages(a, b)} flushed`),
    }),
  };
}
