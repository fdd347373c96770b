// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse, steady } from './literate.js';

const root = resolve(import.meta.dirname, '../..');
const main = join(root, 'dist', 'cli', 'main.js');

/** Every command in the documents is run, and prints what the document says. */
describe.each(['README.md', 'docs/guide.md'])('%s', (document) => {
  const directory = mkdtempSync(join(tmpdir(), 'shootdown docs '));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  let status = 0;
  for (const step of parse(readFileSync(join(root, document), 'utf8'))) {
    if (step.kind === 'file') {
      test(`file ${step.name}`, () => {
        writeFileSync(join(directory, step.name), step.text);
        expect(step.text).not.toBe('');
      });
    }
    for (const { line, expected } of step.commands) {
      test(`$ ${line}`, () => {
        if (line === 'echo $?') {
          expect(String(status)).toBe(expected.trim());
          return;
        }
        const [npx, name, ...rest] = line.split(' ');
        expect([npx, name]).toEqual(['npx', 'shootdown']);
        const run = spawnSync(process.execPath, [main, ...rest], {
          cwd: directory,
          encoding: 'utf8',
          env: { ...process.env, NO_COLOR: '1' },
        });
        status = run.status ?? -1;
        const printed = run.stdout === '' ? run.stderr : run.stdout;
        expect(steady(printed)).toBe(steady(expected));
      });
    }
  }
});
