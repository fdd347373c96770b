// SPDX-License-Identifier: MIT
/** Lays out lines in one column for each agent. */
import { pad, wrap } from './text.js';

export const WIDTH = 76;

/** One line of a diagram. Without a column it goes right across. */
export interface Row {
  readonly column?: number;
  readonly number?: number;
  readonly indent?: number;
  readonly text: string;
  mark?: '(!)' | '(!!)';
}

/** The lines, headings and rules included; none is longer than {@link WIDTH}. */
export function columns(headings: readonly string[], rows: readonly Row[]): string[] {
  const numberWidth = Math.max(2, ...rows.map(({ number }) => String(number ?? '').length));
  const count = headings.length;
  const first = numberWidth + 1;
  const each = Math.floor((WIDTH - first - (count - 1)) / count);
  const starts = headings.map((_, i) => first + i * (each + 1));
  const rule = headings.map((_, i) => '-'.repeat(i === count - 1 ? WIDTH - starts[i]! : each));
  // With three columns and more, names would not fit: text runs on over the columns to the right, which are empty.
  const end = (column: number): number =>
    count > 2 || column === count - 1 ? WIDTH : starts[column]! + each;
  const step = count > 2 ? 1 : 2;

  const lines = [
    ' '.repeat(first) + headings.map((heading) => pad(heading.slice(0, each), each)).join(' '),
    ' '.repeat(first) + rule.join(' '),
  ];
  for (const { column, number, indent = 0, text, mark } of rows) {
    if (column === undefined) {
      lines.push(text);
      continue;
    }
    const margin = starts[column]! + indent * step;
    const room = Math.max(12, end(column) - margin);
    const parts = wrap(text, room, '  ');
    if (mark !== undefined && parts.at(-1)!.length + 1 + mark.length > room)
      parts.splice(-1, 1, ...wrap(parts.at(-1)!, room - mark.length - 1, '  '));
    parts.forEach((part, i) => {
      let line = i === 0 && number !== undefined ? String(number).padStart(numberWidth) : '';
      line = pad(line, margin) + part;
      if (mark !== undefined && i === parts.length - 1)
        line =
          pad(
            line,
            (count > 2 ? Math.min(WIDTH, Math.max(line.length + 6, starts[column]! + each)) : end(column)) -
              mark.length,
          ) + mark;
      lines.push(line);
    });
  }
  return lines.map((line) => line.trimEnd());
}
