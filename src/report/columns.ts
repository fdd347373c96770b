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

/** Where the columns of a diagram stand. */
export class Columns {
  readonly numberWidth: number;
  readonly starts: readonly number[];
  private readonly each: number;
  private readonly gap: number;

  constructor(
    readonly headings: readonly string[],
    steps: number,
  ) {
    this.numberWidth = Math.max(2, String(steps).length);
    const first = this.numberWidth + 1;
    this.gap = headings.length > 2 ? 1 : 2;
    this.each = Math.floor((WIDTH - first - this.gap * (headings.length - 1)) / headings.length);
    this.starts = headings.map((_, i) => first + i * (this.each + this.gap));
  }

  /** Spaces for each level of calls. */
  get indent(): number {
    return this.headings.length > 2 ? 1 : 2;
  }

  /** How long a text may be. With three columns and more it runs on over those to the right, which are empty. */
  room(column: number, level: number): number {
    return this.end(column) - this.starts[column]! - level * this.indent;
  }

  /** The lines, headings and rules included; none is longer than {@link WIDTH}. */
  lines(rows: readonly Row[]): string[] {
    const gap = ' '.repeat(this.gap);
    const margin = ' '.repeat(this.starts[0]!);
    const widths = this.headings.map((_, i) =>
      i === this.headings.length - 1 ? WIDTH - this.starts[i]! : this.each,
    );
    return [
      margin + this.headings.map((heading) => pad(heading.slice(0, this.each), this.each)).join(gap),
      margin + widths.map((width) => '-'.repeat(width)).join(gap),
      ...rows.flatMap((row) => this.row(row)),
    ].map((line) => line.trimEnd());
  }

  private end(column: number): number {
    const wide = this.headings.length > 2 || column === this.headings.length - 1;
    return wide ? WIDTH : this.starts[column]! + this.each;
  }

  private row({ column, number, indent = 0, text, mark }: Row): string[] {
    if (column === undefined) return [text];
    const margin = this.starts[column]! + indent * this.indent;
    const room = Math.max(12, this.room(column, indent));
    const parts = wrap(text, room, '  ');
    // A mark may stand in the gap between two columns before the text is broken for it.
    const spare = column === this.headings.length - 1 ? 0 : this.gap - 1;
    if (mark !== undefined && parts.at(-1)!.length + 1 + mark.length > room + spare)
      parts.splice(-1, 1, ...wrap(parts.at(-1)!, room + spare - mark.length - 1, '  '));
    return parts.map((part, i) => {
      const line =
        pad(i === 0 && number !== undefined ? String(number).padStart(this.numberWidth) : '', margin) + part;
      if (mark === undefined || i < parts.length - 1) return line;
      const right = Math.max(
        line.length + 1 + mark.length,
        Math.min(this.end(column), this.starts[column]! + this.each),
      );
      return pad(line, right - mark.length) + mark;
    });
  }
}
