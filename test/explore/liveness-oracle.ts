// SPDX-License-Identifier: MIT
import { live, stackKey } from '../../src/core/live.js';
import { FIRST_OWN_OP, Op } from '../../src/core/ops.js';
import { resume, running } from '../../src/core/running.js';
import { semantics } from '../../src/core/semantics.js';
import type { System } from '../../src/core/system.js';

interface Node {
  readonly mem: Int32Array;
  readonly logs: readonly (readonly number[])[];
  readonly edges: { to: number; agent: number; quiet: boolean }[];
  readonly enabled: boolean[];
  readonly queued: boolean[];
  waiting: boolean;
  failing: string[];
}

/**
 * What findLivelock() should find, the naive way: all states with all steps, paths run again from their starts, and
 * components by reachability. For systems that are sound otherwise.
 */
export function fairCycle(system: System, maxStates: number): string | undefined {
  const { enabled, choices, execute } = semantics(system);
  const cells = system.cells.length;
  const agents = system.agents.map((_, agent) => agent);
  const standing = (agent: number, log: readonly number[]) => {
    live.stack = [];
    const path = system.agents[agent]!.start();
    const stack: unknown[] = [];
    let result = resume(system, agent, stack, path, 0);
    for (const value of log) result = resume(system, agent, stack, path, value);
    const quiet = running.progressed.length === 0;
    const request = result.done ? { op: Op.DONE, a: 0, b: 0, c: 0 } : { ...result.value };
    return { ...request, quiet, key: `${JSON.stringify(request)}${result.done ? '' : stackKey(stack)}` };
  };
  const nodes: Node[] = [];
  const numbers = new Map<string, number>();
  const arrive = (logs: readonly (readonly number[])[]): number => {
    const mem = system.mem.slice(0, cells);
    const key = `${mem.join()}|${agents.map((agent) => standing(agent, logs[agent]!).key).join('|')}`;
    let number = numbers.get(key);
    if (number === undefined) {
      numbers.set(key, (number = nodes.length));
      nodes.push({ mem, logs, edges: [], enabled: [], queued: [], waiting: false, failing: [] });
    }
    return number;
  };
  for (const monitor of system.monitors) monitor.update(-1);
  arrive(agents.map(() => []));
  for (let at = 0; at < nodes.length; at++) {
    if (nodes.length > maxStates) throw new Error('too many states for the oracle');
    const node = nodes[at]!;
    system.mem.set(node.mem);
    for (const agent of agents) {
      const { op, a, b, c } = standing(agent, node.logs[agent]!);
      node.enabled[agent] = enabled(agent, op, a, b, c);
      node.queued[agent] =
        op === Op.LOCK || (op >= FIRST_OWN_OP && system.ops[op - FIRST_OWN_OP]!.queued === true);
      if (op !== Op.DONE && !system.agents[agent]!.daemon) node.waiting = true;
      for (let choice = 0; node.enabled[agent] && choice < choices(agent, op, a, b, c); choice++) {
        system.mem.set(node.mem);
        const before = system.mem.slice(0, cells);
        const log = [...node.logs[agent]!, execute(agent, op, a, b, c, choice)];
        for (const monitor of system.monitors)
          if (monitor.cells.some((cell) => before[cell.at] !== system.mem[cell.at])) monitor.update(agent);
        const { quiet } = standing(agent, log);
        node.edges.push({ to: arrive(node.logs.with(agent, log)), agent, quiet });
      }
      system.mem.set(node.mem);
    }
    node.failing = system.invariants
      .filter((invariant) => invariant.when === 'end' && invariant.check() !== undefined)
      .map(({ kind, property }) => `${kind ?? 'violation'} ${property}`);
  }
  const fair = agents.filter((agent) => system.agents[agent]!.fair);
  for (const component of split(
    nodes,
    nodes.map((_, i) => i),
  )) {
    for (const part of fairParts(nodes, component, fair)) {
      if (nodes[part[0]!]!.waiting) return 'livelock PROGRESS';
      const always = nodes[part[0]!]!.failing.find((what) =>
        part.every((state) => nodes[state]!.failing.includes(what)),
      );
      if (always !== undefined) return always;
    }
  }
  return undefined;
}

/** Components with a quiet edge, of the part of the graph `within`: states that reach each other. */
function split(nodes: readonly Node[], within: readonly number[]): number[][] {
  const inside = new Set(within);
  const reached = new Map<number, Set<number>>();
  for (const from of within) {
    const seen = new Set<number>();
    const queue = [from];
    for (let at = queue.pop(); at !== undefined; at = queue.pop())
      for (const { to, quiet } of nodes[at]!.edges)
        if (quiet && inside.has(to) && !seen.has(to)) {
          seen.add(to);
          queue.push(to);
        }
    reached.set(from, seen);
  }
  const found: number[][] = [];
  const done = new Set<number>();
  for (const from of within) {
    if (done.has(from) || !reached.get(from)!.has(from)) continue;
    const component = within.filter((to) => reached.get(from)!.has(to) && reached.get(to)!.has(from));
    for (const state of component) done.add(state);
    found.push(component);
  }
  return found;
}

function fairParts(
  nodes: readonly Node[],
  component: readonly number[],
  fair: readonly number[],
): (readonly number[])[] {
  const inside = new Set(component);
  let left = component;
  for (const agent of fair) {
    const moves = component.some((state) =>
      nodes[state]!.edges.some((edge) => edge.quiet && edge.agent === agent && inside.has(edge.to)),
    );
    if (moves) continue;
    if (component.every((state) => nodes[state]!.enabled[agent])) return [];
    if (nodes[component[0]!]!.queued[agent]) left = left.filter((state) => !nodes[state]!.enabled[agent]);
  }
  if (left.length === component.length) return [component];
  return split(nodes, left).flatMap((part) => fairParts(nodes, part, fair));
}
