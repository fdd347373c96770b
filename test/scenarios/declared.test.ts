// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import type { Scenario, Variant } from '../../src/core/scenario.js';
import { check } from '../../src/explore/check.js';
import { SCENARIOS } from '../../src/scenarios/index.js';

const differing = (scenario: Scenario, x: Variant, y: Variant): string[] =>
  Object.keys(scenario.knobs).filter((knob) => x.knobs[knob] !== y.knobs[knob]);

/** Larger variants are checked by `npm start` alone: a full search of them would take most of the test run. */
const SMALL = 3_000;

/** Their broken twins are one removed statement apart, no knob: test/mutants runs one for each. */
const TWINS_ARE_MUTANTS = new Set(['G-14c', 'G-15c', 'G-17b', 'G-20e', 'G-20f', 'G-20g', 'D-48b']);

describe.each(SCENARIOS.map((scenario) => [scenario.id, scenario] as const))('%s', (_, scenario) => {
  test.each(scenario.variants.map((variant) => [variant.name, variant] as const))('%s', (_name, variant) => {
    const reduced = check(scenario, variant, { maxStates: SMALL });
    if (reduced.bound !== undefined) return;
    const { verdict, property, reports } = reduced;
    expect({ verdict, property, reports }, reduced.detail).toEqual(variant.expect);
    const full = check(scenario, variant, { strategy: 'bfs', maxStates: 20 * SMALL });
    if (full.bound !== undefined) return;
    expect({ verdict: full.verdict, property: full.property, reports: full.reports }).toEqual({
      verdict,
      property,
      reports,
    });
    expect(full.witnesses).toEqual(reduced.witnesses);
    // A lasso is the first that is found: which of several depends on how the graph was built.
    if (verdict === 'livelock') return;
    // The search for the shortest run, without fusion, may need more states than the one that found that there is one.
    const shortest =
      full.shown?.run.length === reduced.shown?.run.length
        ? reduced
        : check(scenario, variant, { maxStates: 20 * SMALL });
    expect(full.shown?.run.length).toBe(shortest.shown?.run.length);
  });

  test('a safe variant has a broken twin, one knob apart', () => {
    const broken = scenario.variants.filter(({ expect: declared }) => declared?.verdict !== 'safe');
    const twins = (variant: Variant): number =>
      broken.filter((other) => differing(scenario, variant, other).length === 1).length;
    const safe = scenario.variants.filter(({ expect: declared }) => declared?.verdict === 'safe');
    // Its twin may be that of a safe neighbour: the same on the other machine, or without one of redundant checks.
    const accompanied = new Set(safe.filter((variant) => twins(variant) > 0));
    for (const neighbour of accompanied)
      for (const variant of safe)
        if (differing(scenario, variant, neighbour).length === 1) accompanied.add(variant);
    const lonely = safe.filter((variant) => !accompanied.has(variant));
    expect(safe).not.toEqual([]);
    if (!TWINS_ARE_MUTANTS.has(scenario.id)) expect(lonely.map(({ name }) => name)).toEqual([]);
  });
});
