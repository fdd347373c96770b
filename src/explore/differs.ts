// SPDX-License-Identifier: MIT
import type { Scenario, Variant } from '../core/scenario.js';
import type { System } from '../core/system.js';
import { Automaton } from './automaton.js';
import { isBad } from './findings.js';
import { findLivelock } from './liveness.js';
import { search } from './search.js';

export interface DiffersOptions {
  /** States of one pass before it is given up. */
  readonly maxStates: number;
  /** Also look for livelocks, where a path can come back to where it was. Costs more than all the rest. */
  readonly livelock: boolean;
}

/** What is known of a variant's verdict. */
export interface Difference {
  /** The verdict is not what is declared. Undefined: a bound was hit before that was known. */
  readonly differs: boolean | undefined;
  /** The verdict that differs, or why it is not known. */
  readonly how: string;
  readonly states: number;
}

/**
 * Whether a variant's verdict differs from what it declares, and no more: stops as soon as that is known, and looks for
 * no shortest run. In doubt it does not differ: where a violation is declared, another one that has a shorter run, or a
 * report beside it, is not looked for.
 */
export function differs(scenario: Scenario, variant: Variant, options: DiffersOptions): Difference {
  const expect = variant.expect!;
  const safe = expect.verdict === 'safe';
  const until = new Set([safe ? 'violation' : `${expect.verdict} ${expect.property}`]);
  const passes = scenario.passes(variant.knobs);
  const seen = new Set<string>();
  const cyclic: { system: System; automaton: Automaton }[] = [];
  let bound: string | undefined;
  let wrong = '';
  let states = 0;
  for (const pass of passes) {
    const { system, monitor } = scenario.build(variant.knobs, pass);
    const automaton = new Automaton(system, monitor?.(), true, 100_000);
    const result = search(system, {
      maxStates: options.maxStates,
      symmetry: true,
      fuse: true,
      until,
      automaton,
    });
    states += result.states;
    bound ??= result.bound;
    if (result.cyclic) cyclic.push({ system, automaton });
    for (const { kind, name } of result.findings) {
      seen.add(`${kind} ${name}`);
      if (isBad(kind)) wrong ||= `${kind} ${name}`;
    }
    if (safe ? wrong !== '' : seen.has(`${expect.verdict} ${expect.property}`)) break;
  }
  const answer = (differing: boolean | undefined, how: string): Difference => ({
    differs: differing,
    how,
    states,
  });
  if (safe && wrong !== '') return answer(true, wrong);
  if (!safe && seen.has(`${expect.verdict} ${expect.property}`)) return answer(false, '');
  const reported = [...seen].filter((what) => what.startsWith('report ')).map((what) => what.slice(7));
  const extra = safe ? reported.find((name) => !expect.reports.includes(name)) : undefined;
  if (extra !== undefined) return answer(true, `report ${extra}`);
  if (bound !== undefined) return answer(undefined, bound);
  if (expect.verdict === 'livelock') return answer(undefined, 'a livelock is declared');
  if (!safe) return answer(true, wrong || 'safe');
  const unseen = scenario.sometimes.find((name) => !seen.has(`witness ${name}`));
  if (unseen !== undefined) return answer(true, `vacuous: never ${unseen}`);
  if (expect.reports.length !== reported.length) return answer(true, 'a report is missing');
  if (!options.livelock) return answer(false, '');
  for (const { system, automaton } of cyclic) {
    const { finding, bound: graphBound } = findLivelock(system, {
      maxStates: options.maxStates * 4,
      symmetry: true,
      fuse: true,
      automaton,
    });
    if (finding !== undefined) return answer(true, `${finding.kind} ${finding.name}`);
    if (graphBound !== undefined) return answer(undefined, graphBound);
  }
  return answer(false, '');
}
