// SPDX-License-Identifier: MIT
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const SKIPPED = new Set(['.git', 'node_modules', 'dist', 'coverage']);
const SOURCE = /\.([cm]?[jt]s|tsx|sh|py|css|html|[ch]|config)$|^\.ci\/run$/;
/** Files that are wrong on purpose. */
const EXEMPT = /^test\/(.*\/)?fixtures\/bad\//;
/** They retell the kernel's algorithms. */
const GPL = /^src\/(linux|scenarios)\//;
/** May retell the kernel, or be written against the API alone. */
const EITHER = /^(examples|test\/(.*\/)?fixtures)\//;

function allowedLicences(path: string): string[] {
  if (GPL.test(path)) return ['GPL-2.0-only'];
  return EITHER.test(path) ? ['GPL-2.0-only', 'MIT'] : ['MIT'];
}

/** What is wrong with the SPDX line of a file, or undefined. */
function spdxFault(path: string, text: string): string | undefined {
  const [first = '', second = ''] = text.split(/\r?\n/, 2);
  const line = first.startsWith('#!') ? second : first;
  const licence = /^(?:\/\/|#|\/\*|<!--) SPDX-License-Identifier: (\S+)/.exec(line)?.[1];
  const allowed = allowedLicences(path);
  if (licence !== undefined && allowed.includes(licence)) return undefined;
  return `${path}:1: expected SPDX-License-Identifier: ${allowed.join(' or ')}, found ${licence ?? 'none'}`;
}

function* sourceFiles(folder: string): Generator<string> {
  for (const entry of readdirSync(root + folder, { withFileTypes: true })) {
    const path = folder + entry.name;
    if (entry.isDirectory()) {
      if (!SKIPPED.has(entry.name)) yield* sourceFiles(`${path}/`);
    } else if (SOURCE.test(path) && !EXEMPT.test(path)) yield path;
  }
}

test('every source file opens with the SPDX line of its folder', () => {
  const files = [...sourceFiles('')];
  expect(files).toContain('vitest.config.ts');
  const faults = files.map((path) => spdxFault(path, readFileSync(root + path, 'utf8')));
  expect(faults.filter((fault) => fault !== undefined)).toEqual([]);
});

test.each([
  [
    'src/linux/mm/gup.ts',
    '// SPDX-License-Identifier: MIT\n',
    'expected SPDX-License-Identifier: GPL-2.0-only, found MIT',
  ],
  ['src/explore/bfs.ts', '// SPDX-License-Identifier: GPL-2.0-only\n', 'Identifier: MIT, found GPL-2.0-only'],
  ['src/explore/bfs.ts', '// breadth first\n// SPDX-License-Identifier: MIT\n', 'found none'],
])('a wrong SPDX line in %s is found', (path, text, fault) => {
  expect(spdxFault(path, text)).toContain(fault);
});

test.each([
  ['src/cli/main.ts', '#!/usr/bin/env node\r\n// SPDX-License-Identifier: MIT\r\n'],
  ['examples/a.ts', '// SPDX-License-Identifier: GPL-2.0-only\n'],
  ['.ci/run', '#!/usr/bin/env bash\n# SPDX-License-Identifier: MIT\n'],
])('the SPDX line of %s is accepted', (path, text) => {
  expect(spdxFault(path, text)).toBeUndefined();
});
