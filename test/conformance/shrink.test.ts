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
    const script = lines.join('\n');
    const answers = [{}, knobs].map((some) =>
      modelAnswer(script, 'script', { knobs: some, judged: 'never' }).join('\n'),
    );
    return Promise.resolve(answers[0] !== answers[1]);
  };

test.each<[MixName, Partial<Knobs>, string[]]>([])('%s, %j', async (mix, knobs, few) => {
  const script = generate({ seed: 1, ops: 300, mix }).trimEnd().split('\n');
  expect(await shrink(script, otherwise(knobs))).toEqual(few);
});

test('what does not differ is left as it is', async () => {
  const script = ['P0 mmap R0 1 rw anon', 'P0 w R0 0 0x10'];
  expect(await shrink(script, () => Promise.resolve(false))).toEqual(script);
});
