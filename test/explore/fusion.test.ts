// SPDX-License-Identifier: MIT
import { afterEach, describe, expect, test } from 'vitest';
import { live, PathError, site, siteCount } from '../../src/core/live.js';
import type { System } from '../../src/core/system.js';
import { outcome, sorted, WAYS } from './compare.js';
import * as locks from './fixtures/locks.js';
import * as movers from './fixtures/movers.js';
import * as toys from './fixtures/systems.js';
import { oracle } from './oracle.js';

const systems: Record<string, readonly [() => System, ...string[]]> = {
  'a step that fails after a release does not hide another agent': [
    () => locks.failsAfterRelease(),
    'violation FIRST',
    'violation SECOND',
  ],
  'an invariant looks at the lock': [() => locks.watched('invariant'), 'violation WATCHED'],
  'a monitor looks at the lock': [() => locks.watched('monitor'), 'violation WATCHED'],
  'the lock is freed while it is held': [() => locks.freedWhileHeld(), 'violation ALIVE'],
  'two agents share a CPU': [() => locks.interrupted(), 'deadlock DEADLOCK'],
  'a race of plain accesses, each under its lock': [() => locks.plainUnderTwoLocks(), 'report DATA-RACE'],
  'two agents hold the lock that the other wants': [() => toys.philosophers(2), 'deadlock DEADLOCK'],
  'a lock is released twice': [() => locks.releasedTwice('sc'), 'deadlock DEADLOCK', 'violation LOCK'],
  'a lock is released twice, the first release still buffered': [
    () => locks.releasedTwice('tso'),
    'deadlock DEADLOCK',
    'violation LOCK',
  ],
  'who is waited for waits, if the snapshot falls right behind his entering': [
    () => movers.waitsInside(),
    'deadlock DEADLOCK',
  ],
  'who is waited for waits': [() => movers.waitsInside({ before: true }), 'deadlock DEADLOCK'],
  'an invariant looks at what nobody else touches': [
    () => movers.ownWatched('invariant'),
    'violation WATCHED',
  ],
  'a monitor looks at what nobody else touches': [() => movers.ownWatched('monitor'), 'violation WATCHED'],
  'nobody looks at what nobody else touches': [() => movers.ownWatched('nobody')],
  'a private step before the path fails does not hide another agent': [
    () => movers.failsAfterOwn('path'),
    'violation FIRST',
    'violation SECOND',
  ],
  'a private step that fails does not hide another agent': [
    () => movers.failsAfterOwn('step'),
    'violation FIRST',
    'violation SECOND',
  ],
  'what looked private is touched': [() => movers.touchedRarely(2), 'violation BETWEEN'],
  'what looked private is touched in one of many runs': [
    () => movers.touchedRarely(1000),
    'violation BETWEEN',
  ],
  'what is found behind a state that only an excuse lets pass': [
    () => movers.excused(),
    'violation EXCUSED',
    'violation LATER',
  ],
};

describe.each(Object.entries(systems))('%s', (_, [build, ...verdicts]) => {
  test.each(Object.entries(WAYS))('%s', (_way, options) => {
    expect(sorted(oracle(build()).verdicts)).toEqual(verdicts);
    expect(sorted(outcome(build(), options).verdicts)).toEqual(verdicts);
  });
});

describe('mutants: one call left out', () => {
  afterEach(() => {
    live.cut = -1;
    live.cutValue = 0;
  });
  const originals: Record<string, () => System> = {
    'peterson on tso': () => toys.peterson({ memory: 'tso' }),
    philosophers: () => toys.philosophers(3, { ordered: true }),
    trylocks: () => toys.trylocks(),
    retry: () => toys.retry({ rounds: 1 }),
    daemons: () => toys.daemons(),
    'data race': () => toys.dataRace(),
    gated: () => locks.interrupted(),
    guarded: () => locks.freedWhileHeld(),
  };
  test.each(Object.entries(originals))('%s: reduced and unreduced agree on each', (_, build) => {
    outcome(build()); // registers the sites
    let mutants = 0;
    for (let number = 0; number < siteCount(); number++) {
      if (!site(number).file.includes('explore/fixtures')) continue;
      for (const value of [0, 1]) {
        live.cut = number;
        live.cutValue = value;
        live.cutHit = false;
        const found = Object.values(WAYS).map((options) => {
          try {
            const { verdicts, terminals } = outcome(build(), { ...options, maxStates: 5000 });
            return { verdicts: sorted(verdicts), terminals: sorted(terminals) };
          } catch (error) {
            if (!(error instanceof PathError)) throw error;
            return { verdicts: [error.message], terminals: [] };
          }
        });
        if (live.cutHit) mutants++;
        for (const one of found) expect(one).toEqual(found[0]);
      }
    }
    expect(mutants).toBeGreaterThan(4);
  });
});
