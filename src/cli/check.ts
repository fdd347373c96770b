// SPDX-License-Identifier: MIT
import type { CheckOptions } from '../explore/check.js';
import { select } from './catalogue.js';
import { Exit } from './exit.js';
import { reserve, say, sayJson } from './output.js';
import { checkDocument, lineText, showLine } from './result.js';
import { type Checked, exitCode, isGood, jobsOf, runJobs } from './run.js';
import type { Wanted } from './variants.js';

export interface CheckCommand {
  readonly arguments: readonly string[];
  readonly family?: string | undefined;
  readonly wanted: Wanted;
  readonly workers?: number | undefined;
  readonly check: CheckOptions;
  readonly json: boolean;
  readonly junit?: string | undefined;
}

/** Checks what is asked for, prints it, and returns the exit code. */
export async function checkCommand(command: CheckCommand): Promise<number> {
  const { workers, check, json, wanted } = command;
  const writeJunit = command.junit === undefined ? undefined : reserve(command.junit, '--junit');
  const jobs = jobsOf(await select(command.arguments, command.family), wanted);
  const began = Date.now();
  const { checked, interrupted } = await runJobs(jobs, { workers, check, quiet: json });
  const seconds = (Date.now() - began) / 1000;
  if (json) sayJson(checkDocument(checked, seconds, interrupted));
  else for (const line of summary(checked, jobs.length, seconds)) say(line);
  writeJunit?.('');
  return interrupted ? Exit.INTERRUPTED : exitCode(checked.map(({ verdict }) => verdict));
}

function* summary(checked: readonly Checked[], total: number, seconds: number): Iterable<string> {
  for (const one of checked) yield lineText(one);
  for (const { job, verdict } of checked)
    if (!isGood(verdict)) yield `${verdict.id} ${verdict.variant}: ${showLine(job.entry, job.variant)}`;
  const good = checked.filter(({ verdict }) => verdict.asExpected === true).length;
  yield `${good} of ${total} as declared, ${seconds.toFixed(1)} s`;
}
