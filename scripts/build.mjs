// SPDX-License-Identifier: MIT
// npm run build: compiles, then instruments what was emitted, also if a part did not compile: emitted paths that are not
// instrumented would run, and give wrong verdicts.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = (...words) => spawnSync(process.execPath, words, { cwd: root, stdio: 'inherit' }).status ?? 1;
const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
const compiled = run(join(typescript, 'bin', 'tsc'), '-b');
const main = join(root, 'dist', 'cli', 'main.js');
const instrument = join(root, 'dist', 'cli', 'instrument.js');
const layers = ['machine', 'linux', 'properties', 'litmus', 'scenarios'].map((layer) => join('dist', layer));
const instrumented = existsSync(instrument) ? run(instrument, ...layers) : 1;
if (existsSync(main)) chmodSync(main, 0o755);
process.exitCode = compiled || instrumented;
