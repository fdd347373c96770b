// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { modelAnswer } from '../../conformance/compare.js';
import { generate } from '../../conformance/generate.js';
import { shrink } from '../../conformance/shrink.js';
import type { MixName } from '../../conformance/mixes.js';
import type { Knobs } from '../../src/linux/knobs.js';

/** Whether a kernel with another protocol answers a script otherwise. */
const otherwise =
  (knobs: Partial<Knobs>) =>
  (lines: readonly string[]): Promise<boolean> => {
    const [documented, other] = [{}, knobs].map((some) =>
      modelAnswer(lines.join('\n'), 'script', { knobs: some, judged: 'never' }).join('\n'),
    );
    return Promise.resolve(documented !== other);
  };

test.each<[MixName, Partial<Knobs>, string[]]>([
  [
    'core',
    { 'fork.flush_tlb': 'off' },
    ['autoobs R0 0 1', 'P0 mmap R0 1 rw anon', 'P0 fork P1', 'P1 w R0 0 0x1', 'P1 fork P2', 'P1 w R0 0 0x1'],
  ],
  [
    'exclusive',
    { 'fork.exclusive': 'copy' },
    ['autoobs R0 0 1', 'P0 mmap R0 1 rw anon', 'P0 open 0', 'P0 excl 0 R0 0 1', 'P0 fork P1'],
  ],
  ['exclusive', { 'make.anon_only': 'off' }, ['P0 mmap R0 1 rw memfd', 'P0 open 0', 'P0 excl 0 R0 0 1']],
])('%s: %j in the place of the documented protocol', async (mix, knobs, few) => {
  const script = generate({ seed: 1, ops: 600, mix }).trimEnd().split('\n');
  expect(await shrink(script, otherwise(knobs))).toEqual(few);
});

test('what does not differ is left as it is', async () => {
  const script = ['P0 mmap R0 1 rw anon', 'P0 w R0 0 0x10'];
  expect(await shrink(script, () => Promise.resolve(false))).toEqual(script);
});
