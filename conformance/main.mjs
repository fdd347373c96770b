// SPDX-License-Identifier: MIT
/** `npm run conformance:…`: the model beside the real kernel. See `main.ts`. */
import { existsSync } from 'node:fs';

if (existsSync(new URL('../dist/cli/main.js', import.meta.url))) {
  await import('./register.mjs');
  const { main } = await import('./main.ts');
  process.exitCode = await main(process.argv.slice(2));
} else {
  process.stderr.write('conformance: there is no dist: run `npm run build` first\n');
  process.exitCode = 2;
}
