// SPDX-License-Identifier: MIT
import { UsageError } from '../core/scenario.js';
import type { CheckOptions } from '../explore/check.js';
import { laidOut, matrixText, verdictMatrix } from '../report/matrix.js';
import { wrap } from '../report/text.js';
import { FAMILY_MATRIX, SCENARIOS } from '../scenarios/index.js';
import { type Entry, select, selectOne } from './catalogue.js';
import { Exit } from './exit.js';
import { nearest } from './near.js';
import { say, sayJson } from './output.js';
import { againLine, resultJson } from './result.js';
import { type Checked, exitCode, jobsOf, runJobs } from './run.js';
import { looksLikeFile } from './paths.js';

export interface MatrixCommand {
  readonly argument: string;
  readonly workers?: number | undefined;
  readonly check: CheckOptions;
  readonly json: boolean;
}

/** Checks all variants of a scenario or a family and lays the verdicts out. */
export async function matrixCommand({ argument, workers, check, json }: MatrixCommand): Promise<number> {
  const entries = await chosen(argument);
  const jobs = jobsOf(entries, { settings: {} });
  const { checked, interrupted } = await runJobs(jobs, { workers, check, quiet: json });
  const layout = entries.length === 1 ? entries[0]!.scenario.matrix : undefined;
  const cells = checked.map(({ job, verdict }) => ({
    id: verdict.id,
    knobs: job.variant.knobs,
    values: job.entry.scenario.knobs,
    verdict: verdict.verdict,
    property: verdict.property,
    asExpected: verdict.asExpected,
  }));
  const matrix = layout === undefined ? verdictMatrix(cells) : laidOut(cells, layout);
  if (json) {
    sayJson({ matrix, results: checked.map((one) => ({ ...resultJson(one), trace: null })) });
  } else {
    if (entries.length === 1) say(`${entries[0]!.scenario.id}  ${entries[0]!.scenario.question}\n`);
    process.stdout.write(matrixText(matrix));
    if (layout !== undefined) sayCells(checked);
  }
  return interrupted ? Exit.INTERRUPTED : exitCode(checked.map(({ verdict }) => verdict));
}

/** What the cells of a laid out table stand for: the bounds of the proofs, and a command for each run. */
function sayCells(checked: readonly Checked[]): void {
  const bounds = checked[0]?.verdict.bounds;
  if (bounds !== undefined) say(`\n${wrap(`safe: a proof, all interleavings of ${bounds}`, 78).join('\n')}`);
  const drawn = checked.filter(({ trace }) => trace !== null);
  if (drawn.length > 0) say('\nThe others, drawn:');
  for (const one of drawn) say(`  ${againLine(one)}`);
}

async function chosen(argument: string): Promise<Entry[]> {
  if (looksLikeFile(argument)) return [await selectOne(argument)];
  const families = [...new Set(SCENARIOS.map(({ family }) => family))];
  if (FAMILY_MATRIX[argument] !== undefined) return [await selectOne(FAMILY_MATRIX[argument])];
  if (families.includes(argument)) return select([], argument);
  const ids = SCENARIOS.map(({ id }) => id);
  if (!ids.some((id) => id.toLowerCase() === argument.toLowerCase())) {
    const near = nearest(argument, [...ids, ...families]);
    throw new UsageError(
      `no scenario or family ${argument}; ${near.length > 0 ? `near it: ${near.join(', ')}` : 'shootdown list shows all'}`,
    );
  }
  return [await selectOne(argument)];
}
