// SPDX-License-Identifier: MIT
import { request, type Path } from '../core/path.js';
import { documentedKnobs, type Knobs } from '../linux/knobs.js';
import { Kernel } from '../linux/kernel.js';
import { userLoad, userStore } from '../linux/arch/fault.js';
import { ENOMEM } from '../linux/include/errno.js';
import { GUP_PIN_COUNTING_BIAS, VM, type Mm, type Page } from '../linux/include/mm_types.js';
import { dup_mmap } from '../linux/kernel/fork.js';
import { rcu_core } from '../linux/kernel/rcu/tree.js';
import { FOLL, unpin_user_page } from '../linux/mm/gup.js';
import { pin_user_pages_fast } from '../linux/mm/gup-slow.js';
import { exit_mmap, vm_mmap, vm_munmap } from '../linux/mm/mmap.js';
import type { TlbFill, TlbFlush } from '../machine/machine.js';
import { Use } from '../machine/machine.js';
import { lockdep, watchAlways } from '../properties/index.js';
import type { NodeMonitor } from '../core/scenario.js';

export interface WorkloadOptions {
  readonly seed: number;
  readonly tlb?: TlbFlush;
  readonly fill?: TlbFill;
  readonly frames?: number;
  /** Virtual pages of each process. */
  readonly pages?: number;
  readonly ptrsPerPte?: number;
  /** Now and then a process forks, and the child exits. */
  readonly fork?: boolean;
  readonly knobs?: Partial<Knobs>;
}

/** Runs a path as an agent, from its start to its end. */
export type Runner = <T>(agent: number, path: () => Path<T>) => T;

/** What a process should see: by page its contents, undefined where nothing is mapped. */
interface Process {
  readonly mm: Mm;
  /** Its threads, one on each CPU. */
  readonly threads: readonly number[];
  contents: (number | undefined)[];
}

interface Pin {
  readonly owner: Process;
  readonly addr: number;
  readonly page: Page;
  /** The owner has not unmapped the address since. */
  mapped: boolean;
}

const CPUS = 2;
const MAX_PINS = 12;

/**
 * Random operations of two processes on one kernel: mmap, touch, munmap, pin, DMA, unpin, fork and exit. Beside the
 * kernel it keeps what each page should contain, and compares what loads return: DATA. The runner decides how the paths
 * are run.
 */
export class Workload {
  readonly kernel: Kernel;
  readonly properties: readonly string[];
  /** Operations by name, how often. */
  readonly done = new Map<string, number>();
  private readonly processes: readonly Process[];
  private readonly child: Process | undefined;
  private childLives = false;
  private pins: Pin[] = [];
  private state: number;
  private written = 0;

  constructor(private readonly options: WorkloadOptions) {
    this.state = options.seed | 0;
    const pages = options.pages ?? 64;
    this.kernel = new Kernel({
      machine: {
        cpus: CPUS,
        tlb: options.tlb ?? 'ipi',
        fill: options.fill ?? 'demand',
        memory: 'sc',
        frames: options.frames ?? 96,
        ptrsPerPte: options.ptrsPerPte ?? 8,
        pae: undefined,
        pageWalkCache: false,
        data: true,
      },
      release: '6.12',
      knobs: { ...documentedKnobs(), ...options.knobs },
      hotplug: false,
      thp: false,
      rcuCallbacks: 1,
    });
    const { kernel } = this;
    kernel.system.growable = true;
    const process = (name: string): Process => {
      const mm = kernel.addMm(name, pages, [0, 1]);
      const threads = [0, 1].map(
        (cpu) =>
          kernel.addTask({
            name: `${name}${cpu}`,
            cpu,
            daemon: false,
            fair: true,
            mm,
            start: () => nothing(),
          }).agent,
      );
      return { mm, threads, contents: Array<undefined>(pages).fill(undefined) };
    };
    this.processes = [process('P'), process('Q')];
    this.child = options.fork === true ? process('C') : undefined;
    kernel.addTask({ name: 'rcu', cpu: -1, daemon: true, fair: true, atomic: true, start: () => rcu_core() });
    this.properties = [...watchAlways(kernel), 'DATA'];
  }

  monitor(): NodeMonitor {
    return lockdep(this.kernel.system);
  }

  /** A number below `count`, of the seeded sequence. */
  choose(count: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % count;
  }

  /** Runs one random operation; returns its name. Throws if the contents are not what they should be. */
  step(run: Runner): string {
    const process = this.processes[this.choose(2)]!;
    const name = this.operation(process, run);
    this.done.set(name, (this.done.get(name) ?? 0) + 1);
    return name;
  }

  /** Unpins and unmaps everything. */
  finish(run: Runner): void {
    while (this.pins.length > 0) this.unpin(0, run);
    this.exitChild(run);
    for (const { mm, threads } of this.processes) run(threads[0]!, () => exit_mmap(mm));
  }

  /** After {@link finish}: what is still in use. */
  leftover(): string[] {
    return this.kernel.mem_map
      .filter((page) => page.frame.use.value !== Use.FREE)
      .map((page) => `f${page.pfn} is ${page.frame.use.type.show(page.frame.use.value)}`);
  }

  private operation(process: Process, run: Runner): string {
    const { mm, threads, contents } = process;
    const agent = threads[this.choose(CPUS)]!;
    const roll = this.choose(this.child === undefined ? 96 : 100);
    // Mostly where something is mapped.
    let addr = this.choose(contents.length);
    for (let i = 0; i < 2 && contents[addr] === undefined; i++) addr = this.choose(contents.length);
    if (roll < 12) {
      const len = 1 + this.choose(Math.min(12, contents.length - addr));
      if (run(agent, () => vm_mmap(mm, addr, len, VM.READ | VM.WRITE)) !== 0) return 'mmap failed';
      this.forget(process, addr, len);
      contents.fill(0, addr, addr + len);
      return 'mmap';
    }
    if (roll < 24) {
      const len = 1 + this.choose(Math.min(12, contents.length - addr));
      if (run(agent, () => vm_munmap(mm, addr, len)) !== 0) return 'munmap failed';
      this.forget(process, addr, len);
      contents.fill(undefined, addr, addr + len);
      return 'munmap';
    }
    if (roll < 52) return this.store(process, agent, addr, run);
    if (roll < 72) return this.load(process, agent, addr, run);
    if (roll < 82 && this.pins.length < MAX_PINS) {
      const { pages, err } = run(agent, () => pin_user_pages_fast(addr, 1, FOLL.WRITE));
      const page = pages[0];
      if (page === undefined) {
        const allowed = err === -ENOMEM || contents[addr] === undefined;
        this.expect(allowed, `${mm.name} can't pin page ${addr}: ${err}`);
        return 'pin refused';
      }
      this.expect(contents[addr] !== undefined, `${mm.name} pins page ${addr}, where nothing is mapped`);
      this.kernel.hold(page.pfn, GUP_PIN_COUNTING_BIAS);
      this.pins.push({ owner: process, addr, page, mapped: true });
      return 'pin';
    }
    if (roll < 92 && this.pins.length > 0) {
      this.unpin(this.choose(this.pins.length), run);
      return 'unpin';
    }
    if (roll < 96 && this.pins.length > 0) {
      const { owner, addr: at, page, mapped } = this.pins[this.choose(this.pins.length)]!;
      const value = ++this.written;
      run(agent, () => dma(this.kernel, page, value));
      if (mapped) owner.contents[at] = value;
      return 'dma';
    }
    const { child } = this;
    if (child === undefined) return this.store(process, agent, addr, run);
    if (this.childLives) {
      for (let i = 0; i < 4; i++) {
        const thread = child.threads[this.choose(CPUS)]!;
        const at = this.choose(contents.length);
        if (this.choose(2) === 0) this.store(child, thread, at, run);
        else this.load(child, thread, at, run);
      }
      this.exitChild(run);
      return 'exit';
    }
    const err = run(agent, () => dup_mmap(child.mm, mm));
    this.childLives = true;
    child.contents = [...contents];
    if (err === 0) return 'fork';
    this.exitChild(run);
    return 'fork failed';
  }

  private store(process: Process, agent: number, addr: number, run: Runner): string {
    const value = ++this.written;
    const signal = run(agent, () => userStore(addr, value));
    const mapped = process.contents[addr] !== undefined;
    if (signal === undefined) {
      this.expect(mapped, `${process.mm.name} stores to page ${addr}, where nothing is mapped`);
      process.contents[addr] = value;
      return 'store';
    }
    this.expect(signal === 'OOM' || !mapped, `${process.mm.name} dies of ${signal} at page ${addr}`);
    return signal;
  }

  private load(process: Process, agent: number, addr: number, run: Runner): string {
    const value = run(agent, () => userLoad(addr));
    const expected = process.contents[addr];
    if (typeof value === 'string') {
      this.expect(
        value === 'OOM' || expected === undefined,
        `${process.mm.name} dies of ${value} at page ${addr}`,
      );
      return value;
    }
    this.expect(
      value === expected,
      `${process.mm.name} loads ${value} from page ${addr}, and ${expected ?? 'nothing'} was stored`,
    );
    return 'load';
  }

  private unpin(index: number, run: Runner): void {
    const [pin] = this.pins.splice(index, 1);
    const { owner, page } = pin!;
    this.kernel.hold(page.pfn, -GUP_PIN_COUNTING_BIAS);
    run(owner.threads[0]!, () => unpin_user_page(page));
  }

  private exitChild(run: Runner): void {
    const { child } = this;
    if (child === undefined || !this.childLives) return;
    run(child.threads[0]!, () => exit_mmap(child.mm));
    this.childLives = false;
  }

  /** The process has unmapped these pages: what is still pinned there is not what it sees. */
  private forget(process: Process, addr: number, len: number): void {
    for (const pin of this.pins)
      if (pin.owner === process && pin.addr >= addr && pin.addr < addr + len) pin.mapped = false;
  }

  private expect(holds: boolean, otherwise: string): void {
    if (!holds) throw new Error(`DATA: ${otherwise} (seed ${this.options.seed})`);
  }
}

function* nothing(): Path {}

/** A device writes to a page that is pinned for it. */
function* dma(kernel: Kernel, page: Page, value: number): Path {
  yield* request(kernel.machine.op.dmaWrite, page.pfn + 1, value);
}
