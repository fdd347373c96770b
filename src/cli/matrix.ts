// SPDX-License-Identifier: MIT
import { UsageError } from '../core/scenario.js';
import type { CheckOptions } from '../explore/check.js';
import { matrixText, verdictMatrix } from '../report/matrix.js';
import { SCENARIOS } from '../scenarios/index.js';
import { type Entry, select, selectOne } from './catalogue.js';
import { Exit } from './exit.js';
import { nearest } from './near.js';
import { say, sayJson } from './output.js';
import { resultJson } from './result.js';
import { exitCode, jobsOf, runJobs } from './run.js';
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
  const matrix = verdictMatrix(
    checked.map(({ job, verdict }) => ({
      id: verdict.id,
      knobs: job.variant.knobs,
      values: job.entry.scenario.knobs,
      verdict: verdict.verdict,
      property: verdict.property,
      asExpected: verdict.asExpected,
    })),
  );
  if (json) {
    sayJson({ matrix, results: checked.map((one) => ({ ...resultJson(one), trace: null })) });
  } else {
    if (entries.length === 1) say(`${entries[0]!.scenario.id}  ${entries[0]!.scenario.question}\n`);
    process.stdout.write(matrixText(matrix));
  }
  return interrupted ? Exit.INTERRUPTED : exitCode(checked.map(({ verdict }) => verdict));
}

async function chosen(argument: string): Promise<Entry[]> {
  if (looksLikeFile(argument)) return [await selectOne(argument)];
  const families = [...new Set(SCENARIOS.map(({ family }) => family))];
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
