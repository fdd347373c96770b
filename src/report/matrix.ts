// SPDX-License-Identifier: MIT
/** Verdicts as a grid: one question, every combination. */
import { type KnobSetting, variantName } from '../core/scenario.js';
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

/** Puts verdicts in a grid whose columns are the values of the knobs `across`, by default the machine. */
export function verdictMatrix(
  entries: readonly MatrixEntry[],
  across: readonly string[] = ['machine'],
): Matrix {
  const ids = new Set(entries.map(({ id }) => id));
  const columns: string[] = [];
  const rows = new Map<string, string[]>();
  for (const { id, knobs, values, verdict, property, asExpected } of entries) {
    const column = across.map((knob) => knobs[knob] ?? '-').join(' ');
    if (!columns.includes(column)) columns.push(column);
    const rest = Object.fromEntries(Object.entries(values).filter(([name]) => !across.includes(name)));
    const variant = variantName(rest, knobs);
    const row = ids.size > 1 ? `${id} ${variant}` : variant;
    const cells = rows.get(row) ?? [];
    rows.set(row, cells);
    const shown = verdict === 'violation' ? property : property === '' ? verdict : `${verdict} ${property}`;
    cells[columns.indexOf(column)] = shown + (asExpected === false ? ' (!)' : '');
  }
  return {
    corner: ids.size > 1 ? 'scenario' : 'variant',
    columns,
    rows: [...rows].map(([name, cells]) => ({ name, cells: columns.map((_, i) => cells[i] ?? '') })),
  };
}
