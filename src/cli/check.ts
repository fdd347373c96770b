// SPDX-License-Identifier: MIT
import type { CheckOptions } from '../explore/check.js';
import { junit } from '../report/junit.js';
import { expectation, resultTable, summaryTable } from '../report/table.js';
import { nameOf, select } from './catalogue.js';
import { colorsOf } from './color.js';
import { Exit } from './exit.js';
import { fail, reserve, say, sayJson, shellWord } from './output.js';
import { drawn } from './replay.js';
import { againLine, checkDocument } from './result.js';
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
  else print(checked, seconds);
  if (interrupted) fail(`interrupted: ${checked.length} of ${jobs.length} variants were checked`);
  writeJunit?.(junit(checked.map(junitCase)));
  return interrupted ? Exit.INTERRUPTED : exitCode(checked.map(({ verdict }) => verdict));
}

/** One table of all; where it is about one scenario, its answer in full. */
function print(checked: readonly Checked[], seconds: number): void {
  const { red } = colorsOf(process.stdout);
  const entries = [...new Set(checked.map(({ job }) => job.entry))];
  const groups = entries.map((entry) => ({
    scenario: entry.scenario,
    results: checked
      .filter(({ job }) => job.entry === entry)
      .map(({ job, verdict }) => ({ variant: job.variant, verdict })),
  }));
  const [only, second] = groups;
  if (only !== undefined && second === undefined)
    process.stdout.write(
      resultTable(only.scenario, only.results, { seconds, target: shellWord(nameOf(entries[0]!)) }),
    );
  else process.stdout.write(summaryTable(groups, seconds));
  for (const one of checked) if (!isGood(one.verdict)) say(`${red('(!)')} ${againLine(one)}`);
}

function junitCase({ job, verdict, trace }: Checked): Parameters<typeof junit>[0][number] {
  const { entry, variant } = job;
  const { id, seconds, verdict: kind, property, detail } = verdict;
  return {
    family: entry.scenario.family,
    id,
    variant: variant.name,
    seconds,
    verdict: kind,
    property,
    detail,
    passed: isGood(verdict),
    ...(variant.expect === undefined ? {} : { declared: expectation(variant.expect) }),
    text: trace === null ? againLine({ job, trace }) : drawn(trace, entry, false),
  };
}
