// SPDX-License-Identifier: MIT
/** Verdicts as a grid: one question, every combination. */
import { type KnobSetting, type MatrixLayout, variantName } from '../core/scenario.js';
import { aligned } from './text.js';

export interface Matrix {
  /** What the rows and the columns are. */
  readonly corner: string;
  readonly columns: readonly string[];
  readonly rows: readonly { readonly name: string; readonly cells: readonly string[] }[];
}

/** One verdict, and where it stands. */
export interface MatrixEntry {
  readonly id: string;
  readonly knobs: KnobSetting;
  /** All knobs of its scenario, the documented value first. */
  readonly values: Readonly<Record<string, readonly string[]>>;
  readonly verdict: string;
  readonly property: string;
  readonly asExpected: boolean | undefined;
}

/** The grid as text, lines joined with newlines, one at the end. An empty cell, a combination nobody ran, is `.`. */
export function matrixText({ corner, columns, rows }: Matrix): string {
  const all = [
    [corner, ...columns],
    ...rows.map(({ name, cells }) => [name, ...columns.map((_, i) => cells[i] || '.')]),
  ];
  const [head, ...body] = aligned(all, 'l'.repeat(columns.length + 1));
  const rule = '-'.repeat(Math.max(...[head!, ...body].map((line) => line.length)));
  return `${[head, rule, ...body].join('\n')}\n`;
}

/** Where a verdict goes: its row, its column, and what the cell says. */
interface Placed {
  readonly row: string;
  readonly column: string;
  readonly text: string;
}

/** Puts verdicts in a grid: variants against machines. */
export function verdictMatrix(entries: readonly MatrixEntry[]): Matrix {
  const ids = new Set(entries.map(({ id }) => id));
  const placed = entries.map((entry): Placed => {
    const { id, knobs, values } = entry;
    const { machine, ...rest } = values;
    const variant = variantName(rest, knobs);
    const column = machine === undefined ? '-' : knobs['machine']!;
    return { row: ids.size > 1 ? `${id} ${variant}` : variant, column, text: cellText(entry) };
  });
  return grid(ids.size > 1 ? 'scenario' : 'variant', placed);
}

/** Puts the verdicts of one scenario in a grid as it declares. */
export function laidOut(entries: readonly MatrixEntry[], layout: MatrixLayout): Matrix {
  const { rows, columns, order } = layout;
  const placed = entries.map((entry): Placed => {
    const { knobs, values } = entry;
    const rest = Object.fromEntries(
      Object.entries(values).filter(([name]) => name !== rows && name !== columns),
    );
    const variant = variantName(rest, knobs);
    const name = knobs[rows]!;
    const column = knobs[columns]!;
    const row = variant === 'base' ? name : `${name}, ${variant}`;
    return { row, column, text: cellText(entry, column) };
  });
  const rank = ({ row }: Placed): number => {
    const at = order?.indexOf(row.split(',')[0]!) ?? -1;
    return at < 0 ? Infinity : at;
  };
  if (order !== undefined) placed.sort((x, y) => rank(x) - rank(y));
  return grid(rows, placed);
}

/** In the column of a property the cell need not repeat it. */
function cellText({ verdict, property, asExpected }: MatrixEntry, column = ''): string {
  let shown = verdict;
  if (verdict === 'violation') shown = property === column ? 'VIOLATED' : property;
  else if (property !== '' && property !== 'PROGRESS') shown = `${verdict} ${property}`;
  return shown + (asExpected === false ? ' (!)' : '');
}

function grid(corner: string, placed: readonly Placed[]): Matrix {
  const columns = [...new Set(placed.map(({ column }) => column))];
  const rows = new Map<string, string[]>();
  for (const { row, column, text } of placed) {
    const cells = rows.get(row) ?? columns.map(() => '');
    rows.set(row, cells);
    cells[columns.indexOf(column)] = text;
  }
  return { corner, columns, rows: [...rows].map(([name, cells]) => ({ name, cells })) };
}
