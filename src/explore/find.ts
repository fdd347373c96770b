// SPDX-License-Identifier: MIT
import type { Account, Only, Scenario, Variant } from '../core/scenario.js';
import { explain, mergeAccounts } from './accounts.js';
import { Automaton } from './automaton.js';
import type { CheckOptions, Found } from './check.js';
import { search } from './search.js';

/** What to look for. */
export interface Sought {
  readonly kind: 'report' | 'witness' | 'violation';
  readonly name: string;
}

/** What came of it. `bound`: what ended a search early. */
export interface Search {
  readonly found: Found | undefined;
  readonly bound: string | undefined;
  /** What stands behind the report. */
  readonly accounts: readonly Account[];
}

/**
 * Looks in all passes for the shortest run to what is sought, step by step. Of a report that has an account, the account
 * comes from all paths, and the run shows the last part of it.
 */
export function find(
  scenario: Scenario,
  variant: Variant,
  sought: Sought,
  options: CheckOptions = {},
): Search {
  const deadline = options.timeoutMs === undefined ? Infinity : Date.now() + options.timeoutMs;
  const limits = {
    symmetry: true,
    deadline,
    ...(options.maxStates === undefined ? {} : { maxStates: options.maxStates }),
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  };
  const passes = scenario.passes(variant.knobs);
  const accounts =
    sought.kind === 'report' && sought.name !== 'DATA-RACE'
      ? mergeAccounts(
          passes.map((pass) => {
            const { system, monitor } = scenario.build(variant.knobs, pass);
            const watching = monitor?.();
            const automaton = new Automaton(system, watching);
            const { bound } = search(system, { ...limits, automaton, fuse: true });
            return bound === undefined ? explain(watching, automaton) : [];
          }),
        ).filter(({ name }) => name === sought.name)
      : [];
  const part = accounts[0]?.parts.at(-1);
  const look = (only: Only | undefined): Search => {
    let found: Found | undefined;
    let bound: string | undefined;
    passes.forEach((settings, pass) => {
      const { system, monitor } = scenario.build(variant.knobs, settings);
      const result = search(system, {
        ...limits,
        until: new Set([`${sought.kind} ${sought.name}`]),
        ...(monitor === undefined ? {} : { monitor: () => monitor(only) }),
      });
      bound ??= result.bound;
      const finding = result.findings.find(({ kind, name }) => kind === sought.kind && name === sought.name);
      if (finding !== undefined && (found === undefined || finding.run.length < found.run.length))
        found = { ...finding, pass, detail: accounts[0]?.detail ?? finding.detail };
    });
    return { found, bound, accounts };
  };
  const shown = look(part && { name: sought.name, part });
  // A frame by another name may stand in the part than in the runs that symmetry keeps.
  return part === undefined || shown.found !== undefined ? shown : look(undefined);
}
