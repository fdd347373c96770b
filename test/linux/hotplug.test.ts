// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { check } from '../../src/explore/check.js';
import { HOTPLUG } from './fixtures/hotplug.js';

test.each(HOTPLUG.map((scenario) => [scenario.id, scenario] as const))('%s', (_, scenario) => {
  for (const variant of scenario.variants) {
    const verdict = check(scenario, variant);
    const { verdict: kind, property, reports } = verdict;
    expect({ verdict: kind, property, reports }, verdict.detail).toEqual(variant.expect);
  }
});
