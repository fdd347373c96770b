// SPDX-License-Identifier: MIT
/** The bench model at small sizes: as many states as the oracle counts, and every way to search finds the same. */
import { afterEach, describe, expect, test } from 'vitest';
import { build, type Configuration, CONFIGURATIONS } from '../../bench/model.js';
import { live, PathError, site, siteCount } from '../../src/core/live.js';
import { audit } from '../../src/explore/audit.js';
import { outcome, sorted, WAYS } from './compare.js';
import { oracle } from './oracle.js';

const small: Configuration = {
  cpus: 1,
  devices: 1,
  accessTries: 2,
  deviceTries: 1,
  threads: [[{ kind: 'access', cpu: 0 }], [{ kind: 'device', device: 0 }]],
};
const forked: Configuration = {
  ...small,
  accessTries: 1,
  threads: [[{ kind: 'fork' }], [{ kind: 'device', device: 0 }]],
};

describe('device-exclusive access', () => {
  test.each([
    ['access and device', small],
    ['fork and device', forked],
  ])('%s: the oracle counts as many states', (_, configuration) => {
    const reference = oracle(build(configuration));
    const plain = outcome(build(configuration));
    expect(plain.states).toBe(reference.states);
    expect(sorted(plain.verdicts)).toEqual(sorted(reference.verdicts));
    expect(sorted(plain.terminals)).toEqual(sorted(reference.terminals));
    expect(audit(build(configuration))).toBeUndefined();
  });

  test('t4s: every way to search finds the same', () => {
    const plain = outcome(build(CONFIGURATIONS['t4s']!));
    for (const how of Object.values(WAYS)) {
      const other = outcome(build(CONFIGURATIONS['t4s']!), how);
      expect(sorted(other.verdicts)).toEqual(sorted(plain.verdicts));
      expect(sorted(other.terminals)).toEqual(sorted(plain.terminals));
    }
  });
});

describe('mutants', () => {
  afterEach(() => {
    live.cut = -1;
    live.cutValue = 0;
  });

  test.each([
    ['access and device', small],
    ['fork and device', forked],
  ])('%s: fused and unfused agree on each', (_, configuration) => {
    const found = (fuse: boolean) => {
      try {
        const { verdicts, terminals } = outcome(build(configuration), { fuse, maxStates: 20_000 });
        return { verdicts: sorted(verdicts), terminals: sorted(terminals) };
      } catch (error) {
        if (!(error instanceof PathError)) throw error;
        return { verdicts: [error.message], terminals: [] };
      }
    };
    found(true);
    let wrong = 0;
    for (let number = 0; number < siteCount(); number++) {
      if (site(number).file !== 'bench/model.ts') continue;
      for (const value of [0, 1]) {
        live.cut = number;
        live.cutValue = value;
        const reduced = found(true);
        expect({ ...site(number), value, ...reduced }).toEqual({ ...site(number), value, ...found(false) });
        if (reduced.verdicts.some((verdict) => verdict.startsWith('violation'))) wrong++;
      }
    }
    expect(wrong).toBeGreaterThan(0);
  });
});
