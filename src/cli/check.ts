// SPDX-License-Identifier: MIT
import type { CheckOptions, Verdict } from '../explore/check.js';
import { type Entry, nameOf, select } from './catalogue.js';
import { Exit } from './exit.js';
import { reserve, say, sayJson, shellWord, tell } from './output.js';
import { type Job, Pool } from './pool.js';
import { Progress } from './progress.js';
import { withSource } from './replay.js';
import { selectVariants, type Wanted } from './variants.js';
import type { Result } from './worker.js';

export interface CheckCommand {
  readonly arguments: readonly string[];
  readonly family?: string | undefined;
  readonly wanted: Wanted;
  readonly workers?: number | undefined;
  readonly check: CheckOptions;
  readonly json: boolean;
  readonly junit?: string | undefined;
}

/** A job and what came out. */
export interface Checked extends Result {
  readonly job: Job;
}

/** Checks what is asked for, prints it, and returns the exit code. */
export async function checkCommand(command: CheckCommand): Promise<number> {
  const writeJunit = command.junit === undefined ? undefined : reserve(command.junit, '--junit');
  const jobs = jobsOf(await select(command.arguments, command.family), command.wanted);
  const began = Date.now();
  const { checked, interrupted } = await runJobs(jobs, {
    workers: command.workers,
    check: command.check,
    quiet: command.json,
  });
  const seconds = (Date.now() - began) / 1000;
  if (command.json) sayJson(document(checked, seconds, interrupted));
  else for (const line of report(checked, jobs.length, seconds)) say(line);
  writeJunit?.('');
  return interrupted ? Exit.INTERRUPTED : exitCode(checked.map(({ verdict }) => verdict));
}

/** Each variant that is asked for. */
export function jobsOf(entries: readonly Entry[], wanted: Wanted): Job[] {
  const scenarios = entries.map(({ scenario }) => scenario);
  return selectVariants(scenarios, wanted).flatMap(({ scenario, variants }) => {
    const entry = entries[scenarios.indexOf(scenario)]!;
    return variants.map((variant) => ({ entry, variant }));
  });
}

/** Runs jobs in parallel with progress on stderr; Ctrl-C ends them early. */
export async function runJobs(
  jobs: readonly Job[],
  options: { workers?: number | undefined; check: CheckOptions; quiet: boolean },
): Promise<{ checked: Checked[]; interrupted: boolean }> {
  let interrupted = false;
  const lines = !options.quiet && !process.stderr.isTTY;
  const pool = new Pool(jobs, {
    workers: options.workers,
    check: options.check,
    onResult: (result, job, index) => {
      progress.done = index + 1;
      if (lines) tell(`[${index + 1}/${jobs.length}] ${line({ job, ...result })}`);
    },
  });
  const progress = new Progress(pool, jobs.length);
  const release = onInterrupt(() => {
    interrupted = true;
    void pool.stop();
  });
  try {
    const results = await pool.check();
    const checked = jobs.flatMap((job, i) => {
      const result = results[i];
      return result === undefined ? [] : [{ job, ...result }];
    });
    return { checked, interrupted };
  } finally {
    release();
    progress.end();
  }
}

/** Calls `stop` at Ctrl-C, once: a second one ends the process. Returns what takes that back. */
export function onInterrupt(stop: () => void): () => void {
  process.once('SIGINT', stop);
  return () => process.removeListener('SIGINT', stop);
}

/** The command that shows a verdict. */
function showLine(entry: Entry, variant: string): string {
  return `npx shootdown show ${shellWord(nameOf(entry))} --variant ${shellWord(variant)}`;
}

/** 1 before 3; errors in the input (2) have thrown before. */
export function exitCode(verdicts: readonly Verdict[]): number {
  const complete = verdicts.filter(({ verdict }) => verdict !== 'incomplete');
  if (complete.some(({ asExpected, verdict }) => !(asExpected ?? verdict === 'safe'))) return Exit.DIFFERS;
  return complete.length < verdicts.length ? Exit.INCOMPLETE : Exit.OK;
}

function document(checked: readonly Checked[], seconds: number, interrupted: boolean): unknown {
  const results = checked.map(resultOf);
  return {
    results,
    summary: {
      total: results.length,
      asExpected: checked.filter(({ verdict }) => verdict.asExpected === true).length,
      incomplete: checked.filter(({ verdict }) => verdict.verdict === 'incomplete').length,
      vacuous: checked.filter(({ verdict }) => verdict.verdict === 'vacuous').length,
      seconds,
      ...(interrupted ? { interrupted } : {}),
    },
  };
}

/** One element of `results` of `check --json`. */
export function resultOf({ job, verdict, trace, memory }: Checked): Record<string, unknown> {
  const { scenario } = job.entry;
  const { expect, knobs } = job.variant;
  return {
    id: verdict.id,
    family: scenario.family,
    variant: verdict.variant,
    machine: knobs['machine'],
    kernel: knobs['kernel'],
    memory,
    verdict: verdict.verdict,
    property: verdict.property,
    detail: verdict.detail,
    expected: expect?.verdict ?? null,
    expectedProperty: expect?.property ?? null,
    expectedReports: expect?.reports ?? null,
    asExpected: verdict.asExpected ?? null,
    reports: verdict.reports,
    states: verdict.states,
    transitions: verdict.transitions,
    depth: verdict.depth,
    seconds: verdict.seconds,
    reductions: verdict.reductions,
    passes: verdict.passes,
    ...(verdict.bound === undefined ? {} : { bound: verdict.bound }),
    bounds: verdict.bounds,
    properties: verdict.properties,
    witnesses: verdict.witnesses,
    trace: trace === null ? null : withSource(trace, job.entry),
  };
}

function line({ job, verdict }: Checked): string {
  const { id, variant, states, seconds, asExpected } = verdict;
  const unexpected = asExpected === false ? `  expected ${expectedText(job)}` : '';
  return `${id} ${variant}: ${verdictText(verdict)}, ${states.toLocaleString('en-US')} states, ${seconds.toFixed(1)} s${unexpected}`;
}

/** A verdict in a few words. */
export function verdictText({ verdict, property, reports, bound, witnesses }: Verdict): string {
  const never = Object.entries(witnesses).flatMap(([name, seen]) => (seen ? [] : [name]));
  const parts = [
    verdict,
    property,
    reports.length > 0 ? `[${reports.join(' ')}]` : '',
    verdict === 'incomplete' && bound !== undefined ? `(${bound})` : '',
    verdict === 'vacuous' ? `(never: ${never.join(', ')})` : '',
  ];
  return parts.filter((part) => part !== '').join(' ');
}

function expectedText({ variant }: Job): string {
  const { expect } = variant;
  if (expect === undefined) return 'nothing';
  return [expect.verdict, expect.property, expect.reports.length > 0 ? `[${expect.reports.join(' ')}]` : '']
    .filter((part) => part !== '')
    .join(' ');
}

function* report(checked: readonly Checked[], total: number, seconds: number): Iterable<string> {
  for (const one of checked) yield line(one);
  for (const one of checked) {
    if (one.verdict.asExpected ?? one.verdict.verdict === 'safe') continue;
    yield `${one.verdict.id} ${one.verdict.variant}: ${showLine(one.job.entry, one.verdict.variant)}`;
  }
  const good = checked.filter(({ verdict }) => verdict.asExpected === true).length;
  yield `${good} of ${total} as declared, ${seconds.toFixed(1)} s`;
}
