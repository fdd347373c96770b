// SPDX-License-Identifier: MIT
/** The kernel's own tests of HMM (tools/testing/selftests/mm/hmm-tests.c) under their names. */
import { expect, test } from 'vitest';
import { FIXTURES, nameOf, runTest } from './harness.js';
import { TESTS } from './tests.js';

test('all 29 are there', () => {
  expect(TESTS.size).toBe(29);
  for (const [name, hmmTest] of TESTS) expect(hmmTest, name).toBeDefined();
});

for (const fixture of FIXTURES)
  for (const [name, hmmTest] of TESTS)
    test.skipIf(hmmTest.skipped !== undefined)(`${nameOf(name, hmmTest, fixture)}`, () => {
      expect(runTest(hmmTest, fixture)).toEqual([]);
    });
