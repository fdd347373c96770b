// SPDX-License-Identifier: MIT
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { UsageError } from '../src/core/scenario.js';
import { linesBetween, quoted, RESET_ANSWER as RESET } from '../src/litmus/ops-words.js';

/** What is known of a recording. */
const KEYS = ['kernel', 'config', 'seed', 'mix', 'operations', 'trace', 'date'] as const;
export type GoldenHead = Readonly<Record<(typeof KEYS)[number], string>>;

/** A script, and what a real kernel has answered, normalised. */
export interface Golden {
  readonly name: string;
  readonly head: GoldenHead;
  readonly script: string;
  readonly answer: readonly string[];
}

export const GOLDEN = fileURLToPath(new URL('golden', import.meta.url));
const SUFFIX = '.gz';
/** Between script and answer. */
const DIVIDER = '---';

/** The text of a file: comment lines that say what it is, the script, a divider, the answer. */
export function goldenText({ head, script, answer }: Omit<Golden, 'name'>): string {
  const comments = KEYS.map((key) => `# ${key} ${head[key]}`.trimEnd());
  return [...comments, script.trimEnd(), DIVIDER, ...answer, ''].join('\n');
}

export function parseGolden(text: string, name: string): Golden {
  const lines = text.split('\n');
  const head = Object.fromEntries(
    KEYS.map((key, i) => {
      const found = new RegExp(`^# ${key}(?: (.*))?$`).exec(lines[i] ?? '');
      if (found === null)
        throw new UsageError(`${name}:${i + 1}: expected # ${key} …, found ${quoted(lines[i] ?? 'its end')}`);
      return [key, found[1] ?? ''];
    }),
  ) as GoldenHead;
  const divider = lines.indexOf(DIVIDER);
  if (divider < 0) throw new UsageError(`${name}: expected a line ${DIVIDER} between script and answer`);
  return {
    name,
    head,
    script: `${lines.slice(KEYS.length, divider).join('\n')}\n`,
    answer: lines.slice(divider + 1, lines.at(-1) === '' ? -1 : undefined),
  };
}

/** Throws a UsageError for what is none. */
export function readGolden(path: string): Golden {
  let text: string;
  try {
    text = gunzipSync(readFileSync(path)).toString();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const damaged = code?.startsWith('Z_') ? `not a whole gzip file (${message})` : message;
    throw new UsageError(`${path}: ${damaged}`, { cause: error });
  }
  return parseGolden(text, basename(path, SUFFIX));
}

/** Writes a file of that name; returns its path. */
export function writeGolden(golden: Golden, folder = GOLDEN): string {
  const path = join(folder, golden.name + SUFFIX);
  writeFileSync(path, gzipSync(goldenText(golden), { level: 9 }));
  return path;
}

/** The paths of all committed files. */
export const goldenFiles = (): string[] =>
  (existsSync(GOLDEN) ? readdirSync(GOLDEN) : [])
    .filter((name) => name.endsWith(SUFFIX))
    .sort()
    .map((name) => join(GOLDEN, name));

/** How many parts a recording has, from one reset to the next: each begins with a fresh process. */
export const countParts = ({ answer }: Golden): number => answer.filter((line) => line === RESET).length + 1;

/** Parts of a recording, first to last. */
export function partsOf({ name, head, script, answer }: Golden, first: number, last: number): Golden {
  const lines = script.trimEnd().split('\n');
  const shared = lines.filter((line) => line.startsWith('autoobs'));
  const parts = linesBetween(lines, 'reset').slice(first, last + 1);
  return {
    name: `${name}, part ${last + 1}`,
    head,
    script: [
      ...shared,
      parts.map((part) => part.filter((line) => !line.startsWith('autoobs')).join('\n')).join('\nreset\n'),
      '',
    ].join('\n'),
    answer: linesBetween(answer, RESET)
      .slice(first, last + 1)
      .flatMap((part, i) => (i === 0 ? part : [RESET, ...part])),
  };
}
