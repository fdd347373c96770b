// SPDX-License-Identifier: MIT
import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { siteCount } from '../../src/core/live.js';
import { mutantsOf, nameOf } from '../../src/cli/mutants.js';
import { modelAnswer } from '../../conformance/compare.js';
import { writeGolden } from '../../conformance/golden.js';
import { type Ended, type Reached, work } from '../../conformance/mutate-worker.js';

const SCRIPT = `P0 mmap R0 2 rw anon
P0 w R0 0 0x10
reset
P0 mmap R0 2 rw anon
P0 w R0 0 0x10
P0 fork P1
P1 w R0 0 0x11
`;
const asked = {
  file: writeGolden(
    {
      name: 'own-1',
      head: {
        kernel: 'none',
        config: 'none',
        seed: '1',
        mix: 'own',
        operations: '6',
        trace: 'none',
        date: 'none',
      },
      script: SCRIPT,
      answer: modelAnswer(SCRIPT, 'script', {}),
    },
    mkdtempSync(join(tmpdir(), 'shootdown-')),
  ),
  judged: 'operation',
  retries: false,
} as const;
const [first, second] = [0, 1].map((part) => ({ ...asked, first: part, last: part }));

test('each part of a recording reaches its statements', () => {
  const { names, parts } = work({ kind: 'cover', asked }) as Reached;
  const fork = names.indexOf('kernel/fork.ts dup_mmap mmap_write_lock#1');
  expect(fork).toBeGreaterThan(0);
  expect(parts.map(({ sites }) => sites.find(([site]) => site === fork)?.[1])).toEqual([undefined, 1]);
});

test('the part that notices a mutant says how', () => {
  const ask = (mutant: string): Ended => work({ kind: 'mutant', mutant, asked: [first!, second!] }) as Ended;
  expect(ask('mm/memory-fork.ts copy_present_pte folio_get#1 skip')).toMatchObject({
    by: 1,
    how: expect.stringContaining('REF-SUM: ') as string,
  });
  expect(ask('kernel/fork.ts dup_mmap mmap_write_lock#1 lock').by).toBe(1);
  expect(ask('mm/memory-wp.ts wp_page_copy pteUnchanged#1 true')).toEqual({ by: -1, how: '' });
});

test('there are reasons only for mutants that there are', () => {
  const families = JSON.parse(
    readFileSync(new URL('../../conformance/survivors.json', import.meta.url), 'utf8'),
  ) as Record<string, string[]>;
  const mutants = new Set(
    Array.from({ length: siteCount() }, (_, site) => mutantsOf(site).map(nameOf)).flat(),
  );
  const explained = Object.values(families).flat();
  expect(explained.filter((name) => !mutants.has(name))).toEqual([]);
  expect(new Set(explained).size).toBe(explained.length);
});
