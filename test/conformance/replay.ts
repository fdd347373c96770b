// SPDX-License-Identifier: MIT
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { goldenFiles, readGolden } from '../../conformance/golden.js';
import { replayOne } from '../../conformance/replay.js';

/** One file in so many is replayed with every invariant after each step: some ten times as slow. */
const JUDGED = 20;
/**
 * Test driver and coherent memory: a hole that a device knows as the zero page is filled with the device's memory a moment
 * before the driver says so to the device, which is a violation of SPTE-COHERENT.
 */
const EXCUSED = ['coherent', 'all'];

/** The recorded files that are this part's, of so many parts. */
export function replayPart(part: number, parts: number): void {
  const files = goldenFiles();
  const judged = files
    .filter((file) => !EXCUSED.includes(readGolden(file).head.mix))
    .filter((_, i) => i % JUDGED === 0);
  const own = files.filter((_, i) => i % parts === part);
  test.each(own.map((file) => [basename(file), file] as const))(
    '%s answers what Linux 6.12 answered',
    (_, file) => {
      expect(replayOne(file, judged.includes(file) ? 'step' : 'never').difference).toBeUndefined();
    },
  );
  if (own.length === 0)
    test('nothing is recorded for this part yet', () => expect(files.length).toBeLessThan(parts));
}
