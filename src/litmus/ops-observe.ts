// SPDX-License-Identifier: MIT
import type { Path } from '../core/path.js';
import { kpagecount_read, KPF, stable_page_flags } from '../linux/fs/proc/page.js';
import { type PagemapEntry, pagemap_read, PM } from '../linux/fs/proc/task_mmu-pagemap.js';
import type { Mm } from '../linux/include/mm_types.js';
import { current } from '../linux/kernel.js';
import { SwapType } from '../machine/pte.js';

/** What an operation answers. */
export interface Answer {
  /** A positive error number, 0 for success. */
  readonly err: number;
  readonly signal?: { readonly number: number; readonly code: number } | undefined;
  readonly val?: number | undefined;
  /** Of a device. */
  readonly counts?: { readonly cpages: number; readonly faults: number } | undefined;
  readonly data?: readonly bigint[] | undefined;
  readonly snap?: readonly number[] | undefined;
}

/** The line of an operation with its answer; contents by position, as scripts have them. */
export function answerLine(
  text: string,
  { err, signal, val, counts, data = [], snap }: Answer,
  valueOf: (position: number) => bigint,
): string {
  let answer = `> ${text} => err=${err}`;
  if (signal !== undefined) answer += ` sig=${signal.number} code=${signal.code}`;
  if (val !== undefined) answer += ` val=0x${valueOf(val).toString(16)}`;
  if (counts !== undefined) answer += ` cpages=${counts.cpages} faults=${counts.faults}`;
  if (data.length > 0) answer += ` data=${data.map((value) => value.toString(16)).join(',')}`;
  if (snap !== undefined)
    answer += ` snap=${snap.map((value) => value.toString(16).padStart(2, '0')).join(',')}`;
  return answer;
}

/** What is shown of one page. */
export interface Shown {
  readonly entry: PagemapEntry;
  readonly mapcount: number;
  readonly kpf: number;
}

/** Reads /proc/pid/pagemap, and of what is present /proc/kpagecount and /proc/kpageflags. */
export function* observe(mm: Mm, start: number, nr: number): Path<Shown[]> {
  const entries = yield* pagemap_read(mm, start, nr);
  const shown: Shown[] = [];
  for (const entry of entries) {
    const present = (entry.flags & PM.PRESENT) !== 0;
    const page = current.kernel.mem_map[entry.frame]!;
    const mapcount = present ? yield* kpagecount_read(page) : 0;
    const kpf = present ? yield* stable_page_flags(page) : 0;
    shown.push({ entry, mapcount, kpf });
  }
  return shown;
}

const MARKS = [
  [PM.FILE, 's'],
  [PM.MMAP_EXCLUSIVE, 'x'],
  [PM.SOFT_DIRTY, 'd'],
  [PM.UFFD_WP, 'u'],
] as const;
const KPF_LETTERS = [
  [KPF.LRU, 'L'],
  [KPF.DIRTY, 'D'],
  [KPF.ANON, 'A'],
  [KPF.MMAP, 'M'],
  [KPF.SWAPCACHE, 'C'],
  [KPF.SWAPBACKED, 'B'],
  [KPF.KSM, 'K'],
  [KPF.UNEVICTABLE, 'U'],
  [KPF.REFERENCED, 'R'],
  [KPF.LOCKED, 'l'],
  [KPF.WRITEBACK, 'w'],
] as const;
const SWAP_WORDS: Readonly<Record<number, string>> = {
  [SwapType.MIGRATION_READ]: 'MIG',
  [SwapType.MIGRATION_READ_EXCLUSIVE]: 'MIG',
  [SwapType.MIGRATION_WRITE]: 'MIG',
  [SwapType.DEVICE_READ]: 'DEVR',
  [SwapType.DEVICE_WRITE]: 'DEVW',
  [SwapType.DEVICE_EXCLUSIVE_READ]: 'EXCLR',
  [SwapType.DEVICE_EXCLUSIVE_WRITE]: 'EXCLW',
  [SwapType.MARKER]: 'MARK',
};

/** Frames, those of devices as well, and swap slots, by when they were first shown. */
export class Names {
  private readonly names = new Map<string, number>();

  private of(key: string): string {
    let name = this.names.get(key);
    if (name === undefined) {
      name = this.names.size;
      this.names.set(key, name);
    }
    return `f${name}`;
  }

  /** A page as the answers have it. */
  show({ entry, mapcount, kpf }: Shown): string {
    const marks = MARKS.filter(([flag]) => entry.flags & flag)
      .map(([, mark]) => mark)
      .join('');
    if (entry.flags & PM.PRESENT) {
      if (kpf & KPF.ZERO_PAGE) return `zero,${marks}`;
      const flags = KPF_LETTERS.filter(([flag]) => kpf & flag).map(([, letter]) => letter);
      return `${this.of(`f${entry.frame}`)},${marks},m${mapcount},${flags.join('')}`;
    }
    if (!(entry.flags & PM.SWAP)) return marks === '' ? '-' : `-,${marks}`;
    const slot = entry.type === SwapType.SWAP ? `s${entry.frame}` : `f${entry.frame}`;
    return `${SWAP_WORDS[entry.type] ?? 'SWAP'}(${this.of(slot)}),${marks}`;
  }
}

/** What depends on when per-CPU lists are drained, and on accessed bits. */
const UNSTABLE = new Set('LRlwD');

/** Lines of an answer as they compare: frames numbered by when they appear in it, without what is not reproducible. */
export function normalise(lines: readonly string[]): string[] {
  let names = new Map<string, number>();
  return lines.map((line) => {
    if (line.startsWith('>')) {
      names = new Map();
      return line;
    }
    return line
      .replace(/\bf(\d+)/g, (_, name: string) => {
        if (!names.has(name)) names.set(name, names.size);
        return `f${names.get(name)}`;
      })
      .replace(
        /,(m\d+),([A-Za-z]*)/g,
        (_, count: string, flags: string) =>
          `,${count},${flags
            .split('')
            .filter((flag) => !UNSTABLE.has(flag))
            .join('')}`,
      );
  });
}
