// SPDX-License-Identifier: MIT
import type { Advice, MapKind, OperationName } from '../src/litmus/ops-language.js';
import type { Weights } from './chance.js';

/** What a script is made of. */
export interface Mix {
  /** For the docs. */
  readonly about: string;
  readonly operations: Weights<OperationName>;
  readonly kinds: Weights<MapKind>;
  readonly advice: Weights<Advice>;
  /** Regions and processes in use, pages of a region. */
  readonly regions: number;
  readonly processes: number;
  readonly pages: number;
  /** Operations from one reset to the next. */
  readonly episode: readonly [fewest: number, most: number];
  readonly devices: readonly number[];
  /** Of a hundred ranges so many may be anywhere, mapped or not. */
  readonly astray: number;
  /** Operations, one after the other on the same pages, that chance would hardly bring together. */
  readonly motifs?: readonly (readonly string[])[];
}

/** Nearly all advice is rare in programs; here what changes entries is frequent. */
const ADVICE: Weights<Advice> = {
  dontneed: 6,
  free: 4,
  remove: 2,
  dontfork: 1,
  dofork: 1,
  hugepage: 1,
  nohugepage: 1,
  wipeonfork: 1,
  keeponfork: 1,
  populate_read: 3,
  populate_write: 3,
  dontneed_locked: 2,
  mergeable: 1,
  unmergeable: 1,
  cold: 2,
  pageout: 4,
  collapse: 1,
};

const CORE: Weights<OperationName> = {
  mmap: 3,
  munmap: 2,
  mprotect: 5,
  madvise: 8,
  mremap: 3,
  mlock: 3,
  r: 10,
  w: 14,
  fork: 4,
  exit: 2,
};
const PINS: Weights<OperationName> = { pin: 5, unpin: 3, pinread: 3 };
const DEVICE: Weights<OperationName> = {
  open: 6,
  close: 1,
  dread: 10,
  dwrite: 10,
  todev: 10,
  tosys: 4,
  excl: 4,
  chkexcl: 3,
  snap: 5,
  release: 1,
};
const ALL_KINDS: Weights<MapKind> = { anon: 6, shared: 2, memfd: 2, privfile: 2 };

/**
 * Operations on the same pages, each with the words that follow its range if they matter. `child`: what follows is done by the
 * child that was forked last.
 */
const MOTIFS: readonly (readonly string[])[] = [
  // Entries of a device, whatever comes by.
  ['w', 'excl', 'mprotect r', 'dread', 'mprotect rw', 'r'],
  ['w', 'excl', 'mprotect r', 'fork', 'chkexcl', 'child', 'w'],
  ['w', 'excl', 'mremap', 'chkexcl'],
  ['w', 'excl', 'madvise pageout', 'r'],
  ['w', 'excl', 'mlock 1', 'excl', 'mlock 0'],
  ['w', 'excl', 'madvise wipeonfork', 'fork', 'child', 'r'],
  ['w', 'todev', 'mprotect r', 'dwrite', 'mprotect rw', 'w'],
  ['w', 'todev', 'madvise wipeonfork', 'fork', 'child', 'dread', 'r'],
  ['w', 'todev', 'madvise dontfork', 'fork', 'madvise dofork', 'r'],
  ['w', 'todev', 'mremap', 'dread'],
  ['w', 'todev', 'mlock 1', 'tosys', 'todev', 'mlock 0'],
  ['w', 'todev', 'fork', 'todev', 'child', 'w', 'todev'],
  ['w', 'todev', 'madvise free', 'fork', 'child', 'r'],
  ['w', 'mprotect n', 'dread', 'dwrite', 'snap', 'todev', 'mprotect rw', 'r'],
  ['todev', 'w', 'munmap', 'snap'],
  // Swap.
  ['w', 'madvise pageout', 'mlock 1', 'w'],
  ['w', 'madvise pageout', 'pin 1', 'fork', 'child', 'w'],
  ['w', 'madvise pageout', 'fork', 'child', 'w', 'madvise pageout'],
  ['w', 'madvise pageout', 'todev', 'dread'],
  ['w', 'madvise pageout', 'excl', 'chkexcl'],
  ['w', 'madvise pageout', 'r', 'mprotect r', 'mprotect rw', 'w'],
  ['w', 'madvise pageout', 'mremap', 'r'],
  ['w', 'madvise free', 'madvise pageout', 'r'],
  ['w', 'madvise free', 'fork', 'w', 'madvise pageout', 'child', 'r'],
  ['w', 'madvise free', 'excl', 'madvise pageout'],
  ['w', 'madvise free', 'pin 1', 'madvise pageout', 'unpin'],
  ['w', 'madvise cold', 'madvise pageout', 'madvise dontneed'],
  // Pins.
  ['w', 'pin 1', 'fork', 'w', 'child', 'w'],
  ['w', 'pin 1', 'madvise pageout', 'r', 'pinread'],
  ['w', 'pin 1', 'todev', 'excl', 'unpin'],
  ['w', 'pin 3', 'mremap', 'w', 'pinread'],
  ['w', 'fork', 'pin 1', 'w', 'pinread', 'child', 'w'],
  ['w', 'pin 1', 'madvise dontneed', 'w', 'pinread'],
  // Forks of forks.
  ['w', 'fork', 'child', 'fork', 'child', 'fork', 'child', 'w', 'exit'],
  ['w', 'fork', 'child', 'madvise wipeonfork', 'fork', 'child', 'r', 'fork', 'child', 'r'],
  ['r', 'fork', 'child', 'w', 'fork', 'child', 'w'],
  // What is cut, locked and moved.
  ['w', 'mlock 1', 'fork', 'child', 'w', 'madvise dontneed_locked'],
  ['w', 'mlock 1', 'mremap', 'w', 'mlock 0'],
  ['w', 'mlock 1', 'madvise remove', 'r', 'madvise dontneed'],
  ['mlock 1', 'munmap', 'mlock 1', 'mprotect r'],
  ['w', 'madvise remove', 'excl', 'madvise remove', 'chkexcl'],
  ['w', 'madvise collapse', 'madvise mergeable', 'fork', 'child', 'w'],
];

const BASE = {
  operations: CORE,
  kinds: ALL_KINDS,
  advice: ADVICE,
  regions: 1,
  processes: 4,
  pages: 8,
  episode: [20, 60],
  devices: [0],
  astray: 8,
} as const satisfies Omit<Mix, 'about'>;

export const MIXES = {
  core: { ...BASE, about: 'system calls on all kinds of mappings' },
  swap: {
    ...BASE,
    about: 'reclaim to swap, of private and shared memory, with forks and locked pages',
    kinds: { anon: 6, shared: 2, memfd: 1, privfile: 2 },
    operations: { ...CORE, madvise: 34, fork: 5, munmap: 1, mlock: 1, r: 6, w: 8, mprotect: 3 },
    advice: { ...ADVICE, pageout: 60, free: 6, cold: 4 },
  },
  files: {
    ...BASE,
    about: 'shared memory and files, with holes cut into them',
    regions: 2,
    kinds: { shared: 4, memfd: 4, privfile: 6 },
    advice: { ...ADVICE, remove: 12, dontneed: 12 },
  },
  forks: {
    ...BASE,
    about: 'many processes, short lives, and what is not handed down',
    processes: 7,
    operations: { ...CORE, fork: 14, exit: 8, mmap: 2, munmap: 1 },
    advice: { ...ADVICE, dontfork: 5, dofork: 3, wipeonfork: 6, keeponfork: 3 },
  },
  moves: {
    ...BASE,
    about: 'mappings that are moved, cut and merged',
    regions: 3,
    operations: { ...CORE, mremap: 16, munmap: 5, mmap: 6, mprotect: 8 },
  },
  locks: {
    ...BASE,
    about: 'locked memory',
    operations: { ...CORE, mlock: 18, madvise: 12 },
    advice: { ...ADVICE, dontneed_locked: 10, pageout: 6 },
  },
  pins: {
    ...BASE,
    about: 'pages pinned for long, with forks and stores',
    operations: {
      ...CORE,
      pin: 30,
      unpin: 6,
      pinread: 8,
      fork: 12,
      exit: 6,
      mprotect: 2,
      mlock: 1,
      munmap: 1,
      mmap: 1,
    },
    advice: { ...ADVICE, pageout: 4 },
  },
  device: {
    ...BASE,
    about: 'a device with memory that no CPU reaches',
    operations: {
      ...CORE,
      ...DEVICE,
      todev: 24,
      mmap: 1,
      munmap: 1,
      mlock: 1,
      mremap: 2,
      mprotect: 3,
      r: 6,
      w: 8,
    },
    kinds: { anon: 8, shared: 1, memfd: 1, privfile: 2 },
  },
  exclusive: {
    ...BASE,
    about: 'pages that a device has for itself',
    operations: {
      ...CORE,
      ...DEVICE,
      excl: 24,
      chkexcl: 8,
      todev: 5,
      mmap: 1,
      munmap: 1,
      mprotect: 3,
      madvise: 5,
      mlock: 2,
      r: 6,
      w: 8,
    },
    kinds: { anon: 8, shared: 2, memfd: 1, privfile: 2 },
    advice: { ...ADVICE, pageout: 4 },
  },
  devices: {
    ...BASE,
    about: 'two devices at once, handed down by forks and closed',
    devices: [0, 1],
    operations: { ...CORE, ...DEVICE, todev: 18, fork: 7, exit: 4, close: 4, open: 10, r: 6, w: 8 },
    kinds: { anon: 8, privfile: 2 },
  },
  coherent: {
    ...BASE,
    about: 'devices with memory that CPUs reach, beside one with memory that they do not',
    devices: [2, 2, 3, 0],
    operations: { ...CORE, ...DEVICE, ...PINS, todev: 16, tosys: 6 },
    kinds: { anon: 8, privfile: 2 },
  },
  errors: {
    ...BASE,
    about: 'ranges and states that are refused',
    regions: 2,
    devices: [0, 1],
    astray: 50,
    operations: { ...CORE, ...DEVICE, ...PINS, mprotect: 8, munmap: 5, mremap: 8, unpin: 2 },
  },
  all: {
    ...BASE,
    about: 'everything',
    regions: 2,
    devices: [0, 1, 2],
    operations: { ...CORE, ...DEVICE, ...PINS },
    advice: { ...ADVICE, pageout: 5 },
  },
  large: {
    ...BASE,
    about: 'ranges of more pages than a batch takes',
    pages: 40,
    regions: 2,
    devices: [0, 1],
    operations: { ...CORE, ...DEVICE, ...PINS },
    advice: { ...ADVICE, pageout: 6, populate_write: 6 },
  },
  rare: {
    ...BASE,
    about: 'what chance would hardly bring together',
    processes: 6,
    kinds: { anon: 10, shared: 1, memfd: 1, privfile: 2 },
    operations: { ...CORE, ...DEVICE, ...PINS, munmap: 1, exit: 3 },
    episode: [20, 80],
    motifs: MOTIFS,
  },
} as const satisfies Record<string, Mix>;

export type MixName = keyof typeof MIXES;
export const MIX_NAMES = Object.keys(MIXES) as readonly MixName[];
