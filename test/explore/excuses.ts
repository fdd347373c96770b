// SPDX-License-Identifier: MIT
import type { Built } from '../../src/core/scenario.js';
import { searchRandomly } from '../../src/explore/random.js';

/** Runs a system by chance and lists excuses of its invariants that can also accuse: `PROPERTY: cell`. */
export function accusing(built: Built, schedules = 10): Set<string> {
  const { system } = built;
  const found = new Set<string>();
  system.invariants.forEach((invariant, number) => {
    const { excuses = [], property } = invariant;
    system.invariants[number] = {
      ...invariant,
      check() {
        const { mem } = system;
        for (const { at, name } of excuses) {
          const value = mem[at]!;
          mem[at] = 0;
          const without = invariant.check();
          mem[at] = value === 0 ? 1 : value;
          if (without === undefined && invariant.check() !== undefined) found.add(`${property}: ${name}`);
          mem[at] = value;
        }
        return invariant.check();
      },
    };
  });
  searchRandomly(built, { strategy: 'random', seed: 1, schedules, depth: 1, maxSteps: 500 });
  return found;
}
