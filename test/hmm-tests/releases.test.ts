// SPDX-License-Identifier: MIT
/** What releases and postings differ in is device-exclusive memory: one program after the other notices nothing of that. */
import { expect, test } from 'vitest';
import { RELEASES } from '../../src/linux/knobs.js';
import { exclusiveTests } from './exclusive.js';
import { runTest } from './harness.js';

test.for(
  Object.entries(RELEASES).flatMap(([release, knobs]) =>
    Object.entries(exclusiveTests).map(([name, hmmTest]) => [release, name, hmmTest, knobs] as const),
  ),
)('%s hmm.device_private.%s', ([, , hmmTest, knobs]) => {
  expect(runTest(hmmTest, 'device_private', knobs)).toEqual([]);
});
