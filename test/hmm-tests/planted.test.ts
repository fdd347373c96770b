// SPDX-License-Identifier: MIT
/** Each test is one that can fail: under a fault that is planted for it, it does. */
import { afterEach, expect, test } from 'vitest';
import { live } from '../../src/core/live.js';
import { leaveNothingOut, leaveOut } from '../mutants/leave-out.js';
import { FIXTURES, nameOf, runTest } from './harness.js';
import { faultOf } from './planted.js';
import { TESTS } from './tests.js';

afterEach(leaveNothingOut);

function whatFails(run: () => string[]): string | undefined {
  try {
    const left = run();
    return left.length > 0 ? `left in use: ${left.join(', ')}` : undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

for (const fixture of FIXTURES)
  for (const [name, hmmTest] of TESTS)
    test.skipIf(hmmTest.skipped !== undefined)(`${nameOf(name, hmmTest, fixture)}`, () => {
      const fault = faultOf(name, fixture);
      if (fault === undefined) throw new Error('expected a planted fault');
      if ('without' in fault) leaveOut(fault.without, fault.instead);
      const found = whatFails(() => runTest(hmmTest, fixture, 'knobs' in fault ? fault.knobs : {}));
      expect(found?.slice(0, fault.by.length), found).toBe(fault.by);
      if ('without' in fault) expect(live.cutHit).toBe(true);
    });
