// SPDX-License-Identifier: MIT
import { request, type Path } from '../core/path.js';
import type { NodeMonitor } from '../core/scenario.js';
import { userAdd, userLoad, userStore } from '../linux/arch/fault.js';
import { ENOMEM } from '../linux/include/errno.js';
import { GUP_PIN_COUNTING_BIAS, type Mm, type Page } from '../linux/include/mm_types.js';
import { dup_mmap, mm_init } from '../linux/kernel/fork.js';
import { rcu_core } from '../linux/kernel/rcu/tree.js';
import { Kernel } from '../linux/kernel.js';
import { type Knobs, RELEASES } from '../linux/knobs.js';
import { DmirrorDevice } from '../linux/lib/test_hmm-devmem.js';
import { HMM_DMIRROR_MEMORY_DEVICE } from '../linux/lib/test_hmm_uapi.js';
import { FOLL, unpin_user_page } from '../linux/mm/gup.js';
import { pin_user_pages_fast } from '../linux/mm/gup-slow.js';
import { do_madvise, MADV } from '../linux/mm/madvise.js';
import { exit_mmap, MAP, vm_mmap_pgoff, vm_munmap } from '../linux/mm/mmap.js';
import { do_mprotect_pkey, PROT_NONE, PROT_READ, PROT_WRITE } from '../linux/mm/mprotect.js';
import { lockdep, watchAlways } from '../properties/index.js';
import { leftover } from './leftover.js';
import { addDmirror } from './setup/dmirror.js';
import type { Process, Runner, Target, WorkloadOptions } from './workload-checks.js';
import { WorkloadDevices } from './workload-devices.js';

export type { Runner, WorkloadOptions } from './workload-checks.js';

const PROCESSES = 4;
const CPUS = 2;
const MAX_PINS = 12;
/** Pages of a device's memory: now and then they run out as well. */
const CHUNK_PAGES = 5;
const CHUNKS = 2;
const RW = PROT_READ | PROT_WRITE;

/** With the test driver of 6.12 itself nearly every run would end at the same defect. */
const FIXED: Partial<Knobs> = { 'test_hmm.backing_page': 'entered' };

/**
 * Random operations of four processes on one kernel, of which any may fork and any but the last may exit; each has a
 * device with memory of its own that mirrors it. Beside the kernel it keeps what each page should contain, and compares what CPUs and devices
 * load: DATA. The runner decides how the paths are run.
 */
export class Workload extends WorkloadDevices {
  readonly kernel: Kernel;
  readonly properties: readonly string[];
  /** Operations by name, how often. */
  readonly done = new Map<string, number>();
  private readonly processes: readonly Process[];

  constructor(options: WorkloadOptions) {
    super(options);
    const pages = options.pages ?? 24;
    const ptrsPerPte = options.ptrsPerPte ?? 8;
    this.kernel = new Kernel({
      machine: {
        cpus: CPUS,
        tlb: options.tlb ?? 'ipi',
        fill: options.fill ?? 'demand',
        memory: 'sc',
        // Now and then they run out.
        frames: options.frames ?? 48,
        ptrsPerPte,
        pae: undefined,
        pageWalkCache: false,
        data: true,
      },
      release: options.release ?? '6.12',
      knobs: { ...RELEASES[options.release ?? '6.12'], ...FIXED, ...options.knobs },
      hotplug: false,
      thp: false,
      rcuCallbacks: 1,
      zeroPage: true,
      anonVmaChains: true,
    });
    const { kernel } = this;
    kernel.system.growable = true;
    this.processes = Array.from({ length: PROCESSES }, (_, number) => this.place(number, pages));
    this.processes[0]!.lives = true;
    kernel.addTask({ name: 'rcu', cpu: -1, daemon: true, fair: true, atomic: true, start: () => rcu_core() });
    this.properties = [...watchAlways(kernel), 'DATA'];
  }

  /** Set-up: the place for a process, with its device. */
  private place(number: number, pages: number): Process {
    const { kernel } = this;
    const cpus = Array.from({ length: CPUS }, (_, cpu) => cpu);
    const mm = kernel.addMm(`P${number}`, pages, cpus);
    // Invariants look at the VMAs that are there when they begin.
    for (let vma = 0; vma <= pages; vma++) kernel.addVma(mm);
    const threads = cpus.map((cpu) => {
      const name = `${mm.name}.${cpu}`;
      return kernel.addTask({ name, cpu, daemon: false, fair: true, mm, start: () => nothing() }).agent;
    });
    const mdevice = new DmirrorDevice(kernel, `hmm_dmirror${number}`, number, {
      zone_device_type: HMM_DMIRROR_MEMORY_DEVICE.PRIVATE,
      chunkPages: CHUNK_PAGES,
      chunks: CHUNKS,
    });
    const dmirror = addDmirror(kernel, mm, `gpu${number}`, mdevice);
    return { mm, threads, dmirror, pages: unmapped(pages), lives: false, mirrored: false };
  }

  monitor(): NodeMonitor {
    return lockdep(this.kernel.system);
  }

  /** Runs one random operation; returns its name. Throws if the contents are not what they should be. */
  step(run: Runner): string {
    const living = this.processes.filter(({ lives }) => lives);
    const process = living[this.choose(living.length)]!;
    // Mostly where something may be accessed.
    let addr = this.choose(process.pages.length);
    for (let i = 0; i < 4 && (process.pages[addr]?.prot ?? PROT_NONE) === PROT_NONE; i++)
      addr = this.choose(process.pages.length);
    const name = this.operation({ process, agent: process.threads[this.choose(CPUS)]!, addr, run });
    this.done.set(name, (this.done.get(name) ?? 0) + 1);
    return name;
  }

  /** Ends all pins and processes. */
  finish(run: Runner): void {
    const { processes } = this;
    while (this.pins.length > 0) this.unpin(processes[0]!.threads[0]!, 0, run);
    for (const process of processes) if (process.lives) this.exit(process, process.threads[0]!, run);
  }

  /** After {@link finish}: what is still in use. */
  leftover(): string[] {
    return leftover(this.kernel);
  }

  private operation(target: Target): string {
    const { process, agent, run } = target;
    const roll = this.choose(112);
    if (roll >= 111) return this.releaseMemory(target);
    if (roll >= 109) return this.snapshot(target);
    if (roll >= 106) return this.toSystem(target);
    if (roll >= 100) return this.toDevice(target);
    if (roll < 9) return this.mmap(target);
    if (roll < 14) return this.munmap(target);
    if (roll < 22) return this.mprotect(target);
    if (roll < 27) return this.dontneed(target);
    if (roll < 40) return this.store(target);
    if (roll < 52) return this.load(target);
    if (roll < 58) return this.add(target);
    if (roll < 66) return this.deviceRead(target);
    if (roll < 74) return this.deviceWrite(target);
    if (roll < 82) return this.deviceAtomic(target);
    if (roll < 86) return this.exclusive(target);
    if (roll < 87) return this.close(process, agent, run);
    if (roll < 90 && this.pins.length < MAX_PINS) return this.pin(target);
    if (roll < 93 && this.pins.length > 0) return this.unpin(agent, this.choose(this.pins.length), run);
    if (roll < 95 && this.pins.length > 0) return this.dma(agent, run);
    const free = this.processes.find(({ lives }) => !lives);
    if (roll < 98) return free === undefined ? this.store(target) : this.fork(process, free, agent, run);
    const alone = this.processes.filter(({ lives }) => lives).length === 1;
    return alone ? this.load(target) : this.exit(process, agent, run);
  }

  private mmap(target: Target): string {
    const { process, agent, addr, run } = target;
    const len = Math.min(2 * this.length(target), process.pages.length - addr);
    const prot = this.choose(4) === 0 ? PROT_READ : RW;
    const call = (): Path<number> => vm_mmap_pgoff(process.mm, undefined, addr, len, prot, MAP.PRIVATE);
    if (run(agent, call) !== 0) return this.failed('mmap');
    this.forget(process, addr, len);
    for (let at = addr; at < addr + len; at++) process.pages[at] = { contents: 0, prot };
    return 'mmap';
  }

  private munmap(target: Target): string {
    const { process, agent, addr, run } = target;
    const len = this.length(target);
    if (run(agent, () => vm_munmap(process.mm, addr, len)) !== 0) return this.failed('munmap');
    this.forget(process, addr, len);
    process.pages.fill(undefined, addr, addr + len);
    return 'munmap';
  }

  private mprotect(target: Target): string {
    const { process, agent, addr, run } = target;
    const len = this.length(target);
    const prot = [PROT_NONE, PROT_READ, PROT_READ, RW, RW, RW, RW, RW][this.choose(8)]!;
    const err = run(agent, () => do_mprotect_pkey(process.mm, addr, len, prot));
    let changed = 0;
    while (changed < len && process.pages[addr + changed] !== undefined)
      process.pages[addr + changed++]!.prot = prot;
    this.expect((err === 0) === (changed === len), `mprotect() of ${process.mm.name} returns ${err}`);
    return err === 0 ? 'mprotect' : 'mprotect refused';
  }

  private dontneed(target: Target): string {
    const { process, agent, addr, run } = target;
    const len = this.length(target);
    const err = run(agent, () => do_madvise(process.mm, addr, len, MADV.DONTNEED));
    const range = process.pages.slice(addr, addr + len);
    const whole = !range.includes(undefined);
    this.expect((err === 0) === whole, `madvise() of ${process.mm.name} returns ${err}`);
    this.forget(process, addr, len);
    for (const page of range) if (page !== undefined) page.contents = 0;
    return whole ? 'dontneed' : 'dontneed refused';
  }

  private store(target: Target): string {
    const { agent, addr, run } = target;
    const value = ++this.written;
    const signal = run(agent, () => userStore(addr, value));
    if (signal !== undefined) return this.refused(target, PROT_WRITE, signal);
    this.allowed(target, PROT_WRITE, 'stores to').contents = value;
    return 'store';
  }

  private load(target: Target): string {
    const { agent, addr, run } = target;
    const value = run(agent, () => userLoad(addr));
    if (typeof value === 'string') return this.refused(target, PROT_READ, value);
    this.same(target, value, this.allowed(target, PROT_READ, 'loads from').contents);
    return 'load';
  }

  private add(target: Target): string {
    const { agent, addr, run } = target;
    const value = run(agent, () => userAdd(addr));
    if (typeof value === 'string') return this.refused(target, PROT_WRITE, value);
    this.same(target, value, this.allowed(target, PROT_WRITE, 'adds to').contents++);
    return 'add';
  }

  private pin(target: Target): string {
    const { process, agent, addr, run } = target;
    const { pages, err } = run(agent, () => pin_user_pages_fast(addr, 1, FOLL.WRITE));
    const page = pages[0];
    if (page === undefined) return this.refused(target, PROT_WRITE, err === -ENOMEM ? 'OOM' : 'pin refused');
    this.allowed(target, PROT_WRITE, 'pins');
    this.kernel.hold(page.pfn, GUP_PIN_COUNTING_BIAS);
    this.pins.push({ owner: process, addr, page, mapped: true });
    return 'pin';
  }

  private unpin(agent: number, index: number, run: Runner): string {
    const [pin] = this.pins.splice(index, 1);
    const { page } = pin!;
    this.kernel.hold(page.pfn, -GUP_PIN_COUNTING_BIAS);
    run(agent, () => unpin_user_page(page));
    return 'unpin';
  }

  private dma(agent: number, run: Runner): string {
    const { owner, addr, page, mapped } = this.pins[this.choose(this.pins.length)]!;
    const value = ++this.written;
    run(agent, () => dma(this.kernel, page, value));
    if (mapped) owner.pages[addr]!.contents = value;
    return 'dma';
  }

  private fork(process: Process, child: Process, agent: number, run: Runner): string {
    const err = run(agent, () => forkInto(child.mm, process.mm));
    child.lives = true;
    child.pages = process.pages.map((page) => (page === undefined ? undefined : { ...page }));
    if (err === 0) return 'fork';
    this.exit(child, child.threads[0]!, run);
    return this.failed('fork');
  }

  /** The mm goes before the process's files are closed. */
  private exit(process: Process, agent: number, run: Runner): string {
    run(agent, () => exit_mmap(process.mm));
    this.close(process, agent, run);
    this.forget(process, 0, process.pages.length);
    process.lives = false;
    process.pages = unmapped(process.pages.length);
    return 'exit';
  }
}

function unmapped(pages: number): undefined[] {
  return Array<undefined>(pages).fill(undefined);
}

function* nothing(): Path {}

function* forkInto(mm: Mm, oldmm: Mm): Path<number> {
  yield* mm_init(mm);
  return yield* dup_mmap(mm, oldmm);
}

/** A device writes to a page that is pinned for it. */
function* dma(kernel: Kernel, page: Page, value: number): Path {
  yield* request(kernel.machine.op.dmaWrite, page.pfn + 1, value);
}
