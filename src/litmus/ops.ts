// SPDX-License-Identifier: MIT
import type { Path } from '../core/path.js';
import type { NodeMonitor } from '../core/scenario.js';
import { BUS_ADRERR, segvCode, userLoad, userStore, type Signal } from '../linux/arch/fault.js';
import { fput } from '../linux/fs/file_table.js';
import { kpagecount_read, KPF, stable_page_flags } from '../linux/fs/proc/page.js';
import { type PagemapEntry, pagemap_read, PM } from '../linux/fs/proc/task_mmu-pagemap.js';
import { EBADF, ENOMEM } from '../linux/include/errno.js';
import { GUP_PIN_COUNTING_BIAS, type Mm } from '../linux/include/mm_types.js';
import { PAGEVEC_SIZE } from '../linux/include/pagevec.js';
import { dup_mmap, mm_init } from '../linux/kernel/fork.js';
import { rcu_core } from '../linux/kernel/rcu/tree.js';
import { current, Kernel } from '../linux/kernel.js';
import { documentedKnobs, type Knobs } from '../linux/knobs.js';
import {
  GupTest,
  pin_longterm_test_read,
  pin_longterm_test_start,
  pin_longterm_test_stop,
} from '../linux/mm/gup_test.js';
import { do_madvise } from '../linux/mm/madvise.js';
import { do_mlock, munlock } from '../linux/mm/mlock.js';
import { exit_mmap, MAP, vm_mmap_pgoff, vm_munmap } from '../linux/mm/mmap.js';
import { do_mprotect_pkey } from '../linux/mm/mprotect.js';
import { mremap } from '../linux/mm/mremap.js';
import { lru_add_drain } from '../linux/mm/swap.js';
import { shmem_file_setup } from '../linux/mm/shmem.js';
import { SwapType } from '../machine/pte.js';
import { lockdep, watchAlways } from '../properties/index.js';
import { leftover } from './leftover.js';
import { type MapKind, mapKind, type OpsLine, type Script } from './ops-language.js';
import type { Runner } from './workload.js';

/** What an operation answers. */
interface Answer {
  /** A positive error number, 0 for success. */
  readonly err: number;
  readonly signal?: { readonly number: number; readonly code: number } | undefined;
  readonly val?: number | undefined;
  readonly data?: readonly number[] | undefined;
}

/** An open file of the GUP test driver; a forked child shares it. */
interface OpenFile {
  count: number;
}

interface Process {
  readonly mm: Mm;
  readonly agent: number;
  live: boolean;
  gup_test: OpenFile | undefined;
  /** What drivers copy contents to; beyond what they copy it shows what was there before, be it of an earlier process. */
  readonly buffer: number[];
}

const SIGBUS = 7;
const SIGSEGV = 11;

type OperationLine = Extract<OpsLine, { readonly process: number }>;

/** Frames beyond those that the mapped pages can take: what an operation needs on its way, and what per-CPU batches keep. */
const SPARE_FRAMES = 8 + 3 * PAGEVEC_SIZE;

/**
 * A script on one kernel: processes that execute one operation at a time, and answer as the agent inside of a real kernel
 * does. The runner decides how the paths are run.
 */
export class Ops {
  readonly kernel: Kernel;
  readonly properties: readonly string[];
  /** What was in use when all processes had exited. */
  readonly leaked: string[] = [];
  private readonly processes: Process[];
  private readonly observer: number;
  private readonly gup_test: GupTest;
  /** Pages from one region to the next: one table each, and a page between them that is never mapped. */
  private readonly stride: number;
  private auto: readonly number[] | undefined;
  /** Frames and swap slots by when they were first shown, since the last reset. */
  private names = new Map<string, number>();

  constructor(
    private readonly script: Script,
    private readonly run: Runner,
    knobs: Partial<Knobs> = {},
  ) {
    const { processes, regions, pages, inUse } = script;
    this.stride = pages + 1;
    this.kernel = new Kernel({
      machine: {
        cpus: 1,
        tlb: 'ipi',
        fill: 'demand',
        memory: 'sc',
        frames: SPARE_FRAMES + processes * regions + inUse, // a page table for each region
        ptrsPerPte: this.stride,
        pae: undefined,
        pageWalkCache: true,
        data: true,
      },
      release: '6.12',
      knobs: { ...documentedKnobs(), ...knobs },
      hotplug: false,
      thp: false,
      rcuCallbacks: 1,
      softDirty: true,
      zeroPage: true,
      shmemPages: pages,
      swapSlots: script.swaps ? inUse : 0,
      anonVmaChains: true,
      lruBatches: true,
    });
    const { kernel } = this;
    kernel.system.growable = true;
    const task = (name: string, mm?: Mm): number =>
      kernel.addTask({ name, cpu: 0, daemon: false, fair: true, mm, start: () => nothing() }).agent;
    this.processes = Array.from({ length: processes }, (_, number) => {
      const mm = kernel.addMm(`P${number}`, regions * this.stride, [0]);
      return { mm, agent: task(mm.name, mm), live: number === 0, gup_test: undefined, buffer: [] };
    });
    this.observer = task('observer');
    kernel.addTask({ name: 'rcu', cpu: -1, daemon: true, fair: true, atomic: true, start: () => rcu_core() });
    this.gup_test = new GupTest(kernel.system);
    this.properties = watchAlways(kernel);
  }

  monitor(): NodeMonitor {
    return lockdep(this.kernel.system);
  }

  /** Executes one line; returns the lines of its answer. */
  step(line: OpsLine): string[] {
    if (line.process !== undefined) return this.operation(line);
    switch (line.name) {
      case 'autoobs':
        this.auto = line.words;
        return [];
      case 'obs': {
        const [process, ...range] = line.words;
        return [this.processes[process!]!.live ? this.observe(process!, range) : '  nopid'];
      }
      case 'reset':
        this.reset();
        return ['> reset'];
    }
  }

  /** Ends all processes, and drains what per-CPU batches keep. */
  finish(): void {
    this.end();
    this.run(this.observer, () => lru_add_drain());
  }

  private end(): void {
    for (const process of [...this.processes].reverse()) if (process.live) this.exit(process);
    this.leaked.push(...leftover(this.kernel));
  }

  private reset(): void {
    this.end();
    this.names = new Map();
    const [first] = this.processes;
    this.run(first!.agent, () => mm_init(first!.mm));
    first!.live = true;
  }

  private operation(line: OperationLine): string[] {
    const { text } = line;
    const process = this.processes[line.process]!;
    if (!process.live) return [`> ${text}`, '  nopid'];
    if (line.name === 'fork' && (line.words[0] === 0 || this.processes[line.words[0]!]!.live))
      return [`> ${text}`, '  busy'];
    const { err, signal, val, data } = this.execute(process, line);
    let answer = `> ${text} => err=${err}`;
    if (signal !== undefined) answer += ` sig=${signal.number} code=${signal.code}`;
    if (val !== undefined) answer += ` val=0x${this.valueOf(val)}`;
    if (data !== undefined && data.length > 0)
      answer += ` data=${data.map((value) => this.valueOf(value)).join(',')}`;
    const lines = [answer];
    const { auto } = this;
    if (auto !== undefined)
      this.processes.forEach(({ live }, number) => {
        if (live) lines.push(this.observe(number, auto));
      });
    return lines;
  }

  private valueOf(position: number): string {
    return this.script.values[position]!.toString(16);
  }

  private execute(process: Process, { name, words }: OperationLine): Answer {
    const { mm, agent } = process;
    const at = (region: number, page: number): number => words[region]! * this.stride + words[page]!;
    const call = (path: () => Path<number>): Answer => ({ err: -this.run(agent, path) });
    switch (name) {
      case 'mmap':
        return call(() => mapAnew(mm, words[0]! * this.stride, words[1]!, words[2]!, mapKind(words[3]!)));
      case 'munmap':
        return call(() => vm_munmap(mm, at(0, 1), words[2]!));
      case 'mprotect':
        return call(() => do_mprotect_pkey(mm, at(0, 1), words[2]!, words[3]!));
      case 'madvise':
        return call(() => do_madvise(mm, at(0, 1), words[2]!, words[3]!));
      case 'mremap':
        return call(() => mremap(mm, at(0, 1), words[2]!, at(3, 4)));
      case 'mlock':
        return call(() =>
          words[3] === 0 ? munlock(mm, at(0, 1), words[2]!) : do_mlock(mm, at(0, 1), words[2]!),
        );
      case 'r': {
        const loaded = this.run(agent, () => userLoad(at(0, 1)));
        return typeof loaded === 'number' ? { err: 0, val: loaded } : this.killed(process, loaded, at(0, 1));
      }
      case 'w': {
        const signal = this.run(agent, () => userStore(at(0, 1), words[2]));
        return signal === undefined ? { err: 0 } : this.killed(process, signal, at(0, 1));
      }
      case 'fork':
        return this.fork(process, this.processes[words[0]!]!);
      case 'exit':
        this.exit(process);
        return { err: 0 };
      case 'pin':
        process.gup_test ??= { count: 1 };
        return this.hold(() =>
          call(() => pin_longterm_test_start(this.gup_test, at(0, 1), words[2]!, words[3]!)),
        );
      case 'unpin':
        if (process.gup_test === undefined) return { err: EBADF };
        this.stopPinning(process);
        return { err: 0 };
      case 'pinread': {
        if (process.gup_test === undefined) return { err: EBADF };
        const contents = this.run(agent, () => pin_longterm_test_read(this.gup_test));
        if (typeof contents === 'number') return { err: -contents };
        contents.forEach((value, i) => (process.buffer[i] = value));
        return { err: 0, data: Array.from({ length: words[0]! }, (_, i) => process.buffer[i] ?? 0) };
      }
    }
  }

  private killed({ mm, agent }: Process, signal: Signal, addr: number): Answer {
    if (signal === 'OOM') throw new Error('the machine is too small for this script');
    if (signal === 'SIGBUS') return { err: 0, signal: { number: SIGBUS, code: BUS_ADRERR } };
    return { err: 0, signal: { number: SIGSEGV, code: this.run(agent, () => segvCode(mm, addr)) } };
  }

  private fork(process: Process, child: Process): Answer {
    const err = this.run(process.agent, () => forkInto(child.mm, process.mm));
    if (err === -ENOMEM) throw new Error('the machine is too small for this script');
    child.live = true;
    child.gup_test = process.gup_test;
    if (child.gup_test !== undefined) child.gup_test.count++;
    return { err: -err };
  }

  private exit(process: Process): void {
    const { mm, agent, gup_test } = process;
    this.run(agent, () => exit_mmap(mm));
    process.live = false;
    process.gup_test = undefined;
    // The last who has the file open releases what is pinned, whoever pinned it.
    if (gup_test !== undefined && --gup_test.count === 0) this.stopPinning(process);
  }

  private stopPinning({ agent }: Process): void {
    this.hold(() => this.run(agent, () => pin_longterm_test_stop(this.gup_test)));
  }

  /** Keeps the pins that REF-SUM has to know of: what the driver has pinned after `change`. */
  private hold<T>(change: () => T): T {
    for (const pfn of this.pinned()) this.kernel.hold(pfn, -GUP_PIN_COUNTING_BIAS);
    const result = change();
    for (const pfn of this.pinned()) this.kernel.hold(pfn, GUP_PIN_COUNTING_BIAS);
    return result;
  }

  /** The frames that the driver has pinned; the zero page is never counted. */
  private pinned(): number[] {
    const { zero_page } = this.kernel;
    const nr = Math.max(0, this.gup_test.nr.value - 1);
    return Array.from({ length: nr }, (_, i) => this.gup_test.page(i).value - 1).filter(
      (pfn) => pfn !== zero_page?.pfn,
    );
  }

  private observe(number: number, range: readonly number[]): string {
    const [region, first, nr] = range as [number, number, number];
    const { mm } = this.processes[number]!;
    const shown = this.run(this.observer, () => observe(mm, region * this.stride + first, nr));
    const entries = shown.map((page, i) => ` ${first + i}:${this.show(page)}`);
    return `  P${number} R${region}[${first}..${first + nr}):${entries.join('')}`;
  }

  private show({ entry, mapcount, kpf }: Shown): string {
    const marks = MARKS.filter(([flag]) => entry.flags & flag)
      .map(([, mark]) => mark)
      .join('');
    if (entry.flags & PM.PRESENT) {
      if (kpf & KPF.ZERO_PAGE) return `zero,${marks}`;
      const flags = KPF_LETTERS.filter(([flag]) => kpf & flag).map(([, letter]) => letter);
      return `${this.nameOf(`f${entry.frame}`)},${marks},m${mapcount},${flags.join('')}`;
    }
    if (!(entry.flags & PM.SWAP)) return marks === '' ? '-' : `-,${marks}`;
    const slot = entry.type === SwapType.SWAP ? `s${entry.frame}` : `f${entry.frame}`;
    return `${SWAP_WORDS[entry.type] ?? 'SWAP'}(${this.nameOf(slot)}),${marks}`;
  }

  private nameOf(key: string): string {
    let name = this.names.get(key);
    if (name === undefined) {
      name = this.names.size;
      this.names.set(key, name);
    }
    return `f${name}`;
  }
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

/** What is shown of one page. */
interface Shown {
  readonly entry: PagemapEntry;
  readonly mapcount: number;
  readonly kpf: number;
}

/** Reads /proc/pid/pagemap, and of what is present /proc/kpagecount and /proc/kpageflags. */
function* observe(mm: Mm, start: number, nr: number): Path<Shown[]> {
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

/** mmap() of anonymous memory, or of a file that only this mapping has. */
function* mapAnew(mm: Mm, addr: number, pages: number, prot: number, kind: MapKind): Path<number> {
  const ofFile = kind === 'memfd' || kind === 'privfile';
  const file = ofFile ? yield* shmem_file_setup(pages) : undefined;
  const shared = kind === 'shared' || kind === 'memfd';
  const flags = MAP.FIXED_NOREPLACE | (shared ? MAP.SHARED : MAP.PRIVATE);
  const err = yield* vm_mmap_pgoff(mm, file, addr, pages, prot, flags);
  if (file !== undefined) yield* fput(file);
  return err;
}

function* forkInto(mm: Mm, oldmm: Mm): Path<number> {
  yield* mm_init(mm);
  return yield* dup_mmap(mm, oldmm);
}

function* nothing(): Path {}

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
