// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { firstDifference, modelAnswer } from '../../conformance/compare.js';
import { countParts, goldenText, parseGolden, partsOf } from '../../conformance/golden.js';

const golden = {
  name: 'core-7',
  head: {
    kernel: 'Linux version 6.12.117',
    config: 'sha256 00ff',
    seed: '7',
    mix: 'core',
    operations: '2',
    trace: 'none',
    date: '2026-11-20',
  },
  script: 'autoobs R0 0 1\nP0 mmap R0 1 rw anon\n# words\nP0 r R0 0\n',
  answer: ['> P0 mmap R0 1 rw anon => err=0', '  P0 R0[0..1): 0:-,d'],
};

test('a golden file is read as it was written, and is a script up to its divider', () => {
  const text = goldenText(golden);
  expect(parseGolden(text, golden.name)).toEqual(golden);
  const [head = ''] = text.split('---\n');
  expect(modelAnswer(head, 'head', {})[0]).toBe(golden.answer[0]);
});

test.each([
  ['# seed 7\n', 'core-7:1: expected # kernel …, found # seed 7'],
  [goldenText(golden).replace('---\n', ''), 'core-7: expected a line --- between script and answer'],
])('a file that is none: %j', (text, message) => {
  expect(() => parseGolden(text, 'core-7')).toThrow(message);
});

test('parts of a recording, from one reset to the next', () => {
  const recording = {
    ...golden,
    script: 'autoobs R0 0 1\nP0 a\nreset\nP0 b\nP0 c\nreset\nP0 d\n',
    answer: ['> P0 a', '> reset', '> P0 b', '> P0 c', '> reset', '> P0 d'],
  };
  expect(countParts(recording)).toBe(3);
  expect(partsOf(recording, 1, 1)).toMatchObject({
    script: 'autoobs R0 0 1\nP0 b\nP0 c\n',
    answer: ['> P0 b', '> P0 c'],
  });
  expect(partsOf(recording, 1, 2)).toMatchObject({
    script: 'autoobs R0 0 1\nP0 b\nP0 c\nreset\nP0 d\n',
    answer: ['> P0 b', '> P0 c', '> reset', '> P0 d'],
  });
});

test('the first difference is shown with the operations since the reset', () => {
  const real = ['> reset', '> a => err=0', '  P0', '> b => err=0', '  P0'];
  expect(firstDifference(real, real)).toBeUndefined();
  expect(firstDifference([...real.slice(0, 4), '  P1'], real)).toBe(
    ['> a => err=0', 'the real kernel:', '> b => err=0', '  P0', 'the model:', '> b => err=0', '  P1'].join(
      '\n',
    ),
  );
  expect(firstDifference(real.slice(0, 3), real)).toContain('the model:\nnothing');
  expect(firstDifference(real, real.slice(0, 3))).toContain('the real kernel:\nnothing');
});

test('what notifiers are told is shown after the operation, from the first open of a device on', () => {
  const script = `P0 mmap R0 4 rw anon
P0 mmap R1 4 rw anon
P0 madvise R0 0 1 dontneed
P0 open 0
P0 w R0 0 0x20
P0 w R1 0 0x21
P0 fork P1
P1 w R0 0 0x10
P0 w R0 0 0x30
P0 madvise R1 1 2 dontneed
P0 todev 0 R0 0 1
P0 mprotect R0 0 2 r
P1 exit
reset
P0 mmap R0 1 rw anon
P0 munmap R0 0 1
`;
  const told = modelAnswer(script, 'script', { trace: true }).filter((line) => line.includes(' notify '));
  expect(told).toEqual([
    '  P0 notify R0[0..4) PROTECTION_PAGE',
    '  P0 notify R1[0..4) PROTECTION_PAGE',
    '  P0 notify R1[1..3) CLEAR',
    '  P0 notify R0[0..1) MIGRATE',
    '  P0 notify R0[0..2) PROTECTION_VMA',
  ]);
});
