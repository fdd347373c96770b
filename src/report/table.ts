// SPDX-License-Identifier: MIT
/** Results as tables: one scenario with its variants, and all scenarios at the end of a run. */
import type { Expectation, Scenario, Variant } from '../core/scenario.js';
import type { Verdict } from '../explore/check.js';
import { aligned, grouped, listed, wrap } from './text.js';

/** A variant and what came out. */
export interface Result {
  readonly variant: Variant;
  readonly verdict: Verdict;
}

export interface TableOptions {
  /** Wall-clock seconds of the whole run; absent: the sum of the variants'. */
  readonly seconds?: number;
  /** How the command is called. */
  readonly command?: string;
  /** What the user typed for the scenario, if it is not a built-in id: a file. */
  readonly target?: string;
  /** Parts of the line below the question, such as `ipi, 2 CPUs`. Absent: what the knobs say. */
  readonly facts?: readonly string[];
}

const WIDTH = 78;

/** The answer to one scenario. Lines joined with newlines, one at the end. */
export function resultTable(
  scenario: Pick<Scenario, 'id' | 'question' | 'sometimes'> & Partial<Pick<Scenario, 'kind'>>,
  results: readonly Result[],
  options: TableOptions = {},
): string {
  const facts = options.facts ?? factsOf(results);
  const odd = results.some(({ verdict }) => verdict.asExpected === false);
  const rows = results.map(({ variant, verdict }) => [
    verdict.variant,
    verdict.verdict,
    verdict.property || '-',
    grouped(verdict.states),
    verdict.shown === undefined ? '-' : String(verdict.shown.run.length),
    verdict.reports.join(' ') || '-',
    ...(odd ? [verdict.asExpected === false ? `declared: ${expectation(variant.expect!)}` : ''] : []),
  ]);
  const head = ['variant', 'verdict', 'property', 'states', 'steps', 'reports', ...(odd ? [''] : [])];
  return lines([
    ...wrap(`${scenario.id}  ${scenario.question}`, WIDTH, '      '),
    facts.join(' | '),
    '',
    ...aligned([head, ...rows], 'lllrrll'),
    '',
    ...footer(scenario, results, options),
  ]);
}

/** All results of a run: a line for each variant, below its scenario's question. */
export function summaryTable(
  groups: readonly {
    readonly scenario: Pick<Scenario, 'id' | 'question'>;
    readonly results: readonly Result[];
  }[],
  seconds: number,
): string {
  const rows = groups.flatMap(({ scenario, results }) =>
    results.map(({ verdict }, i) => [
      i === 0 ? scenario.id : '',
      verdict.variant,
      verdict.verdict + (verdict.asExpected === false ? ' (!)' : ''),
      verdict.property || '-',
      grouped(verdict.states),
      verdict.seconds.toFixed(1),
    ]),
  );
  const table = aligned([['id', 'variant', 'verdict', 'property', 'states', 'seconds'], ...rows], 'llllrr');
  const idWidth = Math.max(2, ...groups.map(({ scenario }) => scenario.id.length)) + 2;
  const all = [table[0]!];
  let at = 1;
  for (const { scenario, results } of groups) {
    all.push(`${scenario.id.padEnd(idWidth)}${scenario.question}`);
    for (const line of table.slice(at, (at += results.length)))
      all.push(' '.repeat(idWidth) + line.slice(idWidth));
  }
  const verdicts = groups.flatMap(({ results }) => results);
  return lines([...all, '', tally(verdicts, seconds), ...differing(verdicts)]);
}

/** `safe`, `violation PIN-RIGHT with DATA-RACE`. */
export function expectation({ verdict, property, reports }: Expectation): string {
  return `${verdict}${property === '' ? '' : ` ${property}`}${reports.length === 0 ? '' : ` with ${reports.join(', ')}`}`;
}

function factsOf(results: readonly Result[]): string[] {
  const values = (knob: string): string =>
    [...new Set(results.map(({ variant }) => variant.knobs[knob]))]
      .filter((value) => value !== undefined)
      .join(', ');
  return [
    `kernel ${values('kernel')}`,
    values('machine'),
    values('memory') || 'sc',
    'every shared access a step',
  ];
}

function tally(results: readonly Result[], seconds: number): string {
  const declared = results.filter(({ verdict }) => verdict.asExpected !== undefined);
  const met = declared.filter(({ verdict }) => verdict.asExpected === true).length;
  const count =
    declared.length === 0
      ? `${results.length} checked, none declared`
      : `${met} of ${declared.length} as declared`;
  return `${count}, ${seconds.toFixed(1)} s.`;
}

function differing(results: readonly Result[]): string[] {
  return results
    .filter(({ verdict }) => verdict.asExpected === false)
    .map(({ variant, verdict }) => {
      const { reports, property } = verdict;
      const got = expectation({ verdict: verdict.verdict as Expectation['verdict'], property, reports });
      return `(!) ${verdict.id} ${verdict.variant}: ${got}, declared: ${expectation(variant.expect!)}`;
    });
}

function footer(
  scenario: Pick<Scenario, 'id' | 'sometimes'> & Partial<Pick<Scenario, 'kind'>>,
  results: readonly Result[],
  { seconds, command = 'npx shootdown', target = scenario.id }: TableOptions,
): string[] {
  const spent = seconds ?? results.reduce((sum, { verdict }) => sum + verdict.seconds, 0);
  const first = results.find(({ verdict }) => verdict.variant === 'base') ?? results[0];
  const witnesses = Object.entries(first?.verdict.witnesses ?? {});
  const named = (seen: boolean): string =>
    witnesses
      .filter(([, was]) => was === seen)
      .map(([name]) => name)
      .join(', ');
  const where = first?.verdict.variant ?? 'base';
  const undeclared = [
    ...new Set(
      (first?.verdict.found ?? []).flatMap(({ kind, name }) =>
        kind === 'witness' && !scenario.sometimes.includes(name) ? [name] : [],
      ),
    ),
  ].join(', ');
  const sentences = [
    tally(results, spent),
    ...(named(true) === '' ? [] : [`Seen in ${where}: ${named(true)}.`]),
    ...(named(false) === '' ? [] : [`Never seen in ${where}: ${named(false)}.`]),
    ...(named(false) === '' || undeclared === '' ? [] : [`Seen, and not declared: ${undeclared}.`]),
  ];
  const all = wrap(sentences.join(' '), WIDTH);
  const safe = results.find(({ verdict }) => verdict.verdict === 'safe');
  if (safe !== undefined) {
    const { bounds, passes } = safe.verdict;
    const weak = (safe.variant.knobs['memory'] ?? 'sc') === 'sc' ? '; not explored: weak memory' : '';
    const what =
      scenario.kind === 'static'
        ? `a table of ${bounds}, and no interleavings`
        : `all interleavings of ${bounds}, ${listed(passes)}${weak}; ${collisions(results)}`;
    all.push(...wrap(`safe: ${what}.`, WIDTH));
  }
  for (const { verdict } of results)
    if (verdict.verdict === 'incomplete')
      all.push(
        `incomplete: ${verdict.variant} stopped at ${verdict.bound ?? 'a bound'}: it may yet be broken.`,
      );
  const next =
    results.find(({ verdict }) => verdict.asExpected === false && verdict.shown !== undefined) ??
    results.findLast(({ verdict }) => verdict.shown !== undefined);
  const reported = results.find(({ verdict }) => verdict.accounts.length > 0);
  if (next !== undefined) all.push(`Next: ${command} show ${target} --variant ${next.verdict.variant}`);
  else if (reported !== undefined) {
    const { variant, accounts } = reported.verdict;
    all.push(`Next: ${command} show ${target} --variant ${variant} --report ${accounts[0]!.name}`);
  }
  return all;
}

/** How sure the fingerprints are, over all results. */
function collisions(results: readonly Result[]): string {
  const odds = Math.max(...results.map(({ verdict }) => verdict.collisionOdds));
  return odds === 0
    ? 'whole states kept'
    : `odds of a fingerprint collision below 1e${Math.floor(Math.log10(odds)) + 1}`;
}

function lines(all: readonly string[]): string {
  return `${all.map((line) => line.trimEnd()).join('\n')}\n`;
}
