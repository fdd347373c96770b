// SPDX-License-Identifier: MIT
/** What commands say, and a line on a terminal about how far they are. */

const EVERY_MS = 200;
let drawn = 0;
let began = 0;

const write = (text: string): void => void process.stderr.write(`\r\u001b[K${text}`);

/** Shows how far it is, at most every so often, and only on a terminal. */
export function progress(what: string): void {
  if (!process.stderr.isTTY) return;
  const now = Date.now();
  if (began === 0) began = now;
  if (now - drawn < EVERY_MS) return;
  drawn = now;
  const line = `${((now - began) / 1000).toFixed(0)} s  ${what}`;
  write(line.slice(0, (process.stderr.columns || 80) - 1));
}

/** Takes the line away. */
export function noProgress(): void {
  if (drawn !== 0) write('');
  drawn = 0;
}

/** Prints a line of the answer. */
export function say(text: string): void {
  noProgress();
  process.stdout.write(`${text}\n`);
}

export const count = (number: number, what: string): string =>
  `${number.toLocaleString('en')} ${what}${number === 1 ? '' : 's'}`;
