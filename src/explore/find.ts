// SPDX-License-Identifier: MIT
import type { Scenario, Variant } from '../core/scenario.js';
import type { CheckOptions, Found } from './check.js';
import { search } from './search.js';

/** What to look for. */
export interface Sought {
  readonly kind: 'report' | 'witness' | 'violation';
  readonly name: string;
}

/** Looks in all passes for the shortest run to what is sought, step by step. `bound`: what ended a search early. */
export function find(
  scenario: Scenario,
  variant: Variant,
  { kind, name }: Sought,
  options: CheckOptions = {},
): { found: Found | undefined; bound: string | undefined } {
  const deadline = options.timeoutMs === undefined ? Infinity : Date.now() + options.timeoutMs;
  let found: Found | undefined;
  let bound: string | undefined;
  scenario.passes(variant.knobs).forEach((settings, pass) => {
    const { system, monitor } = scenario.build(variant.knobs, settings);
    const result = search(system, {
      symmetry: true,
      deadline,
      until: new Set([`${kind} ${name}`]),
      ...(monitor === undefined ? {} : { monitor }),
      ...(options.maxStates === undefined ? {} : { maxStates: options.maxStates }),
      ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
    });
    bound ??= result.bound;
    const finding = result.findings.find((one) => one.kind === kind && one.name === name);
    if (finding !== undefined && (found === undefined || finding.run.length < found.run.length))
      found = { ...finding, pass };
  });
  return { found, bound };
}
