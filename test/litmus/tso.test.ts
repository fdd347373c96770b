// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { check } from '../../src/explore/check.js';
import { TSO } from './fixtures/tso.js';

describe.each(TSO.map((scenario) => [scenario.id, scenario] as const))('%s', (_, scenario) => {
  test.each(scenario.variants.map((variant) => [variant.name, variant] as const))('%s', (__, variant) => {
    for (const strategy of ['reduced', 'bfs'] as const) {
      const { verdict, property, reports, detail } = check(scenario, variant, { strategy });
      expect({ verdict, property, reports }, detail).toEqual(variant.expect);
    }
  });
});
