// SPDX-License-Identifier: MIT
import { site, type Site } from '../core/live.js';
import type { System } from '../core/system.js';
import { Automaton } from './automaton.js';
import { search } from './search.js';

/** Two histories were taken for one point of a path, but the path goes on differently. */
export interface Mismatch {
  readonly agent: string;
  /** What the path observed from its start. */
  readonly history: readonly number[];
  /** Where it stood before the last observation, outermost call first. */
  readonly stack: readonly Site[];
  readonly request: string;
  /** The request after the other history. */
  readonly merged: string;
}

/**
 * Checks the merging of nodes by live locals: walks the automata of whole histories and the merged ones in lockstep,
 * along every run of the first `maxStates` states. Equal observations must lead to equal requests. Slow: for tests.
 */
export function audit(system: System, maxStates = 20_000): Mismatch | undefined {
  let whole: Automaton | undefined;
  search(system, { merge: false, maxStates, onAutomaton: (automaton) => (whole = automaton) });
  if (whole === undefined) throw new Error('expected the search to hand out its automata');
  const merged = new Automaton(system);
  const images = new Int32Array(whole.size);
  const show = (automaton: Automaton, node: number): string =>
    `${system.opName(automaton.op[node]!)}(${automaton.a[node]}, ${automaton.b[node]}, ${automaton.c[node]})`;
  for (let node = 1; node < whole.size; node++) {
    const { before, value } = whole.origin(node);
    const image = before === 0 ? merged.start(whole.agent[node]!) : merged.child(images[before]!, value);
    images[node] = image;
    if (show(whole, node) !== show(merged, image))
      return {
        agent: system.agents[whole.agent[node]!]!.name,
        history: whole.history(node),
        stack: whole.stack(before).map(site),
        request: show(whole, node),
        merged: show(merged, image),
      };
  }
  return undefined;
}
