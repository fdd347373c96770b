// SPDX-License-Identifier: MIT
/** What a corpus reaches: which operation met which entries, and what it answered. */
import * as errno from '../src/linux/include/errno.js';
import { ADVICE_NAMES, OPERATION_NAMES } from '../src/litmus/ops-language.js';

/** What can be told apart of an entry, in the order of the columns. */
export const ENTRIES = {
  none: 'nothing there',
  zero: 'the zero page',
  own: 'a page that only this process can have (exclusive)',
  shared: 'an anonymous page that others may have',
  file: 'a page of a file or of shared memory',
  locked: 'an unevictable page',
  cached: 'a page that is in the swap cache as well',
  lazy: 'an anonymous page that may be dropped (MADV_FREE)',
  coherent: "a page in a device's memory that CPUs reach",
  SWAP: 'swapped out',
  DEVW: "a device's private page, for stores",
  DEVR: "a device's private page, for loads",
  EXCLW: 'a page that a device has for itself, for stores',
  EXCLR: 'the same, for loads',
  MIG: 'under migration',
  MARK: 'a marker',
} as const;
export type Entry = keyof typeof ENTRIES;

/** The operations, madvise() by its advice. */
export const OPERATIONS: readonly string[] = OPERATION_NAMES.flatMap((name) =>
  name === 'madvise' ? ADVICE_NAMES.map((advice) => `madvise ${advice}`) : [name],
);

const ERRNO_NAMES = new Map(
  Object.entries(errno).flatMap(([name, value]) =>
    /^E[A-Z0-9]+$/.test(name) ? [[Number(value), name] as const] : [],
  ),
);

/** What an answer line says went wrong: 0, an errno, a signal, or that the process is not there. */
export function outcomeOf(answer: string): string {
  const signal = / sig=(\d+) code=(\d+)/.exec(answer);
  if (signal !== null) return `${signal[1] === '7' ? 'SIGBUS' : 'SIGSEGV'} ${signal[2]}`;
  const [, err] = / => err=(\d+)/.exec(answer) ?? [];
  return err === undefined ? 'refused' : err === '0' ? '0' : (ERRNO_NAMES.get(Number(err)) ?? err);
}

/** What a shown page is. */
export function entryOf(shown: string): Entry {
  if (shown.startsWith('-')) return 'none';
  if (shown.startsWith('zero')) return 'zero';
  const [special] = /^[A-Z]+(?=\()/.exec(shown) ?? [];
  if (special !== undefined) return special as Entry;
  const [, marks = '', count, flags = ''] = shown.split(',');
  if (count === 'm0') return 'coherent';
  if (flags.includes('C')) return 'cached';
  if (flags.includes('U')) return 'locked';
  if (marks.includes('s')) return 'file';
  if (!flags.includes('B')) return 'lazy';
  return marks.includes('x') ? 'own' : 'shared';
}

export class Coverage {
  /** By operation: by entry, by outcome, how often. */
  readonly reached = new Map<string, Map<Entry, Map<string, number>>>();
  /** By operation: by outcome, how often. */
  readonly outcomes = new Map<string, Map<string, number>>();
  operations = 0;

  /** Counts a normalised answer. */
  add(answer: readonly string[]): void {
    /** By process and region: the entries that were last shown. */
    let shown = new Map<string, Map<number, Entry>>();
    for (const line of answer) {
      const observed = /^ {2}(P\d+ R\d+)\[[^)]*\):(.*)$/.exec(line);
      if (observed !== null) {
        const entries = shown.get(observed[1]!) ?? new Map<number, Entry>();
        for (const word of observed[2]!.trim().split(' ')) {
          const colon = word.indexOf(':');
          entries.set(Number(word.slice(0, colon)), entryOf(word.slice(colon + 1)));
        }
        shown.set(observed[1]!, entries);
      } else if (line === '> reset') shown = new Map();
      else if (line.startsWith('> P')) this.operation(line, shown);
    }
  }

  private operation(line: string, shown: ReadonlyMap<string, ReadonlyMap<number, Entry>>): void {
    const [process = '', name = '', ...words] = line.slice(2).split(/\s+/);
    const operation = name === 'madvise' ? `madvise ${words[3]}` : name;
    const outcome = outcomeOf(line);
    this.operations++;
    const outcomes = at(this.outcomes, operation, () => new Map<string, number>());
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    const region = words.findIndex((word) => /^R\d+$/.test(word));
    if (region < 0 || name === 'mmap') return;
    const first = Number(words[region + 1]);
    const count = name === 'r' || name === 'w' ? 1 : Number(words[region + 2]);
    const entries = shown.get(`${process} ${words[region]}`);
    const met = new Set<Entry>();
    for (let page = first; page < first + count; page++) met.add(entries?.get(page) ?? 'none');
    const reached = at(this.reached, operation, () => new Map<Entry, Map<string, number>>());
    for (const entry of met) {
      const counts = at(reached, entry, () => new Map<string, number>());
      counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    }
  }

  /** Combinations of an operation, an entry that it met, and what it answered. */
  get combinations(): number {
    let count = 0;
    for (const byEntry of this.reached.values())
      for (const byOutcome of byEntry.values()) count += byOutcome.size;
    return count;
  }

  /** Tables for people. */
  tables(): string[] {
    const outcomes = [...new Set([...this.outcomes.values()].flatMap((counts) => [...counts.keys()]))].sort(
      byOutcome,
    );
    const letters = new Map(outcomes.map((outcome) => [outcome, LETTERS[outcome] ?? `(${outcome})`]));
    const table = (
      columns: readonly string[],
      operations: readonly string[],
      cell: (operation: string, column: string) => string,
    ): string[] => [
      `| operation | ${columns.join(' | ')} |`,
      `|---|${columns.map(() => '--:|').join('')}`,
      ...operations.map(
        (operation) =>
          `| ${operation} | ${columns.map((column) => cell(operation, column) || '.').join(' | ')} |`,
      ),
    ];
    const counted = (count = 0): string => (count === 0 ? '' : count.toLocaleString('en'));
    const met = (operation: string, entry: string): ReadonlyMap<string, number> =>
      this.reached.get(operation)?.get(entry as Entry) ?? new Map<string, number>();
    const ranged = Object.keys(ENTRIES).filter((entry) =>
      OPERATIONS.some((operation) => met(operation, entry).size > 0),
    );
    const never = Object.entries(ENTRIES).filter(([entry]) => !ranged.includes(entry));
    return [
      '## What was answered',
      '',
      ...table(outcomes, OPERATIONS, (operation, outcome) =>
        counted(this.outcomes.get(operation)?.get(outcome)),
      ),
      '',
      '`refused`: the process does not live, or the child that is asked for does. `SIGSEGV 1`: nothing is mapped there; `2`: it may',
      'not be done there.',
      '',
      '## What was met, and what was answered there',
      '',
      'How often an operation had such an entry in its range, and the answers it got, each as a letter:',
      `${[...letters].map(([outcome, letter]) => `\`${letter}\` ${outcome}`).join(', ')}.`,
      '',
      ...Object.entries(ENTRIES).map(([entry, meaning]) => `- \`${entry}\`: ${meaning}`),
      '',
      ...table(
        ranged,
        OPERATIONS.filter((operation) => this.reached.has(operation)),
        (operation, entry) => {
          const answered = met(operation, entry);
          const all = outcomes.filter((outcome) => answered.has(outcome));
          return `${counted(sum(answered.values()))} ${all.map((outcome) => letters.get(outcome)).join('')}`.trim();
        },
      ),
      '',
      `Combinations of operation, entry and answer: ${this.combinations}. Entries never met: ${
        never.map(([entry, meaning]) => `\`${entry}\` (${meaning})`).join(', ') || 'none'
      }. Operations never reached: ${OPERATIONS.filter((operation) => !this.outcomes.has(operation)).join(', ') || 'none'}.`,
    ];
  }
}

/** What stands for an answer where there is little room. */
const LETTERS: Readonly<Record<string, string>> = {
  0: '0',
  EACCES: 'a',
  EBADF: 'b',
  EBUSY: 'y',
  EEXIST: 'e',
  EFAULT: 'f',
  EINVAL: 'i',
  ENOENT: 'n',
  ENOMEM: 'm',
  EPERM: 'p',
  'SIGSEGV 1': 's',
  'SIGSEGV 2': 'S',
  refused: 'r',
};

const sum = (counts: Iterable<number>): number => [...counts].reduce((all, count) => all + count, 0);

function at<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, (value = make()));
  return value;
}

/** Success, then errors, then signals. */
const byOutcome = (a: string, b: string): number => rank(a) - rank(b) || (a < b ? -1 : 1);
const rank = (outcome: string): number =>
  outcome === '0' ? 0 : outcome === 'refused' ? 3 : outcome.startsWith('SIG') ? 2 : 1;
