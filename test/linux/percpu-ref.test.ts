// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { check } from '../../src/explore/check.js';
import { percpuRef } from './fixtures/percpu-ref.js';

test.each(percpuRef.variants.map((variant) => [variant.name, variant] as const))('%s', (_, variant) => {
  const { verdict, property, reports, detail } = check(percpuRef, variant);
  expect({ verdict, property, reports }, detail).toEqual(variant.expect);
});
