// SPDX-License-Identifier: MIT
/** What stands behind reports that depend on paths alone (`NodeMonitor.explain`), once an exploration is over. */
import type { Account, NodeMonitor, PathGraph } from '../core/scenario.js';
import type { Automaton } from './automaton.js';

/** What the monitor has to say of all points that the automata have. */
export function explain(monitor: NodeMonitor | undefined, automaton: Automaton): readonly Account[] {
  if (monitor?.explain === undefined) return [];
  const { agent, op, a, b, c } = automaton;
  const paths: PathGraph = {
    points: automaton.size - 1,
    request: (point) => ({
      agent: agent[point]!,
      op: op[point]!,
      a: a[point]!,
      b: b[point]!,
      c: c[point]!,
    }),
    stack: (point) => automaton.stack(point),
    edges: (visit) => automaton.eachEdge(visit),
  };
  return monitor.explain(paths);
}

/** The accounts of several passes: each once, with the shorter stacks. */
export function mergeAccounts(passes: readonly (readonly Account[])[]): Account[] {
  const merged = new Map<string, Account>();
  for (const account of passes.flat()) {
    const key = `${account.name} ${account.about}`;
    const known = merged.get(key);
    if (known === undefined || isShorter(account, known)) merged.set(key, account);
  }
  return [...merged.values()].sort(
    (x, y) => compare(x.name, y.name) || x.parts.length - y.parts.length || compare(x.about, y.about),
  );
}

function isShorter(x: Account, y: Account): boolean {
  const depth = ({ parts }: Account): number =>
    parts.reduce((sum, { first, second }) => sum + first.stack.length + second.stack.length, 0);
  return depth(x) < depth(y) || (depth(x) === depth(y) && JSON.stringify(x) < JSON.stringify(y));
}

function compare(x: string, y: string): number {
  return x < y ? -1 : x > y ? 1 : 0;
}
