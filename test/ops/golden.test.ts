// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { runOps } from '../../src/cli/ops.js';
import { normalise } from '../../src/litmus/ops-observe.js';

const golden = (name: string): string =>
  gunzipSync(readFileSync(fileURLToPath(new URL(`../golden/${name}.gz`, import.meta.url)))).toString();

/** An operation and what was answered to it. */
function answers(lines: readonly string[]): string[][] {
  const found: string[][] = [];
  for (const line of lines) {
    if (line.startsWith('>') || found.length === 0) found.push([]);
    found.at(-1)!.push(line);
  }
  return found;
}

/** The first operation that answers something else, with what came before it since the last reset; undefined if none does. */
function firstDifference(ours: readonly string[], real: readonly string[]): string | undefined {
  const [got, want] = [answers(ours), answers(real)];
  const at = want.findIndex((lines, i) => lines.join('\n') !== got[i]?.join('\n'));
  if (at < 0) return got.length > want.length ? `one more: ${got[want.length]![0]}` : undefined;
  const from = want.findLastIndex((lines, i) => i <= at && lines[0] === '> reset') + 1;
  return [
    ...want.slice(from, at).map(([line]) => line!),
    'the real kernel:',
    ...want[at]!,
    'the model:',
    ...(got[at] ?? ['nothing']),
  ].join('\n');
}

test.each(['core-1', 'core-2', 'device-1', 'device-2'])(
  '%s: 2,000 operations answer what Linux 6.12 answered',
  (name) => {
    const { lines, broken } = runOps(golden(`${name}.script`), name);
    expect(broken).toBeUndefined();
    expect(firstDifference(normalise(lines), golden(`${name}.answer`).trimEnd().split('\n'))).toBeUndefined();
  },
);
