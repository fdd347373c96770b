// SPDX-License-Identifier: MIT
/** Module hooks: TypeScript is compiled when it is loaded, and `../src/…` is what `npm run build` made of it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';

const here = new URL('.', import.meta.url).href;
const src = new URL('../src/', import.meta.url).href;
const dist = new URL('../dist/', import.meta.url).href;

export async function resolve(specifier, context, next) {
  if (!context.parentURL?.startsWith(here) || !specifier.startsWith('.')) return next(specifier, context);
  const url = new URL(specifier, context.parentURL).href;
  if (url.startsWith(src)) return next(dist + url.slice(src.length), context);
  if (url.startsWith(here)) return { url: url.replace(/\.js$/, '.ts'), shortCircuit: true };
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.startsWith(here) || !url.endsWith('.ts')) return next(url, context);
  const { code } = transformSync(readFileSync(fileURLToPath(url), 'utf8'), {
    loader: 'ts',
    target: 'es2023',
  });
  return { format: 'module', shortCircuit: true, source: code };
}
