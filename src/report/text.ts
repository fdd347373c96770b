// SPDX-License-Identifier: MIT

/** Breaks a text at spaces into lines of at most `width`; a word that is longer is cut. */
export function wrap(text: string, width: number, indent = ''): string[] {
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(' ')) {
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
