// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { kernelSized } from '../../bench/kernel.js';
import { search } from '../../src/explore/search.js';

// The bench says how many seconds it takes; that depends on the machine, the number of states does not.
test('three threads, eight operations, five frames: exhausted', () => {
  const { knobs } = kernelSized.variants[0]!;
  const { system, monitor } = kernelSized.build(knobs, kernelSized.passes(knobs)[0]!);
  const result = search(system, { fuse: true, symmetry: true, monitor: monitor! });
  expect(result).toMatchObject({ complete: true, findings: [] });
  expect(result.states).toBeLessThan(250_000);
}, 60_000);
