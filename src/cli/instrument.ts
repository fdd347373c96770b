// SPDX-License-Identifier: MIT
/** Build step: applies the source transform to emitted JavaScript in place. Arguments: directories below dist. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { instrument, TransformError } from '../transform/index.js';
import { lineOf } from './source-lines.js';

const dist = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const live = join(dist, 'core', 'live.js');

for (const directory of process.argv.slice(2)) {
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.js')) continue;
    const path = resolve(entry.parentPath, entry.name);
    const specifier = relative(dirname(path), live).replaceAll('\\', '/');
    const file = `src/${relative(dist, path).replaceAll('\\', '/').replace(/\.js$/, '.ts')}`;
    const source = readFileSync(path, 'utf8');
    try {
      const { code } = instrument(source, {
        file,
        live: specifier.startsWith('.') ? specifier : `./${specifier}`,
        lineOf: lineOf(readFileSync(`${path}.map`, 'utf8')),
      });
      if (code !== source) writeFileSync(path, code);
    } catch (error) {
      if (!(error instanceof TransformError)) throw error;
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 1;
    }
  }
}
