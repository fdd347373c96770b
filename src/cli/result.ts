// SPDX-License-Identifier: MIT
/** What a check found, in JSON and in a few words. The JSON shapes are stable: fields are added, none is renamed. */
import type { Verdict } from '../explore/check.js';
import type { Trace } from '../explore/trace.js';
import { expectation } from '../report/table.js';
import { type Entry, nameOf } from './catalogue.js';
import { shellWord } from './output.js';
import type { Checked } from './run.js';

/** A trace document as it goes to a file. */
export type TraceFile = Trace & {
  /** The user's scenario file, relative to the directory that the command ran in. Absent: built in. */
  readonly source?: string;
};

/** Adds what a replay needs to find a user's scenario again. */
export function withSource(trace: Trace, { user }: Entry): TraceFile {
  return user === undefined ? trace : { ...trace, source: user.name };
}

/** The document of `check --json`. */
export function checkDocument(checked: readonly Checked[], seconds: number, interrupted: boolean): unknown {
  const count = (test: (verdict: Verdict) => boolean): number =>
    checked.filter(({ verdict }) => test(verdict)).length;
  return {
    results: checked.map(resultJson),
    summary: {
      total: checked.length,
      asExpected: count(({ asExpected }) => asExpected === true),
      incomplete: count(({ verdict }) => verdict === 'incomplete'),
      vacuous: count(({ verdict }) => verdict === 'vacuous'),
      seconds,
      ...(interrupted ? { interrupted } : {}),
    },
  };
}

/** One element of `results`. */
export function resultJson({ job, verdict, trace, memory }: Checked): Record<string, unknown> {
  const { entry, variant } = job;
  const { expect, knobs } = variant;
  return {
    id: verdict.id,
    family: entry.scenario.family,
    variant: verdict.variant,
    machine: knobs['machine'] ?? '',
    kernel: knobs['kernel'] ?? '',
    memory,
    verdict: verdict.verdict,
    property: verdict.property,
    detail: verdict.detail,
    expected: expect?.verdict ?? null,
    expectedProperty: expect?.property ?? null,
    expectedReports: expect?.reports ?? null,
    asExpected: verdict.asExpected ?? null,
    reports: verdict.reports,
    reportDetails: verdict.accounts,
    states: verdict.states,
    transitions: verdict.transitions,
    depth: verdict.depth,
    seconds: verdict.seconds,
    reductions: verdict.reductions,
    collisionOdds: verdict.collisionOdds,
    passes: verdict.passes,
    ...(verdict.bound === undefined ? {} : { bound: verdict.bound }),
    bounds: verdict.bounds,
    properties: verdict.properties,
    witnesses: verdict.witnesses,
    trace: trace === null ? null : withSource(trace, entry),
  };
}

/** A result on one line. */
export function lineText({ job, verdict }: Checked): string {
  const { id, variant, states, seconds, asExpected } = verdict;
  const unexpected = asExpected === false ? `  (!) declared: ${expectation(job.variant.expect!)}` : '';
  return `${id} ${variant}: ${verdictText(verdict)}, ${states.toLocaleString('en-US')} states, ${seconds.toFixed(1)} s${unexpected}`;
}

/** A verdict in a few words: kind, property, reports; why it is incomplete or vacuous. */
export function verdictText({ verdict, property, reports, bound, witnesses }: Verdict): string {
  const never = Object.entries(witnesses).flatMap(([name, seen]) => (seen ? [] : [name]));
  return words(
    verdict,
    property,
    reportsText(reports),
    verdict === 'incomplete' && bound !== undefined ? `(${bound})` : '',
    verdict === 'vacuous' ? `(never: ${never.join(', ')})` : '',
  );
}

function reportsText(reports: readonly string[]): string {
  return reports.length > 0 ? `[${reports.join(' ')}]` : '';
}

function words(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' ');
}

/** The command that shows a result; where there is no run to show, the one that checks it again. */
export function againLine(
  { job, trace }: Pick<Checked, 'job' | 'trace'>,
  command = trace === null ? 'check' : 'show',
): string {
  return `npx shootdown ${command} ${shellWord(nameOf(job.entry))} --variant ${shellWord(job.variant.name)}`;
}
