// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parse, steady } from './literate.js';

const root = resolve(import.meta.dirname, '../..');
const main = join(root, 'dist', 'cli', 'main.js');

/** Every command in the documents is run, and prints what the document says. */
describe.each(['README.md', 'docs/guide.md', 'docs/driver-guide.md'])('%s', (document) => {
  const directory = mkdtempSync(join(tmpdir(), 'shootdown docs '));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  let status = 0;
  for (const step of parse(readFileSync(join(root, document), 'utf8'))) {
    if (step.kind === 'file') {
      test(`file ${step.name}`, () => {
        mkdirSync(dirname(join(directory, step.name)), { recursive: true });
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
        const copied = /^cp -r node_modules\/shootdown\/(\S+) (\S+)$/.exec(line);
        if (copied !== null) {
          cpSync(join(root, copied[1]!), join(directory, copied[2]!), { recursive: true });
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

test.each(['driver', 'scenario'])(
  'what docs/driver-guide.md shows of my-mirror/%s.ts stands there',
  (name) => {
    const file = `my-mirror/${name}.ts`;
    const source = readFileSync(join(root, 'examples', file), 'utf8');
    const guide = readFileSync(join(root, 'docs/driver-guide.md'), 'utf8');
    const excerpts = [...guide.matchAll(/^```ts\n\/\/ from (\S+)\n([\s\S]*?)^```$/gm)].filter(
      ([, of]) => of === file,
    );
    expect(excerpts.length).toBeGreaterThan(0);
    for (const [, , text] of excerpts) expect(source).toContain(text);
  },
);
