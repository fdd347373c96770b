// SPDX-License-Identifier: MIT
/** A device's page table, TLB and atomics: what each step sees, and that it touches no more than it says. */
import { describe, expect, test } from 'vitest';
import { check } from '../../src/explore/check.js';
import { undeclared } from '../explore/touches.js';
import { DEVICE } from './fixtures/device.js';

describe.each(DEVICE.map((each) => [each.id, each] as const))('%s', (_, each) => {
  test('as declared', () => {
    for (const variant of each.variants) {
      const { verdict, property, reports, detail } = check(each, variant);
      expect({ verdict, property, reports }, `${variant.name}: ${detail}`).toEqual(variant.expect);
    }
  });
  test('touches what it says', () => {
    for (const { knobs } of each.variants)
      for (const pass of each.passes(knobs))
        expect(
          [...undeclared(each.build(knobs, pass))].filter((what) => /^(device|user)/.test(what)),
        ).toEqual([]);
  });
});
