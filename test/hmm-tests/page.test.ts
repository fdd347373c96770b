// SPDX-License-Identifier: MIT
import { join, resolve } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { expect, test } from 'vitest';
import { page } from './page.js';

const path = join(resolve(import.meta.dirname, '../..'), 'docs', 'hmm-tests.md');

test('docs/hmm-tests.md says what the tests are', async () => {
  const formatted = await format(page(), { ...(await resolveConfig(path)), parser: 'markdown' });
  await expect(formatted).toMatchFileSnapshot(path);
});
