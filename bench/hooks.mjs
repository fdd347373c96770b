// SPDX-License-Identifier: MIT
/**
 * Module hooks of the bench: its TypeScript is compiled when it is loaded, its paths get the source transform as all
 * paths do, and `../src/…` is what `npm run build` made of it.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { instrument } from '../dist/transform/index.js';

const bench = new URL('.', import.meta.url).href;
/** The files that hold paths. */
const paths = [new URL('model.ts', import.meta.url).href, new URL('kernel.ts', import.meta.url).href];
const src = new URL('../src/', import.meta.url).href;
const dist = new URL('../dist/', import.meta.url).href;

export async function resolve(specifier, context, next) {
  if (!context.parentURL?.startsWith(bench) || !specifier.startsWith('.')) return next(specifier, context);
  const url = new URL(specifier, context.parentURL).href;
  if (url.startsWith(src)) return next(dist + url.slice(src.length), context);
  if (url.startsWith(bench)) return { url: url.replace(/\.js$/, '.ts'), shortCircuit: true };
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.startsWith(bench) || !url.endsWith('.ts')) return next(url, context);
  const path = fileURLToPath(url);
  const { code } = transformSync(readFileSync(path, 'utf8'), { loader: 'ts', target: 'es2023' });
  const source = paths.includes(url)
    ? instrument(code, { file: path, live: `${dist}core/live.js` }).code
    : code;
  return { format: 'module', shortCircuit: true, source };
}
