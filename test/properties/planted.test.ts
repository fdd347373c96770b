// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { check } from '../../src/explore/check.js';
import { PLANTED_RECLAIM } from './fixtures/reclaim.js';
import { PLANTED_NOTIFIER } from './fixtures/notifier.js';
import { PLANTED } from './fixtures/planted.js';

/** Each property can fail, and fails under its own name: the fault it is for is planted. */
test.each(
  [...PLANTED, ...PLANTED_NOTIFIER, ...PLANTED_RECLAIM].map((scenario) => [scenario.id, scenario] as const),
)('%s', (_, scenario) => {
  for (const variant of scenario.variants) {
    const verdict = check(scenario, variant);
    const { verdict: kind, property, reports } = verdict;
    expect({ verdict: kind, property, reports }, verdict.detail).toEqual(variant.expect);
  }
});
