// SPDX-License-Identifier: MIT
import { type Scenario, UsageError, variantName } from '../core/scenario.js';
import type { CheckOptions, Verdict } from '../explore/check.js';
import { SCENARIOS } from '../scenarios/index.js';
import { type Entry, select, selectOne } from './catalogue.js';
import { Exit } from './exit.js';
import { nearest } from './near.js';
import { say, sayJson } from './output.js';
import { type Checked, exitCode, jobsOf, runJobs } from './run.js';
import { looksLikeFile } from './user-file.js';

/** Verdicts of one scenario as a table. */
export interface Matrix {
  readonly id: string;
  readonly question: string;
  /** Values of the machine knob. */
  readonly columns: readonly string[];
  /** `cells` in the order of the columns; null: not checked. */
  readonly rows: readonly { readonly name: string; readonly cells: readonly (Cell | null)[] }[];
}

interface Cell {
  readonly variant: string;
  readonly verdict: string;
  readonly property: string;
  readonly reports: readonly string[];
  readonly asExpected: boolean | null;
}

const COLUMN = 'machine';

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
  const matrices = entries.map(({ scenario }) => layOut(scenario, checked));
  if (json) sayJson({ matrices });
  else matrices.forEach((matrix, i) => say((i > 0 ? '\n' : '') + [...draw(matrix)].join('\n')));
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

/** Columns: the machines. Rows: what the variants say beside. */
export function layOut(scenario: Scenario, checked: readonly Checked[]): Matrix {
  const ours = checked.filter(({ job }) => job.entry.scenario === scenario);
  const { [COLUMN]: machines = [], ...rowKnobs } = scenario.knobs;
  const columns = machines.filter((machine) => ours.some(({ job }) => job.variant.knobs[COLUMN] === machine));
  const rowOf = ({ job }: Checked): string => variantName(rowKnobs, job.variant.knobs);
  const rows = [...new Set(ours.map(rowOf))].map((name) => ({
    name,
    cells: columns.map((machine) => {
      const found = ours.find((one) => rowOf(one) === name && one.job.variant.knobs[COLUMN] === machine);
      return found === undefined ? null : cellOf(found.verdict);
    }),
  }));
  return { id: scenario.id, question: scenario.question, columns, rows };
}

function cellOf({ variant, verdict, property, reports, asExpected }: Verdict): Cell {
  return { variant, verdict, property, reports, asExpected: asExpected ?? null };
}

function* draw({ id, question, columns, rows }: Matrix): Iterable<string> {
  yield `${id}  ${question}`;
  yield '';
  const table = [
    ['', ...columns],
    ...rows.map(({ name, cells }) => [name, ...cells.map((cell) => (cell === null ? '-' : text(cell)))]),
  ];
  const widths = table[0]!.map((_, i) => Math.max(...table.map((row) => row[i]!.length)));
  for (const row of table)
    yield row
      .map((cell, i) => cell.padEnd(widths[i]!))
      .join('  ')
      .trimEnd();
}

function text({ verdict, property, reports, asExpected }: Cell): string {
  const parts = [verdict, property, reports.length > 0 ? `[${reports.join(' ')}]` : ''];
  return `${parts.filter((part) => part !== '').join(' ')}${asExpected === false ? ' (!)' : ''}`;
}
