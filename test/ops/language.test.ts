// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { parseOps } from '../../src/litmus/ops-language.js';

test.each([
  ['P0', 'expected an operation after P0'],
  ['P8 exit', 'expected P0 to P7, found P8'],
  ['Q0 exit', 'expected Pn and an operation, or autoobs, obs, reset; found Q0'],
  ['P0 fly R0', /^there is no operation fly; there is mmap, munmap, /],
  ['P0 constructor', /^there is no operation constructor; there is /],
  ['P0 r R0', 'expected r <region> <page>, found R0 after r'],
  ['P0 r R0 0 0', 'expected r <region> <page>, found R0 0 0 after r'],
  ['P0 exit now', 'expected exit, found now after exit'],
  ['P0 fork', 'expected fork <process>, found nothing after fork'],
  ['P0 fork R1', 'expected a process P0 to P7, found R1'],
  ['P0 r 0 0', 'expected a region R0 to R15, found 0'],
  ['P0 r R16 0', 'expected R0 to R15, found R16'],
  ['P0 r R0 -1', 'expected a whole number, found -1'],
  ['P0 r R0 1e9', 'expected a whole number, found 1e9'],
  ['P0 r R0 010', 'expected a whole number without zeros before it, found 010'],
  ['P0 r R0 9999999999', 'expected a smaller number, found 9999999999'],
  ['P01 r R0 0', 'expected P0 to P7, found P01'],
  ['P0 r R00 0', 'expected R0 to R15, found R00'],
  ['P0 mlock R0 0 1 1048576', 'expected a number below 1048576, found 1048576'],
  ['P0 pinread 65', 'expected at most 64, found 65'],
  ['P0 r R0 64', 'a region has 64 pages: page 64 is beyond it'],
  ['P0 munmap R0 60 5', 'a region has 64 pages: page 64 is beyond it'],
  ['P0 mremap R0 0 4 R1 61', 'a region has 64 pages: page 64 is beyond it'],
  ['P0 mmap R0 4 constructor anon', 'expected a protection n, r, rw; found constructor'],
  ['P0 mmap R0 4 x anon', 'expected a protection n, r, rw; found x'],
  ['P0 mmap R0 4 rw file', 'expected a kind of mapping anon, shared, memfd, privfile; found file'],
  ['P0 madvise R0 0 1 toString', /^expected an advice dontneed, free, .*; found toString$/],
  ['P0 madvise R0 0 1 sometimes', /^expected an advice dontneed, free, .*; found sometimes$/],
  ['P0 w R0 0 one', 'expected a value as 0x2a or 42, found one'],
  ['P0 w R0 0 017', 'expected a value as 0x2a or 42, found 017'],
  ['P0 w R0 0 -1', 'expected a value as 0x2a or 42, found -1'],
  ['P0 w R0 0 0x10000000000000000', 'expected a value of 64 bits, found 0x10000000000000000'],
  ['P0 open', 'expected open <device>, found nothing after open'],
  ['P0 open 4', 'expected a device 0 to 3, found 4'],
  ['P0 close R0', 'expected a whole number, found R0'],
  ['P0 dread R0 0 1', 'expected dread <device> <region> <page> <pages>, found R0 0 1 after dread'],
  ['P0 todev 0 R0 63 2', 'a region has 64 pages: page 64 is beyond it'],
  [
    'P0 dwrite 0 R0 0 1',
    'expected dwrite <device> <region> <page> <pages> <value>, found 0 R0 0 1 after dwrite',
  ],
  ['P0 r R0 0 \0', 'expected r <region> <page>, found R0 0 \\u0000 after r'],
  ['P0\u00a0r R0 0', /^expected Pn .*; found P0\\u00a0r$/],
  [`P0 ${'x'.repeat(1000)}`, /^there is no operation x{40}…; there is /],
  ['obs P0 R0 0', 'expected obs <process> <region> <page> <pages>, found P0 R0 0 after obs'],
])('%s', (line, message) => {
  const parse = (): unknown => parseOps(`# a script\n\n${line}\n`, 'x.ops');
  expect(parse).toThrow(typeof message === 'string' ? `x.ops:3: ${message}` : undefined);
  if (typeof message !== 'string')
    expect(parse).toThrow(new RegExp(`^x\\.ops:3: ${message.source.replace(/^\^/, '')}`));
});

test('comments and blank lines are no lines; the echo keeps what stood there', () => {
  const { lines, values } = parseOps('  P0 w R0 1 0x2A # 42\r\n#P0 exit\n\nreset\n', 'x.ops');
  expect(lines.map(({ number, name, text }) => [number, name, text])).toEqual([
    [1, 'w', '  P0 w R0 1 0x2A # 42'],
    [4, 'reset', 'reset'],
  ]);
  expect(lines[0]!.words.map((word, i) => (i === 2 ? values[word] : word))).toEqual([0, 1, 42n]);
});

test('a device stores value, value + 1, … to its pages, as far as 64 bits go', () => {
  const { lines, values } = parseOps('P0 dwrite 1 R0 2 3 0xfffffffffffffffe\n', 'x.ops');
  const [device, region, page, pages, ...stored] = lines[0]!.words;
  expect([device, region, page, pages]).toEqual([1, 0, 2, 3]);
  expect(stored.map((word) => values[word])).toEqual([0xfffffffffffffffen, 0xffffffffffffffffn, 0n]);
});
