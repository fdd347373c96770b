// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import type { System } from '../../src/core/system.js';
import { outcome, sorted, WAYS } from './compare.js';
import { guardedCell, largeValues } from './fixtures/remembered.js';
import { oracle } from './oracle.js';

const systems: Record<string, () => System> = {
  'values beyond what is remembered': largeValues,
  'a cell that its guard lets go of': () => guardedCell(false),
  'a cell whose guard is minded, nearly': () => guardedCell(true),
};

describe.each(Object.entries(systems))('remembered steps: %s', (_name, build) => {
  const reference = oracle(build());

  test('as many states and as short runs as the oracle', () => {
    const found = outcome(build());
    expect(found.states).toBe(reference.states);
    expect(Object.fromEntries(found.shortest)).toEqual(Object.fromEntries(reference.shortest));
  });

  test.each(Object.entries(WAYS))('%s finds the same', (_way, options) => {
    const found = outcome(build(), options);
    expect(sorted(found.verdicts)).toEqual(sorted(reference.verdicts));
    expect(sorted(found.terminals)).toEqual(sorted(reference.terminals));
  });
});

test('a guard that changes is seen although the step was taken before', () => {
  expect(sorted(outcome(guardedCell(false)).verdicts)).toContain('violation LIFETIME');
});
