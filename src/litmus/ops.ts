// SPDX-License-Identifier: MIT
import type { Path } from '../core/path.js';
import type { NodeMonitor } from '../core/scenario.js';
import { BUS_ADRERR, segvCode, userLoad, userStore, type Signal } from '../linux/arch/fault.js';
import { fput } from '../linux/fs/file_table.js';
import { EBADF, ENOMEM } from '../linux/include/errno.js';
import { GUP_PIN_COUNTING_BIAS, type Mm } from '../linux/include/mm_types.js';
import { PAGEVEC_SIZE } from '../linux/include/pagevec.js';
import { dup_mmap, mm_init, mmput } from '../linux/kernel/fork.js';
import { rcu_core } from '../linux/kernel/rcu/tree.js';
import { Kernel } from '../linux/kernel.js';
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
import { lockdep, watchAlways } from '../properties/index.js';
import { leftover } from './leftover.js';
import { Devices } from './ops-devices.js';
import { type DeviceName, type MapKind, mapKind, type OpsLine, type Script } from './ops-language.js';
import { Lives, needsOf } from './ops-lives.js';
import { Names, observe } from './ops-observe.js';
import type { Runner } from './workload.js';

/** What an operation answers. */
interface Answer {
  /** A positive error number, 0 for success. */
  readonly err: number;
  readonly signal?: { readonly number: number; readonly code: number } | undefined;
  readonly val?: number | undefined;
  /** Of a device. */
  readonly counts?: { readonly cpages: number; readonly faults: number } | undefined;
  readonly data?: readonly bigint[] | undefined;
  readonly snap?: readonly number[] | undefined;
}

/** An open file of the GUP test driver; a forked child shares it. */
interface OpenFile {
  count: number;
}

/** A process, or the place for one: an mm. */
interface Place {
  readonly mm: Mm;
  readonly agent: number;
}

interface Process {
  gup_test: OpenFile | undefined;
  /** What drivers copy contents to; beyond what they copy it shows what was there before, be it of an earlier process. */
  readonly buffer: bigint[];
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
  private readonly places: readonly Place[];
  private readonly processes: readonly Process[];
  private readonly lives: Lives;
  private readonly observer: number;
  private readonly gup_test: GupTest;
  private readonly devices: Devices | undefined;
  /** Pages from one region to the next: one table each, and a page between them that is never mapped. */
  private readonly stride: number;
  private auto: readonly number[] | undefined;
  /** Since the last reset. */
  private names = new Names();

  constructor(
    private readonly script: Script,
    private readonly run: Runner,
    knobs: Partial<Knobs> = {},
  ) {
    const { lines, processes, regions, pages, inUse, inDevice } = script;
    this.stride = pages + 1;
    const kernel = (this.kernel = new Kernel({
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
    }));
    kernel.system.growable = true;
    const task = (name: string, mm?: Mm): number =>
      kernel.addTask({ name, cpu: 0, daemon: false, fair: true, mm, start: () => nothing() }).agent;
    const needs = needsOf(lines, processes);
    this.places = Array.from({ length: needs.places }, (_, number) => {
      const mm = kernel.addMm(`P${number}`, regions * this.stride, [0]);
      return { mm, agent: task(mm.name, mm) };
    });
    this.processes = Array.from({ length: processes }, () => ({ gup_test: undefined, buffer: [] }));
    this.lives = new Lives(processes);
    this.observer = task('observer');
    kernel.addTask({ name: 'rcu', cpu: -1, daemon: true, fair: true, atomic: true, start: () => rcu_core() });
    this.gup_test = new GupTest(kernel.system);
    if (needs.mirrors.length > 0) {
      const mms = this.places.map(({ mm }) => mm);
      this.devices = new Devices(kernel, needs, mms, Math.max(1, inDevice), this.lives, run);
      // A file that is open keeps the mm, and does not keep it from being taken down.
      mms.forEach((mm, place) => {
        kernel.countUsers(mm, place === 0 ? 1 : 0);
        if (place > 0) mm.notifier_subscriptions?.mm_count.init(0);
      });
    }
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
        return [this.place(process!) === undefined ? '  nopid' : this.observe(process!, range)];
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
    for (const process of this.lives.living()) this.exit(process);
    this.leaked.push(...leftover(this.kernel));
  }

  private reset(): void {
    this.end();
    this.names = new Names();
    const { mm, agent } = this.places[0]!;
    this.run(agent, () => mm_init(mm));
    this.lives.begin();
  }

  /** Where a process lives, if it does. */
  private place(process: number): Place | undefined {
    return this.places[this.lives.place(process) ?? -1];
  }

  private operation(line: OperationLine): string[] {
    const { text, process } = line;
    const place = this.place(process);
    if (place === undefined) return [`> ${text}`, '  nopid'];
    if (line.name === 'fork' && (line.words[0] === 0 || this.place(line.words[0]!) !== undefined))
      return [`> ${text}`, '  busy'];
    const { err, signal, val, counts, data = [], snap } = this.execute(place, line);
    let answer = `> ${text} => err=${err}`;
    if (signal !== undefined) answer += ` sig=${signal.number} code=${signal.code}`;
    if (val !== undefined) answer += ` val=0x${this.valueOf(val).toString(16)}`;
    if (counts !== undefined) answer += ` cpages=${counts.cpages} faults=${counts.faults}`;
    if (data.length > 0) answer += ` data=${data.map((value) => value.toString(16)).join(',')}`;
    if (snap !== undefined)
      answer += ` snap=${snap.map((value) => value.toString(16).padStart(2, '0')).join(',')}`;
    const lines = [answer];
    const { auto } = this;
    if (auto !== undefined)
      for (const living of this.lives.living().reverse()) lines.push(this.observe(living, auto));
    return lines;
  }

  private valueOf(position: number): bigint {
    return this.script.values[position]!;
  }

  private execute(place: Place, { process: number, name, words }: OperationLine): Answer {
    const { mm, agent } = place;
    const process = this.processes[number]!;
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
        return typeof loaded === 'number' ? { err: 0, val: loaded } : this.killed(place, loaded, at(0, 1));
      }
      case 'w': {
        const signal = this.run(agent, () => userStore(at(0, 1), words[2]));
        return signal === undefined ? { err: 0 } : this.killed(place, signal, at(0, 1));
      }
      case 'fork':
        return this.fork(number, words[0]!);
      case 'exit':
        this.exit(number);
        return { err: 0 };
      case 'pin':
        process.gup_test ??= { count: 1 };
        return this.hold(() =>
          call(() => pin_longterm_test_start(this.gup_test, at(0, 1), words[2]!, words[3]!)),
        );
      case 'unpin':
        if (process.gup_test === undefined) return { err: EBADF };
        this.stopPinning(agent);
        return { err: 0 };
      case 'pinread': {
        if (process.gup_test === undefined) return { err: EBADF };
        const contents = this.run(agent, () => pin_longterm_test_read(this.gup_test));
        if (typeof contents === 'number') return { err: -contents };
        this.fill(process, contents);
        return { err: 0, data: Array.from({ length: words[0]! }, (_, i) => process.buffer[i] ?? 0n) };
      }
      case 'open':
        return { err: this.devices!.open(number, agent, words[0]!) };
      case 'close':
        return { err: this.devices?.close(number, agent, words[0]!) ?? EBADF };
      default:
        return this.command(number, agent, name, words);
    }
  }

  /** A command to a device: what it copies goes through the buffer of the process. */
  private command(process: number, agent: number, name: DeviceName, words: readonly number[]): Answer {
    const { buffer } = this.processes[process]!;
    const [device, region, page, npages, ...values] = words as [number, number, number, number];
    const ptr = name === 'dwrite' ? values.slice(0, npages) : [];
    this.fill({ buffer }, ptr);
    const none = { err: EBADF, cpages: 0, faults: 0 };
    const addr = region * this.stride + page;
    const cmd = { addr, npages, ptr };
    const { err, ...counts } = this.devices?.command(name, [process, device], agent, cmd) ?? none;
    if (err !== 0) return { err, counts };
    switch (name) {
      case 'snap':
        // Bytes, all of them in the first page.
        ptr.slice(0, 8).forEach((byte, i) => {
          const shift = BigInt(8 * i);
          buffer[0] = ((buffer[0] ?? 0n) & ~(0xffn << shift)) | (BigInt(byte) << shift);
        });
        return { err, counts, snap: ptr };
      case 'dread':
      case 'todev':
      case 'excl':
        this.fill({ buffer }, ptr);
        return { err, counts, data: buffer.slice(0, npages) };
      default:
        return { err, counts };
    }
  }

  /** A driver copies contents to the buffer. */
  private fill({ buffer }: Pick<Process, 'buffer'>, contents: readonly number[]): void {
    contents.forEach((position, i) => (buffer[i] = this.valueOf(position)));
  }

  private killed({ mm, agent }: Place, signal: Signal, addr: number): Answer {
    if (signal === 'OOM') throw new Error('the machine is too small for this script');
    if (signal === 'SIGBUS') return { err: 0, signal: { number: SIGBUS, code: BUS_ADRERR } };
    return { err: 0, signal: { number: SIGSEGV, code: this.run(agent, () => segvCode(mm, addr)) } };
  }

  private fork(parent: number, child: number): Answer {
    const { mm: oldmm, agent } = this.place(parent)!;
    const { mm } = this.places[this.lives.fork(parent, child)]!;
    const err = this.run(agent, () => forkInto(mm, oldmm));
    if (err === -ENOMEM) throw new Error('the machine is too small for this script');
    const { gup_test } = this.processes[parent]!;
    this.processes[child]!.gup_test = gup_test;
    if (gup_test !== undefined) gup_test.count++;
    return { err: -err };
  }

  private exit(number: number): void {
    const process = this.processes[number]!;
    const { mm, agent } = this.place(number)!;
    const { gup_test } = process;
    this.run(agent, () => (mm.mm_users === undefined ? exit_mmap(mm) : mmput(mm)));
    process.gup_test = undefined;
    // The last who has a file open releases it: what is pinned, whoever pinned it, and a mirror, whoever is mirrored.
    if (gup_test !== undefined && --gup_test.count === 0) this.stopPinning(agent);
    for (const file of this.lives.exit(number)) this.devices!.release(file, agent);
  }

  private stopPinning(agent: number): void {
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
    const { mm } = this.place(number)!;
    const shown = this.run(this.observer, () => observe(mm, region * this.stride + first, nr));
    const entries = shown.map((page, i) => ` ${first + i}:${this.names.show(page)}`);
    return `  P${number} R${region}[${first}..${first + nr}):${entries.join('')}`;
  }
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
