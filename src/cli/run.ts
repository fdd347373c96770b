// SPDX-License-Identifier: MIT
import type { CheckOptions, Verdict } from '../explore/check.js';
import type { Entry } from './catalogue.js';
import { Exit } from './exit.js';
import { tell } from './output.js';
import { type Job, Pool } from './pool.js';
import { Progress } from './progress.js';
import { lineText } from './result.js';
import { selectVariants, type Wanted } from './variants.js';
import type { Result } from './worker.js';

/** A job and what came out. */
export interface Checked extends Result {
  readonly job: Job;
}

/** Each variant that is asked for. */
export function jobsOf(entries: readonly Entry[], wanted: Wanted): Job[] {
  const scenarios = entries.map(({ scenario }) => scenario);
  return selectVariants(scenarios, wanted).flatMap(({ scenario, variants }) => {
    const entry = entries[scenarios.indexOf(scenario)]!;
    return variants.map((variant) => ({ entry, variant }));
  });
}

/** Checks jobs in parallel with progress on stderr; Ctrl-C ends them early. */
export async function runJobs(
  jobs: readonly Job[],
  options: { workers?: number | undefined; check: CheckOptions; quiet: boolean },
): Promise<{ checked: Checked[]; interrupted: boolean }> {
  const lines = !options.quiet && !process.stderr.isTTY;
  const pool = new Pool(jobs, {
    workers: options.workers,
    check: options.check,
    onResult: (result, job, index) => {
      if (lines) tell(`[${index + 1}/${jobs.length}] ${lineText({ job, ...result })}`);
    },
  });
  const progress = new Progress(pool, jobs.length);
  const { value, interrupted } = await interruptible(pool, progress, () => pool.check());
  const checked = jobs.flatMap((job, i) => {
    const result = value[i];
    return result === undefined ? [] : [{ job, ...result }];
  });
  return { checked, interrupted };
}

/** Does `work` with a progress line. Ctrl-C stops the pool; a second one ends the process. */
export async function interruptible<T>(
  pool: Pool,
  progress: Progress,
  work: () => Promise<T>,
): Promise<{ value: T; interrupted: boolean }> {
  let interrupted = false;
  const interrupt = (): void => {
    interrupted = true;
    void pool.stop();
  };
  process.once('SIGINT', interrupt);
  try {
    const value = await work();
    return { value, interrupted };
  } finally {
    process.removeListener('SIGINT', interrupt);
    progress.end();
  }
}

/** 1 before 3; errors in the input (2) have thrown before. */
export function exitCode(verdicts: readonly Verdict[]): number {
  const complete = verdicts.filter(({ verdict }) => verdict !== 'incomplete');
  if (complete.some((verdict) => !isGood(verdict))) return Exit.DIFFERS;
  return complete.length < verdicts.length ? Exit.INCOMPLETE : Exit.OK;
}

/** As declared; safe, where nothing is declared. */
export function isGood({ asExpected, verdict }: Verdict): boolean {
  return asExpected ?? verdict === 'safe';
}
