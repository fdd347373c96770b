// SPDX-License-Identifier: MIT
/**
 * What the tests of tools/testing/selftests/mm/hmm-tests.c run on: a kernel with the test driver's devices, a program that
 * makes system calls, and a judge. Every invariant is watched at every step, counts and locks after every call, and at the
 * end nothing may be left in use.
 */
import type { Path } from '../../src/core/path.js';
import type { NodeMonitor } from '../../src/core/scenario.js';
import { Straight } from '../../src/explore/straight.js';
import { userLoad, userStore } from '../../src/linux/arch/fault.js';
import { fput } from '../../src/linux/fs/file_table.js';
import type { Inode, Mm } from '../../src/linux/include/mm_types.js';
import { rcu_core } from '../../src/linux/kernel/rcu/tree.js';
import { Kernel } from '../../src/linux/kernel.js';
import type { Knobs } from '../../src/linux/knobs.js';
import type { Dmirror } from '../../src/linux/lib/test_hmm.js';
import {
  dmirror_fops_open,
  dmirror_fops_release,
  dmirror_fops_unlocked_ioctl,
} from '../../src/linux/lib/test_hmm-fops.js';
import { DmirrorDevice } from '../../src/linux/lib/test_hmm-devmem.js';
import { dmirror_fops } from '../../src/linux/lib/test_hmm-mmap.js';
import {
  HMM_DMIRROR,
  HMM_DMIRROR_MEMORY_DEVICE,
  type HmmDmirrorCmd,
} from '../../src/linux/lib/test_hmm_uapi.js';
import { __gup_test_ioctl, type GupCommand } from '../../src/linux/mm/gup_test.js';
import { do_madvise } from '../../src/linux/mm/madvise.js';
import { exit_mmap, MAP, vm_mmap_pgoff, vm_munmap } from '../../src/linux/mm/mmap.js';
import { do_mprotect_pkey } from '../../src/linux/mm/mprotect.js';
import { shmem_file_setup } from '../../src/linux/mm/shmem.js';
import { shmem_file_read_iter, shmem_file_write_iter } from '../../src/linux/mm/shmem-rw.js';
import { lru_add_drain } from '../../src/linux/mm/swap.js';
import { addDmirror } from '../../src/litmus/setup/dmirror.js';
import { leftover } from '../../src/litmus/leftover.js';
import { lockdep, watchAlways } from '../../src/properties/index.js';
import { forkInto, type Job, nothing, thread } from './fixtures/paths.js';

export { MADV } from '../../src/linux/mm/madvise.js';
export { MAP } from '../../src/linux/mm/mmap.js';
export { PROT_NONE, PROT_READ, PROT_WRITE } from '../../src/linux/mm/mprotect.js';
export { FOLL } from '../../src/linux/mm/gup.js';
export { HMM_DMIRROR_PROT } from '../../src/linux/lib/test_hmm_uapi.js';
export * from '../../src/linux/include/errno.js';

/** Pages that one PMD maps. */
export const PTRS_PER_PTE = 8;
/** Frames beyond those that a buffer takes: page tables, and what per-CPU batches keep. */
const SPARE_FRAMES = 70;

/** Steps of one call: one that takes more is in a loop. */
const MOST_STEPS = 50_000;
const TURNS = 1009;
const DEFAULT_PACE = 16;

/** Numbers of the driver's devices, as in the names of their files. */
export const HMM_PRIVATE_DEVICE_ONE = 0;
export const HMM_PRIVATE_DEVICE_TWO = 1;
export const HMM_COHERENCE_DEVICE_ONE = 2;
export const HMM_COHERENCE_DEVICE_TWO = 3;

export interface MachineSpec {
  /** Pages that the program maps at once. */
  readonly pages: number;
  /** Devices that the program opens. */
  readonly units: readonly number[];
  /** Devices that its child opens. */
  readonly childUnits?: readonly number[];
  /** Folios that a PMD maps. */
  readonly thp?: boolean;
  readonly knobs?: Partial<Knobs>;
}

/** An open file: of a device, or in memory. A forked child shares it. */
export class File {
  count = 1;
  constructor(
    readonly owner: Process,
    readonly of: { readonly dmirror: Dmirror; readonly unit: number } | { readonly inode: Inode },
  ) {}

  get dmirror(): Dmirror {
    if (!('dmirror' in this.of)) throw new Error('expected the file of a device');
    return this.of.dmirror;
  }

  get inode(): Inode {
    if (!('inode' in this.of)) throw new Error('expected a file in memory');
    return this.of.inode;
  }
}

/** A page of the program's memory can't be accessed. */
export class Killed extends Error {
  override readonly name = 'Killed';
}

/** A process of the program: its system calls return what the kernel returns, 0 or a negative error number. */
export class Process {
  readonly files: File[] = [];
  private mapped: { start: number; end: number }[] = [];

  constructor(
    private readonly machine: Machine,
    readonly mm: Mm,
    private readonly agent: number,
    private readonly dmirrors: ReadonlyMap<number, Dmirror>,
    private readonly job?: Job,
  ) {}

  private call<T>(path: () => Path<T>): T {
    return this.machine.call(this.agent, path);
  }

  /** Maps memory, or a file, at the first address with room for it; returns that address. */
  mmap(pages: number, prot: number, flags: number, file?: File): number {
    const addr = this.room(pages);
    const inode =
      file === undefined ? undefined : 'unit' in file.of ? this.machine.deviceFile(file.of.unit) : file.inode;
    const err = this.call(() =>
      vm_mmap_pgoff(this.mm, inode, addr, pages, prot, flags | MAP.FIXED_NOREPLACE),
    );
    if (err !== 0) throw new Error(`mmap() fails: ${err}`);
    this.mapped.push({ start: addr, end: addr + pages });
    return addr;
  }

  munmap(addr: number, pages: number): number {
    const err = this.call(() => vm_munmap(this.mm, addr, pages));
    if (err === 0) this.forget(addr, addr + pages);
    return err;
  }

  mprotect(addr: number, pages: number, prot: number): number {
    return this.call(() => do_mprotect_pkey(this.mm, addr, pages, prot));
  }

  madvise(addr: number, pages: number, behavior: number): number {
    return this.call(() => do_madvise(this.mm, addr, pages, behavior));
  }

  load(addr: number): number {
    const value = this.machine.run(this.agent, () => userLoad(addr));
    if (typeof value === 'string') throw new Killed(`${value} at a load from page ${addr}`);
    return value;
  }

  /** What pages [addr, addr + pages) contain. */
  loads(addr: number, pages: number): number[] {
    return Array.from({ length: pages }, (_, i) => this.load(addr + i));
  }

  store(addr: number, value: number): void {
    const signal = this.machine.run(this.agent, () => userStore(addr, value));
    if (signal !== undefined) throw new Killed(`${signal} at a store to page ${addr}`);
  }

  /** A child, with the parent's files open: what it does, what the parent does while it lives, and its end. */
  fork(child: (process: Process) => void, parent: () => void = nothingElse): void {
    const { child: forked } = this.machine;
    const err = this.call(() => forkInto(forked.mm, this.mm));
    if (err !== 0) throw new Error(`fork() fails: ${err}`);
    forked.mapped = this.mapped.map((range) => ({ ...range }));
    for (const file of this.files) {
      file.count++;
      forked.files.push(file);
    }
    child(forked);
    parent();
    forked.exit();
  }

  /** The mm goes before the files are closed. */
  exit(): void {
    this.call(() => exit_mmap(this.mm));
    while (this.files.length > 0) this.close(this.files[0]!);
    this.mapped = [];
  }

  /** Opens the file of a device. */
  open(unit: number): File {
    const dmirror = this.dmirrors.get(unit);
    if (dmirror === undefined) throw new Error(`expected the test to say that it opens device ${unit}`);
    const err = this.call(() => dmirror_fops_open(dmirror));
    if (err !== 0) throw new Error(`open() fails: ${err}`);
    return this.opened({ dmirror, unit });
  }

  /** A file in memory, empty. */
  create(pages: number): File {
    const inode = this.call(() => shmem_file_setup(pages));
    if (inode === undefined) throw new Error('expected an inode');
    return this.opened({ inode });
  }

  private opened(of: File['of']): File {
    const file = new File(this, of);
    this.files.push(file);
    return file;
  }

  close(file: File): number {
    this.files.splice(this.files.indexOf(file), 1);
    if (--file.count === 0)
      this.call(() => ('inode' in file.of ? fput(file.inode) : dmirror_fops_release(file.dmirror)));
    return 0;
  }

  pread(file: File, pages: number): number[] | number {
    return this.call(() => shmem_file_read_iter(file.inode, 0, pages));
  }

  pwrite(file: File, contents: readonly number[]): number {
    return this.call(() => shmem_file_write_iter(file.inode, 0, contents));
  }

  ioctl(file: File, request: number, cmd: HmmDmirrorCmd): number {
    return this.call(() => dmirror_fops_unlocked_ioctl(file.dmirror, request, cmd));
  }

  /** How many pages the driver of GUP's tests got. */
  gup_test(cmd: GupCommand, addr: number, pages: number, flags: number): number {
    return this.call(() => __gup_test_ioctl(cmd, addr, pages, pages, flags));
  }

  /**
   * Another thread unmaps pages: a step after one in `pace` of what this one does next, and the rest in {@link join}.
   */
  munmapBeside(addr: number, pages: number, pace: number): void {
    Object.assign(this.job!, { addr, pages });
    this.machine.beside(this.job!, pace);
  }

  join(): void {
    this.machine.settle();
    const { addr, pages } = this.job!;
    this.forget(addr, addr + pages);
  }

  private room(pages: number): number {
    // Page 0 stays free: no table begins where a buffer does.
    let at = 1;
    for (const { start, end } of this.mapped.sort((x, y) => x.start - y.start)) {
      if (start - at >= pages) break;
      at = Math.max(at, end);
    }
    if (at + pages > this.mm.space.pages) throw new Error(`expected room for ${pages} pages`);
    return at;
  }

  private forget(start: number, end: number): void {
    this.mapped = this.mapped.flatMap((range) =>
      [
        { start: range.start, end: Math.min(range.end, start) },
        { start: Math.max(range.start, end), end: range.end },
      ].filter((left) => left.start < left.end),
    );
  }
}

function nothingElse(): void {}

/** One booted kernel. */
export class Machine {
  readonly kernel: Kernel;
  readonly properties: readonly string[];
  readonly main: Process;
  readonly child: Process;
  private readonly straight: Straight;
  /** Other threads take a step after one step in so many, on an average. */
  private pace = DEFAULT_PACE;
  private readonly deviceFiles = new Map<number, Inode>();

  constructor({ pages, units, childUnits = [], thp = false, knobs = {} }: MachineSpec, seed = 1) {
    // Page 0 stays free, and the last table is a whole one.
    const space = PTRS_PER_PTE * Math.ceil((pages + 2) / PTRS_PER_PTE);
    const kernel = (this.kernel = new Kernel({
      machine: {
        cpus: 2,
        tlb: 'ipi',
        fill: 'demand',
        memory: 'sc',
        frames: SPARE_FRAMES + 3 * pages,
        ptrsPerPte: PTRS_PER_PTE,
        pae: undefined,
        pageWalkCache: true,
        data: true,
      },
      release: '6.12',
      knobs,
      hotplug: false,
      thp,
      rcuCallbacks: 1,
      zeroPage: true,
      shmemPages: pages,
      anonVmaChains: true,
      lruBatches: true,
    }));
    kernel.system.growable = true;
    for (const unit of units) this.deviceFiles.set(unit, kernel.addDeviceFile(dmirror_fops));
    const devices = new Map(
      [...new Set([...units, ...childUnits])].map((unit) => [
        unit,
        new DmirrorDevice(kernel, `hmm_dmirror${unit}`, unit, {
          zone_device_type:
            unit < HMM_COHERENCE_DEVICE_ONE
              ? HMM_DMIRROR_MEMORY_DEVICE.PRIVATE
              : HMM_DMIRROR_MEMORY_DEVICE.COHERENT,
          chunkPages: pages,
        }),
      ]),
    );
    const mms = ['P', 'C'].map((name) => kernel.addMm(name, space, [0, 1]));
    const task = (name: string, mm?: Mm): number =>
      kernel.addTask({ name, cpu: 0, daemon: false, fair: true, mm, start: nothing }).agent;
    const process = (mm: Mm, opens: readonly number[], job?: Job): Process => {
      const dmirrors = new Map(
        opens.map((unit) => [unit, addDmirror(kernel, mm, `${mm.name}.dmirror${unit}`, devices.get(unit))]),
      );
      return new Process(this, mm, task(mm.name, mm), dmirrors, job);
    };
    const [mm, childMm] = mms as [Mm, Mm];
    const job: Job = { pending: kernel.system.cell('unmap_buffer'), addr: 0, pages: 0 };
    this.main = process(mm, units, job);
    this.child = process(childMm, childUnits);
    const daemon = { daemon: true, fair: true } as const;
    kernel.addTask({ ...daemon, name: 'thread', cpu: 1, mm, start: () => thread(mm, job) });
    kernel.addTask({ ...daemon, name: 'rcu', cpu: -1, atomic: true, start: () => rcu_core() });
    // Invariants look at the VMAs that are there when they begin.
    for (const each of mms) for (let i = 0; i < 10; i++) kernel.addVma(each);
    this.properties = watchAlways(kernel);
    let state = seed;
    const random = (count: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return (state >> 8) % count;
    };
    // Whether a daemon has a turn is asked with a count of its own.
    const choose = (count: number): number => random(count === TURNS ? this.pace : count);
    const monitor = (): NodeMonitor => lockdep(kernel.system);
    this.straight = new Straight(kernel.system, { choose, monitor, limit: MOST_STEPS, turns: TURNS });
  }

  /** The device file of a device, as mmap() takes it. */
  deviceFile(unit: number): Inode {
    return this.deviceFiles.get(unit)!;
  }

  /** What a process does in user mode. */
  run<T>(agent: number, path: () => Path<T>): T {
    return this.straight.run(agent, path);
  }

  /** A system call; then counts and locks are judged. */
  call<T>(agent: number, path: () => Path<T>): T {
    const result = this.straight.run(agent, path);
    if (this.quiet()) this.settle();
    return result;
  }

  /** Whether no other thread is at work: nothing is judged while one is. */
  private quiet(): boolean {
    return this.kernel.system.cells.find(({ name }) => name === 'unmap_buffer')!.value === 0;
  }

  settle(): void {
    this.pace = DEFAULT_PACE;
    this.straight.settle();
    this.straight.judge();
    this.report();
  }

  beside(job: Job, pace: number): void {
    this.pace = pace;
    this.kernel.system.set(job.pending.at, 1);
  }

  /** LOCK-ORDER, CTX and LOCK-HELD are reported, not thrown. */
  private report(): void {
    for (const [name, detail] of this.straight.reports) throw new Error(`${name}: ${detail}`);
  }

  /** The program ends. Returns what is left in use. */
  finish(): string[] {
    this.main.exit();
    this.call(0, () => lru_add_drain());
    const subscribed = this.kernel.interval_subs.filter(({ in_tree }) => in_tree.value !== 0);
    return [...leftover(this.kernel), ...subscribed.map(({ in_tree }) => `${in_tree.name} is not 0`)];
  }
}

/** struct hmm_buffer: memory of the program, and the buffer that the driver copies to and from. */
export interface HmmBuffer {
  ptr: number;
  readonly size: number;
  mirror: number[];
  cpages: number;
  faults: number;
}

/** A buffer whose memory is mapped at `ptr`. */
export const hmmBuffer = (ptr: number, size: number): HmmBuffer => ({
  ptr,
  size,
  mirror: Array<number>(size).fill(0),
  cpages: 0,
  faults: 0,
});

/** Has the driver do something with the first `npages` pages of the buffer. */
export function hmm_dmirror_cmd(
  fd: File,
  request: keyof typeof HMM_DMIRROR,
  buffer: HmmBuffer,
  npages: number,
): number {
  const cmd: HmmDmirrorCmd = { addr: buffer.ptr, npages, ptr: buffer.mirror, cpages: 0, faults: 0 };
  const ret = fd.owner.ioctl(fd, HMM_DMIRROR[request], cmd);
  if (ret !== 0) return ret;
  buffer.cpages = cmd.cpages;
  buffer.faults = cmd.faults;
  return 0;
}

export const hmm_migrate_sys_to_dev = (fd: File, buffer: HmmBuffer, npages: number): number =>
  hmm_dmirror_cmd(fd, 'MIGRATE_TO_DEV', buffer, npages);

export const hmm_migrate_dev_to_sys = (fd: File, buffer: HmmBuffer, npages: number): number =>
  hmm_dmirror_cmd(fd, 'MIGRATE_TO_SYS', buffer, npages);

/** What the tests store to page `i` of a buffer, and what they store where that would go unnoticed. */
export const counted = (size: number, from = 1): number[] => Array.from({ length: size }, (_, i) => from + i);
export const others = (size: number): number[] => counted(size, 1000);
