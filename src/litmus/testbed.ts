// SPDX-License-Identifier: MIT
import type { Cell } from '../core/system.js';
import { type Mm, type Page, Rwsem, type Vma } from '../linux/include/mm_types.js';
import { UserfaultfdCtx } from '../linux/include/userfaultfd_k.js';
import type { Kernel } from '../linux/kernel.js';
import { defineMutex } from '../linux/kernel/locking/mutex.js';
import { defineSpinlock } from '../linux/kernel/locking/spinlock.js';
import type { PercpuRwSemaphore } from '../linux/kernel/locking/percpu-rwsem.js';
import type { KsmStableNode } from '../linux/mm/ksm.js';
import { type DevPagemap, type DevPagemapOps, MEMORY_DEVICE } from '../linux/include/memremap.js';
import type { MemSection, SectionOptions } from '../linux/mm/sparse.js';
import type { Device } from '../machine/machine.js';
import { pfnOf, pteType } from '../machine/pte.js';
import {
  deviceEntryLive,
  exclusivePrivate,
  MadeWatch,
  PinHold,
  PinWatch,
  TornWatch,
  uffdWriteProtected,
  watchSum,
} from '../properties/index.js';
import { putInDeviceMemory } from './setup/device-memory.js';
import { makeExclusive } from './setup/exclusive.js';
import { addPagemap, addSection, hotplugOf, leaveInExit } from './setup/hotplug.js';
import { Process, type Region } from './setup/process.js';
import { addToSwapCache, makeKsmPage, swapOut, type SwapOutOptions } from './setup/swap.js';

/** What a scenario's set-up builds on. */
export class Testbed {
  private pins = 0;

  constructor(readonly kernel: Kernel) {}

  /** A process whose mm runs on `cpus` (default: all of them), with room for `pages` pages. */
  process(
    name: string,
    {
      pages = this.kernel.machine.options.ptrsPerPte,
      cpus,
    }: { pages?: number; cpus?: readonly number[] } = {},
  ): Process {
    const all = Array.from({ length: this.kernel.machine.options.cpus }, (_, cpu) => cpu);
    return new Process(this.kernel, this.kernel.addMm(name, pages, cpus ?? all));
  }

  /** A cell, 0 at first, with which agents tell each other how far they are. */
  flag(name: string): Cell {
    return this.kernel.system.cell(name);
  }

  /**
   * A child of `parent`, running on `cpus` (default none). With `forked` as fork leaves it: what the parent maps is
   * shared and write-protected on both sides. Without, an empty mm with room for the parent's VMAs: for dup_mmap().
   */
  child(
    name: string,
    parent: Process,
    { cpus = [], forked = false }: { cpus?: readonly number[]; forked?: boolean } = {},
  ): Process {
    const child = new Process(this.kernel, this.kernel.addMm(name, parent.mm.space.pages, cpus));
    for (const vma of parent.mm.vmas) {
      const copy = this.kernel.addVma(child.mm);
      if (forked) child.copyVma(copy, vma, parent);
    }
    return child;
  }

  /**
   * A userfaultfd that watches regions of one process for stores to what it write-protects. With `sigbus` such a store
   * ends in SIGBUS; else it waits for userfaultfd_writeprotect().
   */
  userfaultfd(regions: readonly Region[], { sigbus = false }: { sigbus?: boolean } = {}): UserfaultfdCtx {
    const { mm } = regions[0]!;
    const ctx = new UserfaultfdCtx(this.kernel.system, `${mm.name}.uffd`, mm, sigbus);
    for (const { vma } of regions) vma.vm_userfaultfd_ctx = ctx;
    return ctx;
  }

  /** The page belongs to a driver that is told at the last put (knob swap.page_free_hook). */
  hookFree(page: Page): Page {
    this.kernel.hooked.add(page.pfn);
    return page;
  }

  /** A mutex of a driver. */
  mutex(name: string): Cell {
    return defineMutex(this.kernel.system, name);
  }

  /** A spinlock of a driver: nothing may sleep under it. */
  spinlock(name: string): Cell {
    return defineSpinlock(this.kernel.system, name);
  }

  /** An rwsem of a driver: down_read(), down_write() and what ends them. */
  rwsem(name: string): Rwsem {
    return new Rwsem(this.kernel.system, name, name);
  }

  /** A device with a page table of its own, empty, that mirrors a process; one that `shares` walks the process's instead. */
  device(name: string, options: { mirrors: Process; shares?: boolean }): Device {
    // A user's file is not type-checked before it runs.
    const { mirrors, shares = false } = (options as Partial<typeof options> | undefined) ?? {};
    if (!(mirrors instanceof Process))
      throw new Error(`device ${name}: say whose memory it mirrors: m.device('${name}', { mirrors: p })`);
    return this.kernel.addDevice(name, mirrors.mm, shares);
  }

  /**
   * The page that `owner` maps at `addr` is device exclusive, as make_device_exclusive_range() leaves it: in the place of
   * its entry, and of those of the `sharers`, stand exclusive ones. `gpu` has it mapped for atomics.
   */
  exclusive(
    owner: Process,
    addr: number,
    gpu?: Device,
    { sharers = [] }: { sharers?: readonly Process[] } = {},
  ): void {
    makeExclusive(this.kernel, owner, addr, gpu, sharers);
  }

  /**
   * `nr` pages of memory of a device's own, all free: PRIVATE, no CPU reaches them, or COHERENT. `owner`: whose they are
   * for migrations, see ownerOf().
   */
  deviceMemory(
    name: string,
    type: 'PRIVATE' | 'COHERENT',
    owner: number,
    nr: number,
    ops: DevPagemapOps,
  ): DevPagemap {
    return this.kernel.addDevicePagemap(name, MEMORY_DEVICE[type], owner, nr, ops);
  }

  /**
   * The page that `owner` maps at `addr` is in device memory, in a page that was free, with its contents; with `backed`
   * those stay in RAM, as test_hmm has it. `gpu` has it mapped.
   */
  inDeviceMemory(
    owner: Process,
    addr: number,
    pgmap: DevPagemap,
    gpu?: Device,
    { backed = false }: { backed?: boolean } = {},
  ): Page {
    return putInDeviceMemory(this.kernel, owner, addr, pgmap, gpu, backed);
  }

  /** An entry of a device's page table, empty; a driver fills it with mk_pte(). It must name a frame in use: FRAME-REUSE. */
  devicePte(name: string): Cell {
    const entry = this.kernel.system.cell(name, 0, { type: pteType });
    deviceEntryLive(this.kernel, entry);
    return entry;
  }

  /** A frame by number. The set-up speaks of it by name from then on, so it takes no part in frame symmetry. */
  frame(number: number): Page {
    this.kernel.system.fixedFrames.add(number);
    return this.kernel.mem_map[number]!;
  }

  /** mem_hotplug_lock. */
  get mem_hotplug_lock(): PercpuRwSemaphore {
    return hotplugOf(this.kernel).mem_hotplug_lock;
  }

  /** The pages that a region maps now. */
  pages({ mm, start, end }: Region): Page[] {
    const { machine, mem_map } = this.kernel;
    return Array.from({ length: end - start }, (_, i) => mem_map[pfnOf(machine.leaf(mm.space, start + i))]!);
  }

  /** These pages, and so many that nobody uses, are a section of the memory map: it can be removed. */
  section(
    pages: readonly Page[],
    { others = 0, ...options }: SectionOptions & { others?: number } = {},
  ): MemSection {
    return addSection(this.kernel, pages, { others, ...options });
  }

  /** The region's pages are device memory of that type: what memremap_pages() and the driver's mmap made of them. */
  pagemap(type: keyof typeof MEMORY_DEVICE, region: Region): DevPagemap {
    return addPagemap(this.kernel, type, region, this.pages(region));
  }

  /** Somebody has just changed the memory map: mem_hotplug_lock is free, and its rcu_sync is still in EXIT. */
  hotplugJustDone(): void {
    leaveInExit(this.kernel);
  }

  /** Makes a mapped page the KSM page of a stable node of its own. */
  ksmPage(process: Process, region: Region, page: Page): KsmStableNode {
    return makeKsmPage(this.kernel, process, region, page);
  }

  /** Puts a page into the swap cache. */
  swapCache(page: Page): void {
    addToSwapCache(this.kernel, page);
  }

  /**
   * The page at `addr` is in swap, as reclaim leaves it: its entry names a slot. `sharer`: a forked child that has the
   * entry as well. With `cached` it is in memory too, and only the swap cache refers to it: then that page is returned.
   */
  swapOut(
    owner: Process,
    vma: Vma,
    addr: number,
    value: number,
    options: SwapOutOptions = {},
  ): Page | undefined {
    return swapOut(this.kernel, owner, vma, addr, value, options);
  }

  /** Watches one call that looks up `addr`: PIN-RIGHT or PIN-WEAK is judged on what it returns. */
  watchPin(
    mm: Mm,
    addr: number,
    { write = false, reuse = false }: { write?: boolean; reuse?: boolean } = {},
  ): PinWatch {
    return new PinWatch(this.kernel, `pin${this.pins++}`, mm, addr, write, reuse);
  }

  /** Watches one pin of `addr`: PIN-VALID from begin() to release(). */
  watchHold(mm: Mm, addr: number): PinHold {
    return new PinHold(this.kernel, `hold${this.pins++}`, mm, addr);
  }

  /** Watches one make_device_exclusive() of `addr`: OWNER is judged on the page that it returns. */
  watchMade(process: Process, addr: number): MadeWatch {
    return new MadeWatch(this.kernel, `made${this.pins++}`, process.mm, addr);
  }

  /** Watches what is added to a page, by its sharers as well: ATOMIC-SUM. After the contents were set. */
  watchSum(process: Process, addr: number, sharers: readonly Process[] = []): void {
    watchSum(
      this.kernel,
      process.mm,
      addr,
      sharers.map(({ mm }) => mm),
    );
  }

  /** Exclusive entries stand in private VMAs only: EXCL-PRIVATE. */
  watchExclusivePrivate(): void {
    exclusivePrivate(this.kernel);
  }

  /** UFFDWP: no device may store to a page that userfaultfd has write-protected. After the devices. */
  watchUffdWp(): void {
    uffdWriteProtected(this.kernel);
  }

  /** Watches one lockless read of a page-table entry: NO-TORN. */
  watchTorn(): TornWatch {
    return new TornWatch(this.kernel, 'read');
  }

  /** A frame in use by something outside of the scenario, with one reference. */
  reserve(): Page {
    const page = this.kernel.setupPage();
    this.kernel.hold(page.pfn);
    return page;
  }

  /** Something outside of the scenario has a reference on the page, to the end. */
  hold(page: Page): void {
    page._refcount.init(page._refcount.value + 1);
    this.kernel.hold(page.pfn);
  }

  /** Takes no part in frame symmetry: none of the frames may be renamed. */
  fixFrames(): void {
    for (const page of this.kernel.mem_map) this.kernel.system.fixedFrames.add(page.pfn);
  }
}
