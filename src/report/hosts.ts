// SPDX-License-Identifier: MIT
import type { Trace } from '../explore/trace.js';

/** By agent: for whom it acts. A store buffer (`drain0`) acts for the agent of its CPU, everybody else for itself. */
export function hostsOf({ agents }: Pick<Trace, 'agents'>): number[] {
  return agents.map(({ name, daemon }, agent) => {
    const cpu = daemon ? /^drain(\d+)$/.exec(name)?.[1] : undefined;
    if (cpu === undefined) return agent;
    const host = agents.findIndex((other) => other.cpu === Number(cpu) && !other.daemon);
    return host < 0 ? agent : host;
  });
}
