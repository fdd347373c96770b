// SPDX-License-Identifier: MIT
import type { System } from '../../src/core/system.js';
import { search, type SearchOptions, type SearchResult } from '../../src/explore/search.js';
import type { Outcome } from './oracle.js';

/** What a search found, in the oracle's words. */
export function outcome(system: System, options: SearchOptions = {}): Outcome & { result: SearchResult } {
  const terminals = new Set<string>();
  const result = search(system, {
    ...options,
    onState(state, terminal) {
      if (terminal) terminals.add(state.slice(0, system.cells.length).join());
    },
  });
  return {
    result,
    states: result.states,
    terminals,
    verdicts: new Set(result.findings.map(({ kind, name }) => `${kind} ${name}`)),
    shortest: new Map(result.findings.map(({ kind, name, run }) => [`${kind} ${name}`, run.length])),
  };
}

/** A set, sorted, so that a difference is readable. */
export function sorted(set: ReadonlySet<string>): string[] {
  return [...set].sort();
}

/** Every way to search that must find the same. */
export const WAYS: Readonly<Record<string, SearchOptions>> = {
  bfs: {},
  dfs: { order: 'dfs' },
  exact: { exact: true },
  fused: { fuse: true },
  'fused dfs': { fuse: true, order: 'dfs' },
};

/** All orders of `items`. */
export function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}
