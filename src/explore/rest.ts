// SPDX-License-Identifier: MIT
import type { System } from '../core/system.js';
import type { Findings } from './findings.js';

/**
 * Judges a state in which no fair agent can run. Returns whether it is an end: all but the daemons have returned; else
 * somebody waits for ever.
 */
export function judgeRest(system: System, returned: (agent: number) => boolean, findings: Findings): boolean {
  const stuck = system.agents.filter(({ daemon }, agent) => !daemon && !returned(agent));
  if (stuck.length > 0) {
    const names = stuck.map(({ name }) => name).join(', ');
    findings.add('deadlock', 'DEADLOCK', `${names} can't go on`, false);
    return false;
  }
  for (const invariant of system.invariants) {
    const wrong = invariant.when === 'end' ? invariant.check() : undefined;
    if (wrong !== undefined) findings.add(invariant.kind ?? 'violation', invariant.property, wrong, false);
  }
  return true;
}
