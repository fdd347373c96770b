// SPDX-License-Identifier: MIT
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { lineOf } from './src/cli/source-lines.js';
import { instrument } from './src/transform/index.js';

const root = fileURLToPath(new URL('.', import.meta.url));
const src = (path: string): string => fileURLToPath(new URL(`src/${path}`, import.meta.url));

/** The layers that hold paths, and the files with which tests, the bench and users add to them. */
const INSTRUMENTED =
  /^((src\/(machine|linux|properties|litmus|scenarios)|test\/(.*\/)?fixtures|examples)\/|bench\/(kernel|model)\.ts$)/;

/** What `npm run build` does to the emitted files, done to the sources that the tests run on. */
function instrumentPaths(): Plugin {
  return {
    name: 'shootdown:instrument',
    enforce: 'post', // after the types are stripped
    transform(code, id) {
      const path = id.replace(/[?#].*$/s, '').replaceAll('\\', '/');
      if (!path.startsWith(root) || !path.endsWith('.ts')) return null;
      const file = path.slice(root.length);
      if (!INSTRUMENTED.test(file)) return null;
      const { code: instrumented, map } = instrument(code, {
        file,
        live: src('core/live.ts'),
        lineOf: lineOf(JSON.stringify(this.getCombinedSourcemap())),
      });
      return { code: instrumented, map: map as null };
    },
  };
}

export default defineConfig({
  plugins: [instrumentPaths()],
  resolve: {
    alias: [
      { find: /^shootdown$/, replacement: src('litmus/index.ts') },
      { find: /^shootdown\/linux$/, replacement: src('linux/index.ts') },
      { find: /^shootdown\/live$/, replacement: src('core/live.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['default', './.ci/closing-line.ts'],
    testTimeout: 60_000, // exhaustive runs, on two slow cores
    maxWorkers: '100%', // not one less: the main process only waits
  },
});
