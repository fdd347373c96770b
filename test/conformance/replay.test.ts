// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { goldenFiles } from '../../conformance/golden.js';
import { type Replayed, replayAll } from '../../conformance/replay.js';

test('the model answers all recorded operations as Linux 6.12 has answered them', async () => {
  const files = goldenFiles();
  const replayed: Replayed[] = [];
  await replayAll(files, (one) => replayed.push(one));
  expect(replayed).toHaveLength(files.length);
  expect(
    replayed.flatMap(({ file, difference }) => (difference === undefined ? [] : [`${file}\n${difference}`])),
  ).toEqual([]);
}, 300_000);
