// SPDX-License-Identifier: MIT
/** Deadlocks and reports of lockdep as the command line gives them: as data, and the same bytes each time. */
import { expect, test } from 'vitest';
import { shootdown } from './shootdown.js';

interface Frame {
  readonly fn: string;
  readonly at: string;
}
interface Result {
  readonly id: string;
  readonly reports: readonly string[];
  readonly reportDetails: readonly {
    readonly name: string;
    readonly about: string;
    readonly parts: readonly {
      readonly agent: string;
      readonly first: { readonly what: string; readonly stack: readonly Frame[] };
      readonly second: { readonly what: string; readonly stack: readonly Frame[] };
    }[];
  }[];
  readonly trace: {
    readonly deadlock?: {
      readonly cycle: readonly number[];
      readonly waits: readonly {
        readonly until: string;
        readonly holds: readonly { readonly what: string }[];
      }[];
    };
  } | null;
}
const resultsOf = (json: string): readonly Result[] => (JSON.parse(json) as { results: Result[] }).results;

const removal = ['N-07', '--variant', 'from=callback'];

test('check --json: names of reports as before, and beside them both stacks and the circle', async () => {
  const { code, out } = await shootdown(['check', ...removal, '--json']);
  expect(code).toBe(0);
  const [result] = resultsOf(out);
  expect(result!.reports).toEqual(['LOCK-ORDER']);
  const [detail] = result!.reportDetails;
  expect(detail).toMatchObject({ name: 'LOCK-ORDER', about: 'mmu_notifier_invalidate_range_start' });
  const [part] = detail!.parts;
  expect(part!.agent).toBe('unmapper');
  expect(part!.first.stack.map(({ fn }) => fn)).toContain('zap_page_range_single');
  expect(part!.second.stack.at(-1)!.fn).toBe('mmu_interval_notifier_remove');
  expect(part!.second.stack[0]!.at).toMatch(/n-07\.ts:\d+$/);
  const { cycle, waits } = result!.trace!.deadlock!;
  expect(cycle).toEqual([0]);
  expect(waits[0]).toMatchObject({ until: 'P.invalidate_seq to change', holds: [{ what: 'P.mmap_lock' }] });
});

test('what another scenario taught the worker before does not change what is printed', async () => {
  const alone = await shootdown(['check', ...removal, '--json']);
  const behind = await shootdown(['check', 'D-29', 'N-07', '--workers', '1', '--json']);
  const of = (json: string): unknown => {
    const { reportDetails } = resultsOf(json).find(({ id, reports }) => id === 'N-07' && reports.length > 0)!;
    return reportDetails;
  };
  expect(of(behind.out)).toEqual(of(alone.out));
  const [once, again] = await Promise.all(
    [0, 1].map(() => shootdown(['show', ...removal, '--report', 'LOCK-ORDER'])),
  );
  expect(again!.out).toBe(once!.out);
  expect(once!.out).toContain('unmapper holds mmu_notifier_invalidate_range_start:');
});

test('show of a run that is fine says how to see its reports', async () => {
  const { out } = await shootdown(['show', 'N-15b', '--variant', 'base']);
  expect(out).toContain('N-15b base: safe [LOCK-ORDER]');
  expect(out).toContain('Next: npx shootdown show N-15b --variant base --report LOCK-ORDER');
});
