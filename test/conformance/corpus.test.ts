// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { goldenFiles, readGolden } from '../../conformance/golden.js';
import { MIX_NAMES } from '../../conformance/mixes.js';

const recordings = goldenFiles().map(readGolden);
const operationsOf = (some: typeof recordings): number =>
  some.flatMap(({ answer }) => answer.filter((line) => line.startsWith('> P'))).length;
const seeds = new Set(recordings.map(({ head }) => head.seed));

test('enough is recorded, of each mix, by one kernel', () => {
  expect(operationsOf(recordings)).toBeGreaterThanOrEqual(100_000);
  expect(seeds.size).toBeGreaterThanOrEqual(40);
  expect(operationsOf(recordings.filter(({ head }) => head.trace === 'notifiers'))).toBeGreaterThanOrEqual(
    5_000,
  );
  for (const mix of MIX_NAMES)
    expect(recordings.filter(({ head }) => head.mix === mix).length, mix).toBeGreaterThanOrEqual(2);
  for (const key of ['kernel', 'config'] as const)
    expect(new Set(recordings.map(({ head }) => head[key])).size, key).toBe(1);
});

test('the README says how much', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8').replaceAll(/\s+/g, ' ');
  const [, operations, from] = /Some ([\d,]+) random operations, from (\d+) seeds/.exec(readme) ?? [];
  expect(Number(operations?.replace(',', ''))).toBe(Math.floor(operationsOf(recordings) / 1000) * 1000);
  expect(Number(from)).toBe(seeds.size);
});
