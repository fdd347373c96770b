// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { check } from '../../src/explore/check.js';
import { variantName } from '../../src/core/scenario.js';
import odp from './fixtures/odp.js';

/** A driver of another build, written from the guide: each of the four mistakes is found in it as well. */
describe('a driver written from the guide', () => {
  test.each(odp.variants.map((variant) => [variant.name, variant] as const))('%s', (name, variant) => {
    const verdict = check(odp, variant);
    expect({ verdict: verdict.verdict, property: verdict.property, reports: verdict.reports }).toEqual(
      variant.expect,
    );
    expect(verdict.states, name).toBeLessThan(100_000);
    expect(variantName(odp.knobs, variant.knobs)).toBe(name);
  });
});
