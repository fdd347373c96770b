// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../core/path.js';
import { running } from '../core/running.js';
import type { Agent, Cell } from '../core/system.js';
import { frameRef, System } from '../core/system.js';
import { type Device, Machine, Use, type MachineOptions } from '../machine/machine.js';
import { defineIrqOps } from './arch/irqflags.js';
import type { FileOperations } from './include/fs.js';
import { AnonVma, Inode, Mm, Page, PG, type PtePointer, Rwsem, Vma } from './include/mm_types.js';
import {
  type MmuIntervalNotifier,
  type MmuNotifier,
  type MmuNotifierRange,
  MmuNotifierSubscriptions,
} from './include/mmu_notifier.js';
import { type CpuFbatches, FolioBatch } from './include/pagevec.js';
import { definePteOps } from './include/pgtable.js';
import { defineSrcuOps, SrcuStruct } from './kernel/rcu/srcu.js';
import { defineRcuOps, RcuState } from './kernel/rcu/tree.js';
import { defineRcuSyncOps } from './kernel/rcu/sync.js';
import { documentedKnobs, type KnobName, type Knobs, type KnobValue } from './knobs.js';
import { defineRwsemOps } from './kernel/locking/rwsem.js';
import { definePageIsolationOps, Hotplug } from './mm/memory_hotplug.js';
import { DevPagemap, type DevPagemapOps, MEMORY_DEVICE } from './include/memremap.js';
import { defineDevPagemapOps } from './mm/memremap.js';
import type { DmirrorDevice } from './lib/test_hmm-devmem.js';
import { defineDeferredOps } from './mm/mmu_notifier-deferred-ops.js';
import { defineMmuNotifierOps } from './mm/mmu_notifier-ops.js';
import { defineProposalOps } from './mm/mmu_notifier-proposals-ops.js';
import { defineVmaOps } from './mm/vma-tree.js';
import { defineSchedOps } from './kernel/sched/core.js';
import { defineWorkqueueOps, type WorkStruct } from './kernel/workqueue.js';
import { definePageAllocOps } from './mm/page_alloc.js';
import { defineVmscanOps, PglistData } from './mm/vmscan-direct.js';
import { defineSparseOps } from './mm/sparse.js';
import { __tlb_remove_table } from './mm/mmu_gather.js';
import { KsmStableNode } from './mm/ksm.js';
import { ksm_init, KsmThread } from './mm/ksm-thread.js';
import { defineAnonVmaOps } from './mm/rmap-anon_vma.js';
import { defineIntervalTreeOps } from './mm/interval_tree.js';
import { defineRmapOps } from './mm/rmap.js';
import { defineRmapBatchOps } from './mm/rmap-batch.js';
import { defineShmemOps } from './mm/shmem.js';
import { defineSwapOps, SwapInfo } from './mm/swapfile.js';

export interface KernelOptions {
  readonly machine: MachineOptions;
  readonly release: string;
  readonly knobs: Partial<Knobs>;
  /** struct pages can go away (memory hot-unplug, ZONE_DEVICE removal). */
  readonly hotplug: boolean;
  /** Slots of the swap area; 0: no swap. */
  readonly swapSlots?: number;
  /** Stable nodes of KSM; 0: no KSM. */
  readonly ksmNodes?: number;
  /** There are folios of more than one page, and PMDs that map a page. */
  readonly thp: boolean;
  /** Page tables that one PMD table has. Absent: the levels above page tables are folded. */
  readonly ptrsPerPmd?: number;
  /** Stores are tracked by the soft-dirty bit (CONFIG_MEM_SOFT_DIRTY). Absent: no entry has it. */
  readonly softDirty?: boolean;
  /** A read fault of anonymous memory maps the zero page. Absent: it allocates. */
  readonly zeroPage?: boolean;
  /** Files in memory (shmem): pages that one may have; 0: there are none. They are made as they are needed. */
  readonly shmemPages?: number;
  /** anon_vmas as in the kernel, with chains; absent: one for each mm, if the set-up makes it. */
  readonly anonVmaChains?: boolean;
  /** Folios reach the LRU lists, and locks of mlock() are counted, by way of per-CPU batches. Absent: at once, and no mlock(). */
  readonly lruBatches?: boolean;
  /** How many call_rcu() callbacks can be outstanding at once. */
  readonly rcuCallbacks: number;
  /** Even: invalidate_seq of an mm wraps there; 0: it does not. */
  readonly seqModulus?: number;
  /** Allocations may find memory low: then they reclaim, or wait for kswapd to reclaim. Absent: they fail where no frame is free. */
  readonly reclaim?: 'direct' | 'kswapd' | undefined;
}

function defineOps(kernel: Kernel) {
  return {
    ...defineIrqOps(kernel),
    ...defineRcuOps(kernel),
    ...definePageAllocOps(kernel),
    ...defineVmscanOps(kernel),
    ...defineRwsemOps(kernel.system),
    ...defineSchedOps(kernel.system),
    ...defineWorkqueueOps(kernel),
    ...defineVmaOps(kernel),
    ...defineRcuSyncOps(kernel),
    ...defineSparseOps(kernel),
    ...definePageIsolationOps(kernel),
    ...defineDevPagemapOps(kernel),
    ...defineIntervalTreeOps(kernel),
    ...defineRmapOps(kernel),
    ...defineAnonVmaOps(kernel),
    ...defineRmapBatchOps(kernel),
    ...defineSwapOps(kernel),
    ...defineShmemOps(kernel),
    ...definePteOps(kernel),
    ...defineSrcuOps(kernel),
    ...defineDeferredOps(kernel),
    ...defineMmuNotifierOps(kernel),
    ...defineProposalOps(kernel),
  };
}
/** Numbers of the operations that the kernel's files define. */
type KernelOps = ReturnType<typeof defineOps>;

/** struct task_struct: what `current` is. */
export interface Task {
  readonly name: string;
  readonly agent: number;
  readonly cpu: number;
  readonly mm: Mm | undefined;
  /** PF_MEMALLOC; undefined where allocations do not reclaim. */
  readonly flags: Cell | undefined;
}

/** One booted kernel on one machine: the pools that its paths work on. Paths find it through {@link current}. */
export class Kernel {
  readonly system: System;
  readonly machine: Machine;
  readonly knobs: Knobs;
  readonly mem_map: Page[] = [];
  readonly mms: Mm[] = [];
  /** Locks of the anon_vmas; an anon_vma is its index here, from 1. */
  readonly anon_vmas: Rwsem[] = [];
  /** The anon_vmas themselves, where chains are modelled, from 1; made as they are needed. */
  readonly anon_vma_pool: AnonVma[] | undefined;
  /** Files in memory, from 1; undefined where the scenario has none. */
  readonly inodes: Inode[] | undefined;
  /** Ranges of device memory: of the scenario's RAM that are taken for it (hot-unplug), and beyond RAM. */
  readonly pgmaps: DevPagemap[] = [];
  /** Devices of the test driver that have memory of their own. */
  readonly dmirror_devices: DmirrorDevice[] = [];
  /** By CPU: folios that wait for the LRU lists; undefined where they don't wait. */
  readonly cpu_fbatches: CpuFbatches[] | undefined;
  /** The frame of the zero page; undefined: there is none. */
  readonly zero_page: Page | undefined;
  /** The swap area; undefined where the scenario has none. */
  readonly swap: SwapInfo | undefined;
  /** KSM's stable nodes, from 1. */
  readonly ksm_nodes: KsmStableNode[] = [];
  readonly ksm: KsmThread | undefined;
  readonly tasks: (Task | undefined)[] = [];
  readonly rcu: RcuState;
  /** Memory hotplug; undefined where struct pages never go away. */
  readonly hotplug: Hotplug | undefined;
  /** SRCU domains; added at set-up, before the tasks. */
  readonly srcu: SrcuStruct[] = [];
  /** What drivers have workers do; added at set-up. */
  readonly works: WorkStruct[] = [];
  /** Interval and classic notifiers, of all mms. */
  readonly interval_subs: MmuIntervalNotifier[] = [];
  readonly notifiers: MmuNotifier[] = [];
  /** Who looks on is shown each range that notifiers are about to be told of. Not a step. */
  onRange: ((range: MmuNotifierRange) => void) | undefined;
  /** The SRCU domain under which classic notifiers are called; there from the first one on. */
  mmu_notifier_srcu: SrcuStruct | undefined;
  /** Lockdep maps, there from the first mm on that has notifiers. */
  __mmu_notifier_invalidate_range_start_map: Cell | undefined;
  non_block_map: Cell | undefined;
  readonly __fs_reclaim_map: Cell;
  /** There where kswapd is. */
  readonly pgdat: PglistData | undefined;
  readonly op: KernelOps;
  /** Frames of a driver that is told at the last put (knob swap.page_free_hook). */
  readonly hooked = new Set<number>();
  private readonly ptes: PtePointer[][] = [];
  private readonly holders = new Map<number, number>();

  constructor(readonly options: KernelOptions) {
    const system = (this.system = new System(options.machine.memory));
    kernels.set(system, this);
    this.machine = new Machine(system, { ...options.machine, hugePages: options.thp });
    this.knobs = { ...documentedKnobs(), ...options.knobs };
    const { swapSlots = 0, ksmNodes = 0, shmemPages = 0 } = options;
    for (const frame of this.machine.frames)
      this.mem_map.push(
        new Page(system, frame, options.hotplug, options.thp, swapSlots > 0, options.lruBatches === true),
      );
    this.anon_vma_pool = options.anonVmaChains === true ? [] : undefined;
    this.inodes = shmemPages > 0 ? [] : undefined;
    if (options.lruBatches === true)
      this.cpu_fbatches = Array.from({ length: options.machine.cpus }, (_, cpu) => ({
        lru_add: new FolioBatch(system, `cpu${cpu}.lru_add`),
        lru_move_tail: new FolioBatch(system, `cpu${cpu}.lru_move_tail`),
        lru_deactivate: new FolioBatch(system, `cpu${cpu}.lru_deactivate`),
        lru_lazyfree: new FolioBatch(system, `cpu${cpu}.lru_lazyfree`),
        lru_activate: new FolioBatch(system, `cpu${cpu}.lru_activate`),
        mlock_fbatch: new FolioBatch(system, `cpu${cpu}.mlock_fbatch`),
      }));
    if (options.zeroPage === true) {
      this.zero_page = this.setupPage();
      system.fixedFrames.add(this.zero_page.pfn);
      this.hold(this.zero_page.pfn);
    }
    this.swap = swapSlots > 0 ? new SwapInfo(system, swapSlots, options.machine.data !== false) : undefined;
    for (let number = 1; number <= ksmNodes; number++)
      this.ksm_nodes[number] = new KsmStableNode(system, number);
    this.rcu = new RcuState(this, options.rcuCallbacks);
    this.hotplug = options.hotplug ? new Hotplug(this) : undefined;
    this.__fs_reclaim_map = system.cell('fs_reclaim', 0, { lockClass: 'fs_reclaim', sleeps: true });
    this.pgdat = options.reclaim === 'kswapd' ? new PglistData(system) : undefined;
    this.ksm = ksmNodes > 0 ? new KsmThread(system) : undefined;
    ksm_init(this);
    this.op = defineOps(this);
    this.rcu.register('tlb_remove_table_rcu', (pfn) => __tlb_remove_table(this.mem_map[pfn]!));
  }

  /** Adds a task: an agent with what RCU keeps of it. */
  addTask(agent: Omit<Agent, 'start'> & { mm?: Mm | undefined; start: () => Path<unknown> }): Task {
    const { system } = this;
    const number = system.agent(agent);
    const { name, cpu, mm } = agent;
    const flags = this.options.reclaim === undefined ? undefined : system.cell(`${name}.flags`);
    const task: Task = { name, agent: number, cpu, mm, flags };
    this.tasks[number] = task;
    this.rcu.addTask(number);
    for (const domain of this.srcu) domain.addTask(number);
    const sharers = system.agents
      .map((other, i) => ({ ...other, i }))
      .filter((other) => other.cpu === agent.cpu && agent.cpu >= 0);
    system.gates[number] = -1;
    if (sharers.length > 1) {
      const first = system.gates[sharers[0]!.i]!;
      const gate = first >= 0 ? first : system.cell(`cpu${agent.cpu}.curr`).at;
      for (const sharer of sharers) system.gates[sharer.i] = gate;
    }
    return task;
  }

  addSrcu(name: string): SrcuStruct {
    const domain = new SrcuStruct(this.system, name, this.srcu.length);
    this.srcu.push(domain);
    for (const task of this.tasks) if (task !== undefined) domain.addTask(task.agent);
    return domain;
  }

  addMm(name: string, pages: number, cpus: readonly number[]): Mm {
    const mm = new Mm(
      this.system,
      this.machine.addSpace(name, pages, cpus),
      this.mms.length,
      this.options.thp,
      this.inodes !== undefined,
      this.options.ptrsPerPmd,
    );
    this.mms.push(mm);
    return mm;
  }

  /** A device that mirrors `mm`; one that `shares` walks its page tables. */
  addDevice(name: string, mm: Mm, shares = false): Device {
    this.guardFolioLocks();
    return this.machine.addDevice(name, mm.number, shares);
  }

  /**
   * NO-TOUCH-FREED: who takes or drops the lock of a folio has a reference, or another reason why it can't be free.
   * Look-ups without a reference may look at it.
   */
  guardFolioLocks(): void {
    for (const { lock, frame } of this.mem_map)
      this.system.guards[lock.at] ??= {
        cell: frame.use,
        alive: ~((1 << Use.FREE) | (1 << Use.DEVICE)),
        readable: true,
        what: `f${frame.number}`,
        property: () => 'NO-TOUCH-FREED',
      };
  }

  /**
   * Set-up: `nr` pages of memory of a device's own, beyond RAM, all of them free. PRIVATE: no CPU reaches them. `owner`:
   * see ownerOf(). `counted`: the pages in use are counted in pgmap.ref, for memunmap_pages().
   */
  addDevicePagemap(
    name: string,
    type: typeof MEMORY_DEVICE.PRIVATE | typeof MEMORY_DEVICE.COHERENT,
    owner: number,
    nr: number,
    ops: DevPagemapOps,
    { counted = false }: { counted?: boolean } = {},
  ): DevPagemap {
    const { system, options, machine } = this;
    const pages = Array.from({ length: nr }, () => {
      const frame = machine.addFrame(type === MEMORY_DEVICE.PRIVATE ? 'private' : 'coherent');
      const { swapSlots = 0 } = options;
      const page = new Page(
        system,
        frame,
        options.hotplug,
        options.thp,
        swapSlots > 0,
        options.lruBatches === true,
      );
      page.zone_device_data = system.cell(`f${page.pfn}.zone_device_data`, 0, { type: frameRef });
      page.zone_device_mirror = system.cell(`f${page.pfn}.zone_device_mirror`);
      this.mem_map.push(page);
      return page;
    });
    const pgmap = new DevPagemap(this, name, type, pages, ops, { owner, counted });
    this.pgmaps.push(pgmap);
    if (this.devices.length > 0) this.guardFolioLocks();
    return pgmap;
  }

  /** The devices that have page tables of their own. */
  get devices(): readonly Device[] {
    return this.machine.devices;
  }

  addVma(mm: Mm): Vma {
    const vma = new Vma(this.system, mm, mm.vmas.length, this.anon_vma_pool !== undefined);
    mm.vmas.push(vma);
    return vma;
  }

  /** Set-up: notifiers may be registered on the mm. */
  notifierSubscriptions(mm: Mm): MmuNotifierSubscriptions {
    const { system } = this;
    const map = (name: string, sleeps: boolean): Cell => system.cell(name, 0, { lockClass: name, sleeps });
    this.__mmu_notifier_invalidate_range_start_map ??= map('mmu_notifier_invalidate_range_start', true);
    this.non_block_map ??= map('non_block', false);
    mm.notifier_subscriptions ??= new MmuNotifierSubscriptions(system, mm);
    this.guardMm(mm);
    return mm.notifier_subscriptions;
  }

  /** Set-up: counts the users of an mm. */
  countUsers(mm: Mm, count: number): void {
    mm.mm_users = this.system.cell(`${mm.name}.mm_users`, count);
    this.guardMm(mm);
  }

  /** Where both references on an mm are counted: MM-LIFE, it is freed after the last, and NOTIFY-RELEASE. */
  guardMm(mm: Mm): void {
    const { mm_users, notifier_subscriptions: subscriptions } = mm;
    if (mm_users === undefined || subscriptions === undefined) return;
    for (const sub of subscriptions.interval_subs) sub.released ??= this.system.cell(`${sub.name}.released`);
    if (mm.freed !== undefined) return;
    const type = { name: 'mm', show: (value: number) => (value === 0 ? 'alive' : 'freed') };
    const { mm_count, first, lock, invalidate_seq, active_invalidate_ranges } = subscriptions;
    mm.freed = this.system.cell(`${mm.name}.freed`, 0, { type });
    for (const { at } of [mm_users, mm_count, first, lock, invalidate_seq, active_invalidate_ranges])
      this.system.guards[at] = { cell: mm.freed, alive: 1, what: mm.name, property: () => 'MM-LIFE' };
  }

  /** Set-up: the anon_vma of an mm, one for all its VMAs. */
  anonVma(mm: Mm): number {
    const number = mm.number + 1;
    this.anon_vmas[number] ??= new Rwsem(this.system, `${mm.name}.anon_vma`, 'anon_vma');
    return number;
  }

  /** One more anon_vma, free. */
  addAnonVma(): AnonVma {
    const pool = this.anon_vma_pool!;
    const anon_vma = new AnonVma(this.system, Math.max(1, pool.length));
    pool[anon_vma.number] = anon_vma;
    this.anon_vmas[anon_vma.number] = new Rwsem(this.system, `anon_vma${anon_vma.number}.rwsem`, 'anon_vma');
    return anon_vma;
  }

  /** One more inode, free. */
  addInode(): Inode {
    const inodes = this.inodes!;
    const inode = new Inode(this.system, Math.max(1, inodes.length), this.options.shmemPages!);
    inodes[inode.number] = inode;
    return inode;
  }

  /** Set-up: a device file, which the driver keeps: its count is 1 when nobody has it open or mapped. */
  addDeviceFile(f_op: FileOperations): Inode {
    const inode = this.addInode();
    inode.f_count.init(1);
    inode.f_op = f_op;
    return inode;
  }

  /** The entry of a page table, interned so that a local may hold it. */
  pte(table: number, index: number): PtePointer {
    const row = (this.ptes[table] ??= []);
    const frame = this.machine.frames[table]!;
    return (row[index] ??= { table: frame, index, cell: frame.pte[index]!, high: frame.pteHigh[index] });
  }

  /** Says that something outside of the page tables keeps `references` on a frame to the end: REF-SUM counts them. */
  hold(pfn: number, references = 1): void {
    this.holders.set(pfn, this.held(pfn) + references);
  }

  /** References on a frame that something outside of the page tables keeps. */
  held(pfn: number): number {
    return this.holders.get(pfn) ?? 0;
  }

  /** Set-up: takes a free frame for data, with one reference. Not for paths. */
  setupPage(): Page {
    return this.setupFrame(Use.DATA);
  }

  /** Set-up: takes `nr` free frames in a row as one folio, with one reference; more than one can't be renamed. */
  setupFolio(nr: number): Page {
    if (nr === 1) return this.setupPage();
    const free = ({ frame }: Page): boolean => frame.use.value === Use.FREE;
    const head = this.mem_map.find(({ pfn }) => {
      const row = this.mem_map.slice(pfn, pfn + nr);
      return pfn % nr === 0 && row.length === nr && row.every(free);
    });
    if (head === undefined) throw new Error(`expected ${nr} free frames in a row at set-up`);
    for (const page of this.mem_map.slice(head.pfn, head.pfn + nr)) {
      page.frame.use.init(Use.DATA);
      if (page !== head) page.compound_head.init(head.pfn + 1);
      this.system.fixedFrames.add(page.pfn);
    }
    head.flags.init(PG.head);
    head._refcount.init(1);
    return head;
  }

  /** Set-up: takes a free frame as an empty page table. */
  setupTable(): Page {
    return this.setupFrame(Use.TABLE);
  }

  private setupFrame(use: number): Page {
    const page = this.mem_map.find(({ frame }) => frame.use.value === Use.FREE);
    if (page === undefined)
      throw new Error(`expected a free frame at set-up: the machine has ${this.mem_map.length}`);
    page.frame.use.init(use);
    page._refcount.init(1);
    return page;
  }
}

const kernels = new WeakMap<System, Kernel>();

/** The kernel of a system. */
export function kernelOf(system: System): Kernel {
  const kernel = kernels.get(system);
  if (kernel === undefined) throw new Error('expected a system that a kernel was booted on');
  return kernel;
}

/** What the running path sees around it. */
export const current = {
  get kernel(): Kernel {
    return kernelOf(running.system);
  },
  get task(): Task {
    return current.kernel.tasks[running.agent]!;
  },
  get mm(): Mm {
    const { mm, name } = current.task;
    if (mm === undefined) throw new Error(`expected ${name} to have an mm`);
    return mm;
  },
  get cpu(): number {
    return current.task.cpu;
  },
};

/** The value of a knob in the running kernel. */
export function knob<K extends KnobName>(name: K): KnobValue<K> {
  return current.kernel.knobs[name];
}

export type { Cell };
