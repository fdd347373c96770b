// SPDX-License-Identifier: MIT
import { accessSync, constants, existsSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UsageError } from '../core/scenario.js';
import { colorsOf } from './color.js';

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

/** Prints why the command ends here. */
export function fail(message: string): void {
  tell(`${colorsOf(process.stderr).red('shootdown:')} ${message}`);
}

/** Makes sure that a file can be written before hours are spent on what goes into it. Throws a UsageError. */
export function reserve(path: string, option: string): (text: string) => void {
  try {
    accessSync(existsSync(path) ? path : dirname(resolve(path)), constants.W_OK);
    if (existsSync(path) && !statSync(path).isFile())
      throw Object.assign(new Error(), { code: 'not a file' });
  } catch (error) {
    const { code } = error as { code?: string };
    throw new UsageError(`${option} ${path}: can't be written (${code ?? 'error'})`, { cause: error });
  }
  return (text) => writeFileSync(path, text);
}

/** A word for a shell: quoted where it must be. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./#-]+$/.test(word) && !word.startsWith('#')
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
