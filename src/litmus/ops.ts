// SPDX-License-Identifier: MIT
import type { Path } from '../core/path.js';
import type { NodeMonitor } from '../core/scenario.js';
import { BUS_ADRERR, segvCode, userLoad, userStore, type Signal } from '../linux/arch/fault.js';
import { EBADF, ENOMEM } from '../linux/include/errno.js';
import { fput } from '../linux/fs/file_table.js';
import type { Mm } from '../linux/include/mm_types.js';
import { PAGEVEC_SIZE } from '../linux/include/pagevec.js';
import { mm_init } from '../linux/kernel/fork.js';
import { rcu_core } from '../linux/kernel/rcu/tree.js';
import { Kernel } from '../linux/kernel.js';
import { documentedKnobs, type Knobs } from '../linux/knobs.js';
import { lru_add_drain } from '../linux/mm/swap.js';
import { locking, watchAlways } from '../properties/index.js';
import { leftover } from './leftover.js';
import { dropSwapCache, exitMm, filesOf, forkInto, systemCall } from './ops-core.js';
import { Devices } from './ops-devices.js';
import { type DeviceName, isDeviceName, type OpsLine, type Script } from './ops-language.js';
import { GUP_TEST_FILE, Lives, needsOf } from './ops-lives.js';
import { type Answer, answerLine, Names, observe } from './ops-observe.js';
import { Pins } from './ops-pins.js';
import { Ranges } from './ops-ranges.js';
import type { Runner } from './workload.js';

/** A process, or the place for one: an mm. */
interface Place {
  readonly mm: Mm;
  readonly agent: number;
}

const SIGBUS = 7;
const SIGSEGV = 11;

type OperationLine = Extract<OpsLine, { readonly process: number }>;

/** Frames beyond those that the mapped pages can take: what an operation needs on its way, and what per-CPU batches keep. */
const SPARE_FRAMES = 8 + 3 * PAGEVEC_SIZE;

/** The recorder has regions so far from each other that so many share a PMD table. */
const REGIONS_PER_PMD_TABLE = 4;

/** What answers are recorded with: the test driver of 6.12 itself does not live through a read of its own memory after a fork. */
const RECORDED: Partial<Knobs> = { 'test_hmm.backing_page': 'entered' };

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
  /**
   * By process: what drivers copy contents to; beyond what they copy it shows what was there before, be it of an earlier
   * process.
   */
  private readonly buffers: readonly bigint[][];
  private readonly lives: Lives;
  private readonly observer: number;
  private readonly pins: Pins;
  private readonly devices: Devices | undefined;
  /** Pages from one region to the next: one table each, and a page between them that is never mapped. */
  private readonly stride: number;
  private auto: readonly number[] | undefined;
  private ranges: Ranges | undefined;
  /** Since the last reset. */
  private names = new Names();

  constructor(
    private readonly script: Script,
    private readonly run: Runner,
    knobs: Partial<Knobs> = {},
    /** Whether invariants look on. */
    watched = true,
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
      knobs: { ...documentedKnobs(), ...RECORDED, ...knobs },
      hotplug: false,
      thp: false,
      ptrsPerPmd: REGIONS_PER_PMD_TABLE,
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
    this.buffers = Array.from({ length: processes }, () => []);
    this.lives = new Lives(processes);
    this.observer = task('observer');
    kernel.addTask({ name: 'rcu', cpu: -1, daemon: true, fair: true, atomic: true, start: () => rcu_core() });
    this.pins = new Pins(kernel, run);
    if (needs.mirrors.length > 0) {
      const mms = this.places.map(({ mm }) => mm);
      this.devices = new Devices(kernel, needs, mms, Math.max(1, inDevice), this.lives, run);
      // A file that is open keeps the mm, and does not keep it from being taken down.
      mms.forEach((mm, place) => {
        kernel.countUsers(mm, place === 0 ? 1 : 0);
        if (place > 0) mm.notifier_subscriptions?.mm_count.init(0);
      });
    }
    this.properties = watched ? watchAlways(kernel) : [];
  }

  monitor(): NodeMonitor {
    return locking(this.kernel);
  }

  /** From now on answers show what notifiers are told. */
  traceRanges(): void {
    this.ranges = new Ranges(this.kernel, this.stride, (mm) =>
      this.lives.living().find((process) => this.place(process)!.mm === mm)!,
    );
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
    if (this.kernel.swap !== undefined) this.run(this.observer, () => dropSwapCache());
    this.leaked.push(...leftover(this.kernel));
  }

  private reset(): void {
    this.end();
    this.names = new Names();
    const { mm, agent } = this.places[0]!;
    this.ranges?.begin(mm);
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
    const lines = [answerLine(text, this.execute(place, line), (at) => this.valueOf(at))];
    if (this.ranges !== undefined) lines.push(...this.ranges.take());
    const { auto } = this;
    if (auto !== undefined)
      for (const living of this.lives.living().reverse()) lines.push(this.observe(living, auto));
    return lines;
  }

  private valueOf(position: number): bigint {
    return this.script.values[position]!;
  }

  private execute(place: Place, { process, name, words }: OperationLine): Answer {
    const { mm, agent } = place;
    const address = (region: number, page: number): number => region * this.stride + page;
    const call = systemCall(mm, name, words, address);
    if (call !== undefined) return { err: -this.run(agent, call) };
    const at = address(words[0] ?? 0, words[1] ?? 0);
    switch (name) {
      case 'r': {
        const loaded = this.run(agent, () => userLoad(at));
        return typeof loaded === 'number' ? { err: 0, val: loaded } : this.killed(place, loaded, at);
      }
      case 'w': {
        const signal = this.run(agent, () => userStore(at, words[2]));
        return signal === undefined ? { err: 0 } : this.killed(place, signal, at);
      }
      case 'fork':
        return this.fork(process, words[0]!);
      case 'exit':
        this.exit(process);
        return { err: 0 };
      case 'pin':
        this.lives.openGupTest(process);
        return { err: -this.pins.pin(process, agent, at, words[2]!, words[3]!) };
      case 'unpin':
        if (!this.pins.isOpen(process)) return { err: EBADF };
        this.pins.unpin(agent);
        return { err: 0 };
      case 'pinread': {
        if (!this.pins.isOpen(process)) return { err: EBADF };
        const contents = this.pins.read(agent);
        if (typeof contents === 'number') return { err: -contents };
        const buffer = this.fill(process, contents);
        return { err: 0, data: Array.from({ length: words[0]! }, (_, i) => buffer[i] ?? 0n) };
      }
      case 'open':
        return this.open(place, process, words[0]!);
      case 'close':
        return { err: this.devices?.close(process, agent, words[0]!) ?? EBADF };
      default:
        if (isDeviceName(name)) return this.command(process, agent, name, words);
        throw new Error(`expected an operation that is executed, found ${name}`);
    }
  }

  private open({ mm, agent }: Place, process: number, device: number): Answer {
    const err = this.devices!.open(process, agent, device);
    if (err === 0) this.ranges?.subscribed(mm);
    return { err };
  }

  /** A command to a device: what it copies goes through the buffer of the process. */
  private command(process: number, agent: number, name: DeviceName, words: readonly number[]): Answer {
    const [device, region, page, npages, ...values] = words as [number, number, number, number];
    const ptr = name === 'dwrite' ? values.slice(0, npages) : [];
    const buffer = this.fill(process, ptr);
    const none = { err: EBADF, cpages: 0, faults: 0 };
    const cmd = { addr: region * this.stride + page, npages, ptr };
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
        return { err, counts, data: this.fill(process, ptr).slice(0, npages) };
      default:
        return { err, counts };
    }
  }

  /** A driver copies contents to the buffer of a process. */
  private fill(process: number, contents: readonly number[]): bigint[] {
    const buffer = this.buffers[process]!;
    contents.forEach((position, i) => (buffer[i] = this.valueOf(position)));
    return buffer;
  }

  private killed({ mm, agent }: Place, signal: Signal, addr: number): Answer {
    if (signal === 'OOM') throw new Error('the machine is too small for this script');
    if (signal === 'SIGBUS') return { err: 0, signal: { number: SIGBUS, code: BUS_ADRERR } };
    return { err: 0, signal: { number: SIGSEGV, code: this.run(agent, () => segvCode(mm, addr)) } };
  }

  private fork(parent: number, child: number): Answer {
    const { mm: oldmm, agent } = this.place(parent)!;
    const { mm } = this.places[this.lives.fork(parent, child)]!;
    this.ranges?.begin(mm);
    const err = this.run(agent, () => forkInto(mm, oldmm));
    if (err === -ENOMEM) throw new Error('the machine is too small for this script');
    this.pins.fork(parent, child);
    return { err: -err };
  }

  private exit(process: number): void {
    const { mm, agent } = this.place(process)!;
    const mapped = this.run(agent, () => filesOf(mm));
    this.run(agent, () => exitMm(mm));
    // The last who has a device's file open releases the mirror, whoever is mirrored.
    for (const file of this.lives.exit(process))
      if (file === GUP_TEST_FILE) this.pins.exit(process, agent);
      else this.devices!.release(file, agent);
    // Those that VMAs had were left to task_work_run() before, and so come after.
    for (const file of mapped.reverse()) this.run(agent, () => fput(file));
  }

  private observe(number: number, range: readonly number[]): string {
    const [region, first, nr] = range as [number, number, number];
    const { mm } = this.place(number)!;
    const shown = this.run(this.observer, () => observe(mm, region * this.stride + first, nr));
    const entries = shown.map((page, i) => ` ${first + i}:${this.names.show(page)}`);
    return `  P${number} R${region}[${first}..${first + nr}):${entries.join('')}`;
  }
}

function* nothing(): Path {}
