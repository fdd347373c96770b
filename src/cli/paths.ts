// SPDX-License-Identifier: MIT
import { basename, relative } from 'node:path';

const entry = (path: string): string => new URL(path, import.meta.url).href;

/** What a user's file may import of the running package, by specifier: file URLs. */
export const ENTRIES: Readonly<Record<string, string>> = {
  shootdown: entry('../litmus/index.js'),
  'shootdown/linux': entry('../linux/index.js'),
  'shootdown/live': entry('../core/live.js'),
};

/** Files that can hold a scenario, or be imported by one. */
export const SOURCE_FILE = /\.[cm]?[jt]s$/;

/** A path as messages name it: relative to the working directory where that is no longer. */
export function shownPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}

/** Does an argument name a file, rather than a scenario's id? */
export function looksLikeFile(argument: string): boolean {
  return /[\\/]/.test(argument) || SOURCE_FILE.test(basename(argument).split('#')[0]!);
}
