// SPDX-License-Identifier: MIT
import { UsageError } from '../core/scenario.js';
import { MADV } from '../linux/mm/madvise.js';
import { PROT_NONE, PROT_READ, PROT_WRITE } from '../linux/mm/mprotect.js';
import { Use } from './ops-use.js';
import { type Bad, numberIn, quoted, valueIn, whole } from './ops-words.js';

/** Processes and regions that a script may name. */
const PROCESSES = 8;
const REGIONS = 16;
/** Pages of a region. */
const REGION_PAGES = 64;
/** Devices of the test driver. */
const DEVICES = 4;
/** Numbers that are no page, place or value are below this. */
const NUMBERS = 1 << 20;

const PROTS: Readonly<Record<string, number>> = { n: PROT_NONE, r: PROT_READ, rw: PROT_READ | PROT_WRITE };
const KINDS = ['anon', 'shared', 'memfd', 'privfile'] as const;
/** What is mapped: anonymous memory, private or shared, or a file of its own, shared or private. */
export type MapKind = (typeof KINDS)[number];
const ADVICE = {
  dontneed: MADV.DONTNEED,
  free: MADV.FREE,
  remove: MADV.REMOVE,
  dontfork: MADV.DONTFORK,
  dofork: MADV.DOFORK,
  hugepage: MADV.HUGEPAGE,
  nohugepage: MADV.NOHUGEPAGE,
  wipeonfork: MADV.WIPEONFORK,
  keeponfork: MADV.KEEPONFORK,
  populate_read: MADV.POPULATE_READ,
  populate_write: MADV.POPULATE_WRITE,
  dontneed_locked: MADV.DONTNEED_LOCKED,
  mergeable: MADV.MERGEABLE,
  unmergeable: MADV.UNMERGEABLE,
  cold: MADV.COLD,
  pageout: MADV.PAGEOUT,
  collapse: MADV.COLLAPSE,
} as const satisfies Readonly<Record<string, number>>;
export type Advice = keyof typeof ADVICE;
export const ADVICE_NAMES = Object.keys(ADVICE) as readonly Advice[];

/** What a word of an operation is. */
type WordKind =
  /** Rk */
  | 'region'
  /** Page of the region before it. */
  | 'page'
  /** So many pages from there on. */
  | 'pages'
  | 'prot'
  | 'kind'
  | 'advice'
  /** Pk */
  | 'process'
  /** 64 bits */
  | 'value'
  | 'number'
  /** At most {@link REGION_PAGES}. */
  | 'count'
  /** Number of a device of the test driver. */
  | 'device';

/** Commands to a device, about pages of a region. */
const DEVICE_OPERATIONS = {
  dread: ['device', 'region', 'page', 'pages'],
  dwrite: ['device', 'region', 'page', 'pages', 'value'],
  todev: ['device', 'region', 'page', 'pages'],
  tosys: ['device', 'region', 'page', 'pages'],
  excl: ['device', 'region', 'page', 'pages'],
  chkexcl: ['device', 'region', 'page', 'pages'],
  snap: ['device', 'region', 'page', 'pages'],
  release: ['device', 'region', 'page', 'pages'],
} as const satisfies Readonly<Record<string, readonly WordKind[]>>;
export type DeviceName = keyof typeof DEVICE_OPERATIONS;

export const isDeviceName = (name: string): name is DeviceName => Object.hasOwn(DEVICE_OPERATIONS, name);

/** The operations, with the words that follow their names. */
const OPERATIONS = {
  mmap: ['region', 'pages', 'prot', 'kind'],
  munmap: ['region', 'page', 'pages'],
  mprotect: ['region', 'page', 'pages', 'prot'],
  madvise: ['region', 'page', 'pages', 'advice'],
  mremap: ['region', 'page', 'pages', 'region', 'page'],
  mlock: ['region', 'page', 'pages', 'number'],
  r: ['region', 'page'],
  w: ['region', 'page', 'value'],
  fork: ['process'],
  exit: [],
  pin: ['region', 'page', 'pages', 'number'],
  unpin: [],
  pinread: ['count'],
  open: ['device'],
  close: ['device'],
  ...DEVICE_OPERATIONS,
} as const satisfies Readonly<Record<string, readonly WordKind[]>>;
export type OperationName = keyof typeof OPERATIONS;
export const OPERATION_NAMES = Object.keys(OPERATIONS) as readonly OperationName[];

/** The words that follow a control line's name. */
const CONTROLS = {
  autoobs: ['region', 'page', 'pages'],
  obs: ['process', 'region', 'page', 'pages'],
  reset: [],
} as const satisfies Readonly<Record<string, readonly WordKind[]>>;
export type ControlName = keyof typeof CONTROLS;

/** A line of a script. */
export type OpsLine = {
  /** From 1. */
  readonly number: number;
  /** As it stands there. */
  readonly text: string;
  /**
   * The words after the name, as numbers: an index for a map kind, a position in `values` for a value. A device stores
   * value, value + 1, … to its pages: each is a word.
   */
  readonly words: readonly number[];
} & (
  | { readonly process: number; readonly name: OperationName }
  | { readonly process: undefined; readonly name: ControlName }
);

/** A script that can be run, and how much room it needs. */
export interface Script {
  readonly lines: readonly OpsLine[];
  /** The values that it stores, each once; a stored page's contents are a position in here. The first is 0. */
  readonly values: readonly bigint[];
  /** Highest process and region, plus one. */
  readonly processes: number;
  readonly regions: number;
  /** Pages that a region needs. */
  readonly pages: number;
  /** Pages that may be in use at once. */
  readonly inUse: number;
  /** It needs an area for swap. */
  readonly swaps: boolean;
  /** Pages that may be in a device's memory at once. */
  readonly inDevice: number;
}

export const mapKind = (word: number): MapKind => KINDS[word]!;

/** Parses one script. Throws a UsageError that names the line, as `name:12: …`. */
export function parseOps(text: string, name: string): Script {
  const values = [0n];
  const positions = new Map([[0n, 0]]);
  const lines: OpsLine[] = [];
  let [processes, regions, pages] = [1, 1, 1];
  let swaps = false;
  const use = new Use();

  text.split('\n').forEach((line, index) => {
    const number = index + 1;
    const bad: Bad = (what) => {
      throw new UsageError(`${name}:${number}: ${what}`);
    };
    const echoed = line.replace(/\r$/, '');
    const tokens = echoed
      .replace(/(^|[ \t])#.*$/s, '')
      .split(/[ \t]+/)
      .filter((token) => token !== '');
    const [first, ...rest] = tokens;
    if (first === undefined) return;
    const process = /^P\d+$/.test(first) ? numberIn(first, PROCESSES, bad) : undefined;
    const operation = process === undefined ? first : rest.shift();
    if (operation === undefined) return bad(`expected an operation after ${quoted(first)}`);
    const table: Readonly<Record<string, readonly WordKind[]>> =
      process === undefined ? CONTROLS : OPERATIONS;
    const kinds = Object.hasOwn(table, operation) ? table[operation] : undefined;
    if (kinds === undefined)
      return bad(
        process === undefined
          ? `expected Pn and an operation, or ${Object.keys(CONTROLS).join(', ')}; found ${quoted(operation)}`
          : `there is no operation ${quoted(operation)}; there is ${Object.keys(OPERATIONS).join(', ')}`,
      );
    if (rest.length !== kinds.length)
      return bad(
        `expected ${operation} ${kinds.map((kind) => `<${kind}>`).join(' ')}`.trimEnd() +
          `, found ${rest.length === 0 ? 'nothing' : quoted(rest.join(' '))} after ${operation}`,
      );

    let page = 0;
    const words = kinds.map((kind, i) => {
      const word = rest[i]!;
      switch (kind) {
        case 'region': {
          page = 0;
          if (!/^R\d+$/.test(word))
            return bad(`expected a region R0 to R${REGIONS - 1}, found ${quoted(word)}`);
          const region = numberIn(word, REGIONS, bad);
          regions = Math.max(regions, region + 1);
          return region;
        }
        case 'process': {
          if (!/^P\d+$/.test(word))
            return bad(`expected a process P0 to P${PROCESSES - 1}, found ${quoted(word)}`);
          const other = numberIn(word, PROCESSES, bad);
          processes = Math.max(processes, other + 1);
          return other;
        }
        case 'page':
          page = whole(word, bad);
          return inRegion(page, page + 1);
        case 'pages': {
          const count = whole(word, bad);
          inRegion(count, page + count);
          return count;
        }
        case 'prot':
          return oneOf(PROTS, word, 'a protection');
        case 'kind': {
          const found = (KINDS as readonly string[]).indexOf(word);
          return found >= 0
            ? found
            : bad(`expected a kind of mapping ${KINDS.join(', ')}; found ${quoted(word)}`);
        }
        case 'advice':
          return oneOf(ADVICE, word, 'an advice');
        case 'value':
          return position(valueIn(word, bad));
        case 'number': {
          const count = whole(word, bad);
          return count < NUMBERS ? count : bad(`expected a number below ${NUMBERS}, found ${quoted(word)}`);
        }
        case 'device': {
          const device = whole(word, bad);
          return device < DEVICES
            ? device
            : bad(`expected a device 0 to ${DEVICES - 1}, found ${quoted(word)}`);
        }
        case 'count': {
          const count = whole(word, bad);
          return count <= REGION_PAGES
            ? count
            : bad(`expected at most ${REGION_PAGES}, found ${quoted(word)}`);
        }
      }
    });
    // mremap() keeps the length.
    if (operation === 'mremap') inRegion(words[4]!, words[4]! + words[2]!);
    if (operation === 'dwrite') {
      const value = values[words[4]!]!;
      for (let i = 1; i < words[3]!; i++) words.push(position(BigInt.asUintN(64, value + BigInt(i))));
    }
    use.count(operation, words, isDeviceName(operation));
    if (operation === 'madvise' && words[3] === MADV.PAGEOUT) swaps = true;
    if (process !== undefined) processes = Math.max(processes, process + 1);
    lines.push({ number, text: echoed, words, process, name: operation } as OpsLine);

    function inRegion(word: number, end: number): number {
      if (end > REGION_PAGES) bad(`a region has ${REGION_PAGES} pages: page ${end - 1} is beyond it`);
      pages = Math.max(pages, end);
      return word;
    }
    function oneOf(known: Readonly<Record<string, number>>, word: string, what: string): number {
      if (Object.hasOwn(known, word)) return known[word]!;
      return bad(`expected ${what} ${Object.keys(known).join(', ')}; found ${quoted(word)}`);
    }
    function position(value: bigint): number {
      let at = positions.get(value);
      if (at === undefined) {
        at = values.push(value) - 1;
        positions.set(value, at);
      }
      return at;
    }
  });
  const mapped = processes * regions * pages;
  const [inUse, inDevice] = [use.most(mapped), use.mostInDevice(mapped)];
  return { lines, values, processes, regions, pages, inUse, swaps, inDevice };
}
