// SPDX-License-Identifier: MIT
/** The words of a script: numbers, values, and how a message shows one. */

/** Refuses a line. */
export type Bad = (what: string) => never;

/** No number of a script has more. */
const MOST_DIGITS = 9;
/** Of a value of 64 bits, with zeros before it. */
const MOST_VALUE_DIGITS = 40;
/** Of what a message shows. */
const MOST_QUOTED = 40;

/** The number in Pn or Rn, below `count`. */
export function numberIn(word: string, count: number, bad: Bad): number {
  const number = /^.(0|[1-9]\d*)$/.test(word) ? Number(word.slice(1)) : count;
  return number < count
    ? number
    : bad(`expected ${word[0]}0 to ${word[0]}${count - 1}, found ${quoted(word)}`);
}

/** Without zeros before it: elsewhere they mean octal digits. */
export function whole(word: string, bad: Bad): number {
  if (/^0\d+$/.test(word))
    return bad(`expected a whole number without zeros before it, found ${quoted(word)}`);
  if (!/^(0|[1-9]\d*)$/.test(word)) return bad(`expected a whole number, found ${quoted(word)}`);
  return word.length <= MOST_DIGITS ? Number(word) : bad(`expected a smaller number, found ${quoted(word)}`);
}

/** 64 bits, hexadecimal or decimal. */
export function valueIn(word: string, bad: Bad): bigint {
  if (!/^(0x[\da-f]+|0|[1-9]\d*)$/i.test(word))
    return bad(`expected a value as 0x2a or 42, found ${quoted(word)}`);
  const value = word.length > MOST_VALUE_DIGITS ? 1n << 64n : BigInt(word);
  return value < 1n << 64n ? value : bad(`expected a value of 64 bits, found ${quoted(word)}`);
}

/** What was found, on one line and not too long. */
export function quoted(text: string): string {
  const short = text.length > MOST_QUOTED ? `${text.slice(0, MOST_QUOTED)}…` : text;
  return short.replaceAll(/[^\x20-\x7e…]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** What is answered to a reset. */
export const RESET_ANSWER = '> reset';

/** The lines between those that are `separator`. */
export function linesBetween(lines: readonly string[], separator: string): string[][] {
  const parts: string[][] = [[]];
  for (const line of lines)
    if (line === separator) parts.push([]);
    else parts.at(-1)!.push(line);
  return parts;
}
