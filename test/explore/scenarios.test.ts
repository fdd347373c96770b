// SPDX-License-Identifier: MIT
import { afterEach, describe, expect, test } from 'vitest';
import { live, site, siteCount } from '../../src/core/live.js';
import type { Scenario, Variant } from '../../src/core/scenario.js';
import type { System } from '../../src/core/system.js';
import { audit } from '../../src/explore/audit.js';
import { SCENARIOS } from '../../src/scenarios/index.js';
import { outcome, sorted } from './compare.js';
import { accusing } from './excuses.js';
import { undeclared } from './touches.js';

const builder = (scenario: Scenario, { knobs }: Variant, pass = 0): (() => System) => {
  return () => scenario.build(knobs, scenario.passes(knobs)[pass]!).system;
};
const first = (scenario: Scenario): Variant => scenario.variants[0]!;

describe('built-in scenarios', () => {
  test.each(SCENARIOS.map((scenario) => [scenario.id, scenario] as const))(
    '%s: merging by live locals misses nothing',
    (_, scenario) => {
      expect(audit(builder(scenario, first(scenario))(), 2_000)).toBeUndefined();
    },
  );

  test.each(SCENARIOS.map((scenario) => [scenario.id, scenario] as const))(
    '%s: no operation, invariant or monitor touches a cell without saying so, and excuses only excuse',
    (_, scenario) => {
      const { knobs } = first(scenario);
      for (const pass of scenario.passes(knobs)) {
        expect([...undeclared(scenario.build(knobs, pass))]).toEqual([]);
        expect([...accusing(scenario.build(knobs, pass))]).toEqual([]);
      }
    },
  );

  const SMALL = ['G-01', 'N-01', 'N-05', 'D-06', 'D-18', 'D-22', 'D-25'];
  const small = SCENARIOS.filter(({ id }) => SMALL.includes(id));
  test.each(
    small.flatMap((one) => one.variants.map((variant) => [one.id, variant.name, one, variant] as const)),
  )('%s %s: reduced and unreduced agree', (_id, _name, scenario, variant) => {
    const build = builder(scenario, variant);
    const plain = outcome(build(), { maxStates: 50_000 });
    const reduced = outcome(build(), { fuse: true, symmetry: true });
    expect(sorted(reduced.verdicts)).toEqual(sorted(plain.verdicts));
  });
});

describe('mutants of built-in scenarios', () => {
  afterEach(() => {
    live.cut = -1;
    live.cutValue = 0;
  });

  test.each(['G-01'])(
    '%s: reduced and unreduced agree on each',
    (name) => {
      const scenario = SCENARIOS.find(({ id }) => id === name)!;
      const build = builder(scenario, first(scenario));
      const verdictsOf = (reduced: boolean): string[] => {
        try {
          const { verdicts, result } = outcome(build(), {
            fuse: reduced,
            symmetry: reduced,
            maxStates: 6_000,
          });
          return result.complete ? sorted(verdicts) : ['incomplete'];
        } catch (error) {
          return [(error as Error).message];
        }
      };
      verdictsOf(true);
      let mutants = 0;
      for (let number = 0; number < siteCount(); number++) {
        if (!site(number).file.startsWith('src/linux')) continue;
        live.cut = number;
        live.cutHit = false;
        const reduced = verdictsOf(true);
        // What is left may name a frame by a constant: that is refused aloud.
        if (!live.cutHit || /calculates with a frame/.test(reduced[0] ?? '')) continue;
        mutants++;
        const plain = verdictsOf(false);
        if (plain[0] === 'incomplete') continue;
        expect({ ...site(number), found: reduced }).toEqual({ ...site(number), found: plain });
      }
      expect(mutants).toBeGreaterThan(30);
    },
    600_000,
  );
});
