// SPDX-License-Identifier: MIT
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The one list of who may import whom; the `references` of the layers' tsconfig.json are held against it. */
const LAYERS: Record<string, readonly string[]> = {
  core: [],
  transform: [],
  machine: ['core'],
  linux: ['core', 'machine'],
  properties: ['core', 'machine', 'linux'],
  litmus: ['core', 'machine', 'linux', 'properties'],
  scenarios: ['core', 'machine', 'linux', 'properties', 'litmus'],
  explore: ['core'],
  report: ['core', 'explore'],
  cli: ['core', 'transform', 'machine', 'linux', 'properties', 'litmus', 'scenarios', 'explore', 'report'],
};
const names = Object.keys(LAYERS);
const GLOBALS = ['process', 'document', 'console', 'setTimeout'];

const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');

/** A copy of the layers' project files around stubs. */
let copy = '';
const rejected = new Set<string>();

function build(): string {
  return spawnSync(process.execPath, [tsc, '-b'], { cwd: copy, encoding: 'utf8' }).stdout;
}

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'shootdown-layers-'));
  for (const file of ['package.json', 'tsconfig.base.json', 'tsconfig.json']) {
    copyFileSync(root + file, join(copy, file));
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'), 'junction');
  for (const layer of names) {
    mkdirSync(join(copy, 'src', layer), { recursive: true });
    copyFileSync(join(root, 'src', layer, 'tsconfig.json'), join(copy, 'src', layer, 'tsconfig.json'));
    writeFileSync(join(copy, 'src', layer, 'stub.ts'), 'export const stub = 1;\n');
  }
  const errors = build();
  if (errors !== '') throw new Error(`expected the bare layers to build:\n${errors}`);

  // Now every layer imports every other and uses every global.
  for (const layer of names) {
    const write = (name: string, text: string): void => {
      writeFileSync(join(copy, 'src', layer, `${name}.ts`), text);
    };
    for (const other of names) {
      if (other !== layer) write(`import-${other}`, `export { stub } from '../${other}/stub.js';\n`);
    }
    for (const name of GLOBALS) write(`global-${name}`, `export const it: unknown = ${name};\n`);
  }
  for (const [, layer, what] of build().matchAll(/^src\/(\w+)\/([\w-]+)\.ts\(\d+,\d+\): error /gm)) {
    rejected.add(`${layer}: ${what}`);
  }
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

describe.each(names)('%s', (layer) => {
  test('tsc -b accepts the layers below it and rejects the others', () => {
    const others = names.filter((other) => other !== layer);
    const accepted = others.filter((other) => !rejected.has(`${layer}: import-${other}`));
    expect(accepted).toEqual(others.filter((other) => LAYERS[layer]?.includes(other)));
  });

  test('only cli sees Node, none sees the DOM', () => {
    const seen = GLOBALS.filter((name) => !rejected.has(`${layer}: global-${name}`));
    expect(seen).toEqual(layer === 'cli' ? ['process', 'console', 'setTimeout'] : []);
  });
});
