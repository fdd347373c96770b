// SPDX-License-Identifier: MIT
/** `npm run bench`: how fast the engine searches, beside SPIN on the same model. See `main.ts`. */
import { existsSync } from 'node:fs';

if (existsSync(new URL('../dist/explore/search.js', import.meta.url))) {
  await import('./register.mjs');
  const { main } = await import('./main.ts');
  process.exitCode = main(process.argv.slice(2));
} else {
  process.stderr.write('bench: there is no dist: run `npm run build` first\n');
  process.exitCode = 2;
}
