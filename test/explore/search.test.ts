// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import type { System } from '../../src/core/system.js';
import { outcome, sorted, WAYS } from './compare.js';
import * as toys from './fixtures/systems.js';
import { oracle } from './oracle.js';

const systems: Record<string, () => System> = {
  peterson: () => toys.peterson(),
  'peterson, wrong turn': () => toys.peterson({ broken: true }),
  'peterson on tso': () => toys.peterson({ memory: 'tso' }),
  'peterson on tso without fences': () => toys.peterson({ memory: 'tso', fences: false }),
  'three philosophers': () => toys.philosophers(3),
  'three ordered philosophers': () => toys.philosophers(3, { ordered: true }),
  trylocks: () => toys.trylocks(),
  'trylocks, one meddles': () => toys.trylocks({ meddle: true }),
  'retry loop': () => toys.retry(),
  leak: () => toys.leak(),
  'no leak': () => toys.leak({ forget: false }),
  'data race under a lock': () => toys.dataRace(),
  'data race after a lock': () => toys.dataRace({ locked: true }),
  'no data race': () => toys.dataRace({ marked: true }),
  daemons: () => toys.daemons(),
  'daemons that forget': () => toys.daemons({ forgets: true }),
};

describe.each(Object.entries(systems))('%s', (_, build) => {
  const reference = oracle(build());
  const { result: _result, ...plain } = outcome(build());

  test('the search finds what the oracle finds, with as many states and as short runs', () => {
    expect(plain.states).toBe(reference.states);
    expect(sorted(plain.verdicts)).toEqual(sorted(reference.verdicts));
    expect(sorted(plain.terminals)).toEqual(sorted(reference.terminals));
    expect(Object.fromEntries(plain.shortest)).toEqual(Object.fromEntries(reference.shortest));
  });

  test.each(Object.entries(WAYS))('%s finds the same', (_way, options) => {
    const other = outcome(build(), options);
    expect(sorted(other.verdicts)).toEqual(sorted(reference.verdicts));
    expect(sorted(other.terminals)).toEqual(sorted(reference.terminals));
    expect(options.fuse === true || other.states === reference.states).toBe(true);
  });
});
