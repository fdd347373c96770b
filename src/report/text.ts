// SPDX-License-Identifier: MIT

/** Breaks a text at spaces into lines of at most `width`; a word that is longer is cut. */
export function wrap(text: string, width: number, indent = ''): string[] {
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(/ (?!held\])/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent;
    } else if (line.trim() !== '') line += ' ';
    while (line.length + word.length > width && word.length > 8) {
      const room = width - line.length;
      // Cut where a name has a joint, if there is one.
      const joint = Math.max(
        ...['_', '.', ',', '(', ':', '='].map((mark) => word.lastIndexOf(mark, room - 1)),
      );
      const cut = joint > 2 ? joint + 1 : room;
      lines.push(line + word.slice(0, cut));
      line = indent;
      word = word.slice(cut);
    }
    line += word;
  }
  if (line.trim() !== '') lines.push(line);
  return lines;
}

/** `text` made `width` long. */
export function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - text.length));
}

/** A number with commas: 4,118. */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Rows as aligned columns, two spaces apart. `sides`: l or r for each column. */
export function aligned(rows: readonly (readonly string[])[], sides: string): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => (sides[i] === 'r' ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(items: readonly string[]): string {
  return items.length < 2 ? items.join() : `${items.slice(0, -1).join(', ')} and ${items.at(-1)!}`;
}
