// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { goldenFiles } from '../../conformance/golden.js';

const MAIN = fileURLToPath(new URL('../../conformance/main.mjs', import.meta.url));
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-test-'));
  const [file = ''] = goldenFiles();
  const packed = readFileSync(file);
  const text = gunzipSync(packed).toString();
  writeFileSync(join(folder, 'cut.gz'), packed.subarray(0, packed.length >> 1));
  writeFileSync(join(folder, 'other.gz'), gzipSync(text.replace('\nP0 ', '\nP0 fly ')));
  writeFileSync(join(folder, 'long.ops'), `P0 exit # ${'é'.repeat(300)}\n`);
  writeFileSync(join(folder, 'bad.ops'), 'P0 exit\nsync 1\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Nothing of this needs a kernel. */
test.each([
  [['live', '--ops', '0', '--seed', '1'], 'expected --ops and a whole number from 1 to 1000000000, found 0'],
  [['live', '--ops', '10', '--seed', '1', '--mix', 'none'], 'there is no mix none; there is core, '],
  [['live', '--ops', '10', '--seed', '1', '--out', 'x'], 'live takes no --out'],
  [['docs', 'x'], 'docs takes no x'],
  [['record', '--again', 'x.gz', '--seed', '1'], 'record takes --again or --seed, not both'],
  [['record', '--seed', '1', '--ops', '-1'], "Option '--ops' argument is ambiguous. Did you forget"],
  [
    ['record', '--script', 'bad.ops'],
    'bad.ops:2: expected Pn and an operation, or autoobs, obs, reset; found sync',
  ],
  [['record', '--script', 'long.ops'], 'long.ops:1: is longer than 500 bytes'],
  [['replay', 'cut.gz'], 'cut.gz: not a whole gzip file (unexpected end of file)'],
  [['replay', 'other.gz'], 'script of other:2: there is no operation fly; there is mmap, '],
])('%j', (args, message) => {
  const { status, stderr } = spawnSync(process.execPath, [MAIN, ...args], { cwd: folder, encoding: 'utf8' });
  expect(stderr).toContain(`conformance: ${message}`);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect(status).toBe(2);
});
