// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { goldenFiles } from '../../conformance/golden.js';
import { type Replayed, replayAll } from '../../conformance/replay.js';

test('the model answers all recorded operations as Linux 6.12 has answered them', async () => {
  const files = goldenFiles();
  const replayed: Replayed[] = [];
  await replayAll(files, (one) => replayed.push(one));
  expect(new Set(replayed.filter(({ asked }) => !asked.retries).map(({ asked }) => asked.file)).size).toBe(
    files.length,
  );
  expect(replayed.some(({ asked }) => asked.retries)).toBe(true);
  expect(
    replayed.flatMap(({ asked, difference }) =>
      difference === undefined ? [] : [`${JSON.stringify(asked)}\n${difference}`],
    ),
  ).toEqual([]);
}, 300_000);
