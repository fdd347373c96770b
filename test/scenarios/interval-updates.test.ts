// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { check } from '../../src/explore/check.js';
import n21 from '../../src/scenarios/interval-notifiers/n-21.js';

/** N-21: the assertion speaks in every run that calls update() outside of a callback, and in none that calls it inside. */
test.each([
  ['rival=dontneed', false],
  ['how=outside', true],
  ['how=outside,rival=dontneed', true],
  ['how=outside,rival=dontneed,mmu_interval_notifier.assert=none', false],
] as const)('N-21 %s', (name, speaks) => {
  const variant = n21.variants.find((each) => each.name === name)!;
  for (let seed = 1; seed <= 100; seed++) {
    const { reports, verdict } = check(n21, variant, { strategy: 'random', schedules: 1, seed });
    expect(reports, `${verdict} with seed ${seed}`).toEqual(speaks ? ['LOCK-HELD'] : []);
  }
});
