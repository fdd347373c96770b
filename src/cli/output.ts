// SPDX-License-Identifier: MIT
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { UsageError } from '../core/scenario.js';

/** Prints a line of the answer. */
export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Prints a line about the answer. */
export function tell(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Prints the one JSON document of `--json`. */
export function sayJson(document: unknown): void {
  say(JSON.stringify(document, undefined, 1));
}

/** Makes sure that a file can be written before hours are spent on what goes into it. Throws a UsageError. */
export function reserve(path: string, option: string): (text: string) => void {
  try {
    closeSync(openSync(path, 'a'));
  } catch (error) {
    throw new UsageError(
      `${option} ${path}: can't be written (${(error as { code?: string }).code ?? 'error'})`,
      {
        cause: error,
      },
    );
  }
  return (text) => writeFileSync(path, text);
}

/** A word for a shell: quoted where it must be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./#-]+$/.test(word) && !word.startsWith('#')
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
