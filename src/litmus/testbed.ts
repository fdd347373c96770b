// SPDX-License-Identifier: MIT
import type { Cell } from '../core/system.js';
import {
  MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  MmuNotifier,
  type MmuNotifierOps,
} from '../linux/include/mmu_notifier.js';
import { PG, VM, type Mm, type Page, type PtePointer, type Vma } from '../linux/include/mm_types.js';
import { UserfaultfdCtx } from '../linux/include/userfaultfd_k.js';
import type { Kernel } from '../linux/kernel.js';
import { p2pdma_page_free } from '../linux/drivers/pci/p2pdma.js';
import type { PercpuRwSemaphore } from '../linux/kernel/locking/percpu-rwsem.js';
import { GP } from '../linux/kernel/rcu/sync.js';
import type { Hotplug } from '../linux/mm/memory_hotplug.js';
import { deviceListFree, DevPagemap, MEMORY_DEVICE } from '../linux/mm/memremap.js';
import type { MemSection, SectionOptions } from '../linux/mm/sparse.js';
import type { KsmStableNode } from '../linux/mm/ksm.js';
import { SWAP_HAS_CACHE } from '../linux/mm/swapfile.js';
import { defineMutex } from '../linux/kernel/locking/mutex.js';
import {
  highWord,
  lowWord,
  makeEntry,
  makeSwapEntry,
  pfnOf,
  PTE,
  pteType,
  SwapType,
} from '../machine/pte.js';
import type { Device } from '../machine/machine.js';
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

/** A mapped range: what mmap() returned. Addresses are page numbers. */
export interface Region {
  readonly mm: Mm;
  readonly vma: Vma;
  readonly start: number;
  readonly end: number;
}

export interface MapOptions {
  readonly pages: number;
  readonly prot?: 'r' | 'rw';
  /** Each page is present, in a frame of its own. */
  readonly touched?: boolean;
  /** Present pages are write-protected and shared with another process, as after a fork. */
  readonly shared?: boolean;
  /** Present pages are dirty in the PTE. */
  readonly dirty?: boolean;
  /** The pages are one large folio, mapped by PTEs or by a PMD. Needs machine.thp; pages = ptrsPerPte. */
  readonly folio?: 'pte' | 'pmd';
  /** First page; default: after the last region. */
  readonly at?: number;
  /** vm_flags beside what `prot` says. */
  readonly vm_flags?: number;
}

/** A process: an mm and what is mapped in it. Set-up only. */
export class Process {
  private next = 0;

  constructor(
    private readonly kernel: Kernel,
    readonly mm: Mm,
  ) {}

  /** Maps private anonymous memory. */
  mmap({
    pages,
    prot = 'rw',
    touched = false,
    dirty = false,
    shared = false,
    folio,
    at = this.next,
    vm_flags = 0,
  }: MapOptions): Region {
    const { kernel, mm } = this;
    const end = at + pages;
    if (end > mm.space.pages)
      throw new Error(`expected ${mm.name} to have ${end} pages, it has ${mm.space.pages}`);
    this.next = end;
    const vma = kernel.addVma(mm);
    vma.vm_start.init(at);
    vma.vm_end.init(end);
    vma.vm_flags.init(VM.READ | (prot === 'rw' ? VM.WRITE : 0) | vm_flags);
    vma.attached.init(1);
    vma.vm_pgoff.init(at);
    vma.anon_vma.init(kernel.anonVma(mm));
    if (folio !== undefined) this.mapFolio(vma, at, pages, folio);
    else if (touched) {
      for (let addr = at; addr < end; addr++) {
        const page = kernel.setupPage();
        page._mapcount.init(1);
        page.flags.init(PG.anon | PG.swapbacked | PG.lru | (shared ? 0 : PG.anon_exclusive));
        page.mapping.init(vma.anon_vma.value);
        page.index.init(addr);
        if (shared) {
          page._refcount.init(2);
          kernel.hold(page.pfn);
        }
        this.setPte(
          addr,
          makeEntry(
            page.pfn,
            PTE.PRESENT | PTE.USER | (prot === 'rw' && !shared ? PTE.RW : 0) | (dirty ? PTE.DIRTY : 0),
          ),
        );
      }
      mm.anon_rss.init(mm.anon_rss.value + pages);
    }
    return { mm, vma, start: at, end };
  }

  private mapFolio(vma: Vma, at: number, pages: number, by: 'pte' | 'pmd'): void {
    const { kernel, mm } = this;
    const { ptrsPerPte } = kernel.machine.options;
    const head = kernel.setupFolio(pages);
    if (!kernel.options.thp || pages !== ptrsPerPte || at % ptrsPerPte !== 0)
      throw new Error(`expected machine.thp and ${ptrsPerPte} pages from a multiple of ${ptrsPerPte} on`);
    head.mapping.init(vma.anon_vma.value);
    head.index.init(at);
    mm.anon_rss.init(mm.anon_rss.value + pages);
    const flags = PTE.PRESENT | PTE.USER | PTE.RW;
    for (let i = 0; i < pages; i++) {
      const page = kernel.mem_map[head.pfn + i]!;
      if (i === 0) page.flags.init(page.flags.value | PG.anon | PG.swapbacked | PG.lru | PG.anon_exclusive);
      if (by === 'pmd') continue;
      page.flags.init(page.flags.value | PG.anon_exclusive);
      page._mapcount.init(1);
      this.setPte(at + i, makeEntry(page.pfn, flags));
    }
    if (by === 'pte') head._refcount.init(pages);
    else {
      mm.pmd[at / ptrsPerPte]!.init(makeEntry(head.pfn, flags | PTE.PSE));
      mm.pmd_huge_pte[at / ptrsPerPte]!.init(kernel.setupTable().pfn + 1);
      if (pages === 1) head._mapcount.init(1);
      else head.large!.entire_mapcount.init(1);
    }
    if (pages > 1) head.large!.mapcount.init(by === 'pte' ? pages : 1);
  }

  /** Makes `copy` what fork makes of the VMA `vma` of `parent`. */
  copyVma(copy: Vma, vma: Vma, parent: Process): void {
    const { kernel, mm } = this;
    for (const field of ['vm_start', 'vm_end', 'vm_flags', 'vm_pgoff', 'anon_vma', 'attached'] as const)
      copy[field].init(vma[field].value);
    for (let addr = vma.vm_start.value; addr < vma.vm_end.value; addr++) {
      const entry = kernel.machine.leaf(parent.mm.space, addr);
      if (entry === 0) continue;
      const page = kernel.mem_map[pfnOf(entry)]!;
      parent.setPte(addr, entry & ~PTE.RW);
      this.setPte(addr, entry & ~PTE.RW);
      page.flags.init(page.flags.value & ~PG.anon_exclusive);
      page._refcount.init(page._refcount.value + 1);
      page._mapcount.init(page._mapcount.value + 1);
      mm.anon_rss.init(mm.anon_rss.value + 1);
    }
  }

  /** The page that is mapped at an address. The set-up speaks of it from then on: see {@link Testbed.frame}. */
  page(addr: number): Page {
    const { kernel, mm } = this;
    const huge = (mm.pmd[Math.floor(addr / kernel.machine.options.ptrsPerPte)]!.value & PTE.PSE) !== 0;
    if (!huge) this.ptep(addr); // the set-up speaks of the table as well
    const pfn = pfnOf(kernel.machine.leaf(mm.space, addr)); // both words of a PAE entry
    kernel.system.fixedFrames.add(pfn);
    return kernel.mem_map[pfn]!;
  }

  /** Where the entry for a page is. The set-up speaks of its table by name, so that frame takes no part in symmetry. */
  ptep(addr: number): PtePointer {
    const { ptrsPerPte } = this.kernel.machine.options;
    const table = pfnOf(this.mm.pmd[Math.floor(addr / ptrsPerPte)]!.value);
    this.kernel.system.fixedFrames.add(table);
    return this.kernel.pte(table, addr % ptrsPerPte);
  }

  /** Counts the users of the mm: mmget_not_zero(), and mmput(), which takes it down after the last. */
  users(count: number): void {
    this.mm.mm_users = this.kernel.system.cell(`${this.mm.name}.mm_users`, count);
  }

  /**
   * A subscription of a driver to a range of this process. `inserted`: from the beginning; else for
   * mmu_interval_notifier_insert(). `ready`: the mm has had interval notifiers, so an insert need not take mmap_lock.
   */
  intervalNotifier(
    { start, end }: { readonly start: number; readonly end: number },
    ops: MmuIntervalNotifierOps,
    { inserted = true, ready = inserted }: { inserted?: boolean; ready?: boolean } = {},
  ): MmuIntervalNotifier {
    const { kernel, mm } = this;
    const { interval_subs, system } = kernel;
    const subscriptions = kernel.notifierSubscriptions(mm);
    const number = interval_subs.length;
    const sub = new MmuIntervalNotifier(system, `sub${number}`, mm, number, ops);
    interval_subs.push(sub);
    subscriptions.interval_subs.push(sub);
    if (ready) subscriptions.installed = subscriptions.has_itree = undefined;
    if (!inserted) return sub;
    sub.life.init(1);
    sub.in_tree.init(1);
    sub.start.init(start);
    sub.last.init(end - 1);
    sub.invalidate_seq.init(subscriptions.invalidate_seq.value - 1);
    subscriptions.mm_count.init(subscriptions.mm_count.value + 1);
    return sub;
  }

  /** A subscription of a driver to all of this process; `registered`: from the beginning. */
  mmuNotifier(ops: MmuNotifierOps, { registered = true }: { registered?: boolean } = {}): MmuNotifier {
    const { kernel, mm } = this;
    const { notifiers, system } = kernel;
    const subscriptions = kernel.notifierSubscriptions(mm);
    kernel.mmu_notifier_srcu ??= kernel.addSrcu('mmu_notifier');
    const number = notifiers.length;
    const subscription = new MmuNotifier(system, `notifier${number}`, mm, number, ops);
    notifiers.push(subscription);
    subscriptions.notifiers.push(subscription);
    if (!registered) return subscription;
    subscriptions.installed = undefined;
    subscription.life.init(1);
    subscription.hashed.init(1);
    subscription.next.init(subscriptions.first.value);
    subscriptions.first.init(number + 1);
    subscriptions.mm_count.init(subscriptions.mm_count.value + 1);
    return subscription;
  }

  /** Sets an initial page-table entry, with a table if there is none. */
  setPte(addr: number, entry: number): void {
    const { machine } = this.kernel;
    const { ptrsPerPte } = machine.options;
    const pmd = this.mm.pmd[Math.floor(addr / ptrsPerPte)]!;
    if (pmd.value === 0) pmd.init(makeEntry(this.kernel.setupTable().pfn, PTE.PRESENT));
    const table = machine.frames[pfnOf(pmd.value)]!;
    const index = addr % ptrsPerPte;
    table.pte[index]!.init(machine.options.pae === undefined ? entry : lowWord(entry, machine.options.pae));
    table.pteHigh[index]?.init(highWord(entry));
  }
}

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

  /** A device with a page table of its own, empty, that mirrors a process. */
  device(name: string, { mirrors }: { mirrors: Process }): Device {
    return this.kernel.addDevice(name, mirrors.mm);
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
    const { knobs, machine, mem_map } = this.kernel;
    const page = mem_map[pfnOf(machine.leaf(owner.mm.space, addr))]!;
    for (const process of [owner, ...sharers]) {
      const value = machine.leaf(process.mm.space, addr);
      const writable = (value & PTE.RW) !== 0 && knobs['exclusive.entry'] === 'write-read';
      const type = writable ? SwapType.DEVICE_EXCLUSIVE_WRITE : SwapType.DEVICE_EXCLUSIVE_READ;
      process.setPte(addr, makeSwapEntry(type, page.pfn, value & (PTE.SOFT_DIRTY | PTE.UFFD_WP)));
      if (knobs['exclusive.mapcount'] === 'dropped') page._mapcount.init(page._mapcount.value - 1);
    }
    page.flags.init(page.flags.value | PG.dirty); // by the GUP of make
    if (gpu !== undefined)
      gpu.pte[addr]!.init(makeEntry(page.pfn, PTE.PRESENT | PTE.USER | PTE.RW | PTE.ATOMIC));
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

  private get hotplug(): Hotplug {
    const { hotplug } = this.kernel;
    if (hotplug === undefined) throw new Error('expected a machine with hotplug: true');
    return hotplug;
  }

  /** mem_hotplug_lock. */
  get mem_hotplug_lock(): PercpuRwSemaphore {
    return this.hotplug.mem_hotplug_lock;
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
    const all = [...pages];
    for (let i = 0; i < others; i++) all.push(this.kernel.setupPage());
    for (const page of all.slice(pages.length)) this.kernel.hold(page.pfn);
    return this.hotplug.addSection(all, options);
  }

  /** The region's pages are device memory of that type: what memremap_pages() and the driver's mmap made of them. */
  pagemap(type: keyof typeof MEMORY_DEVICE, region: Region): DevPagemap {
    const { kernel } = this;
    const pages = this.pages(region);
    const dax = type === 'FS_DAX';
    const page_free = type === 'PCI_P2PDMA' ? p2pdma_page_free : deviceListFree;
    const pgmap = new DevPagemap(
      kernel,
      'pgmap',
      MEMORY_DEVICE[type],
      pages,
      dax ? {} : { page_free },
      dax ? 0 : pages.length,
    );
    this.hotplug.pgmaps.push(pgmap);
    pages.forEach((page, i) => {
      page.flags.init(page.flags.value & ~(PG.anon | PG.anon_exclusive | PG.swapbacked));
      if (!dax) return;
      page._mapcount.init(0); // the mapping counts nothing, the page's own count is 1 when it is idle
      kernel.hold(page.pfn);
      const leaf = kernel.machine.leaf(region.mm.space, region.start + i);
      new Process(kernel, region.mm).setPte(region.start + i, leaf | PTE.DEVMAP);
    });
    if (dax) region.mm.anon_rss.init(region.mm.anon_rss.value - pages.length);
    return pgmap;
  }

  /** Somebody has just changed the memory map: mem_hotplug_lock is free, and its rcu_sync is still in EXIT. */
  hotplugJustDone(): void {
    const { rcu } = this.kernel;
    const { rss } = this.hotplug.mem_hotplug_lock;
    rss.gp_state.init(GP.EXIT);
    const [slot] = rcu.callbacks;
    slot!.func.init(rcu.callback('rcu_sync_func'));
    slot!.arg.init(rss.cb_head + 1);
  }

  /** Makes a mapped page the KSM page of a stable node of its own. */
  ksmPage(process: Process, region: Region, page: Page): KsmStableNode {
    const { ksm_nodes } = this.kernel;
    const node = ksm_nodes.find((each) => each !== undefined && each.linked.value === 0);
    if (node === undefined) throw new Error('expected a free stable node: machine.ksmNodes');
    page.flags.init((page.flags.value & ~PG.anon_exclusive) | PG.ksm | PG.uptodate);
    page.mapping.init(node.mapping);
    node.kpfn.init(page.pfn + 1);
    node.linked.init(1);
    node.rmap.push({ vma: region.vma, address: page.index.value });
    const entry = process.ptep(page.index.value).cell;
    entry.init(entry.value & ~PTE.RW);
    return node;
  }

  /** Puts a page into the swap cache. */
  swapCache(page: Page): void {
    const slot = this.kernel.swap?.slots.find(({ map }) => map.value === 0);
    if (slot === undefined) throw new Error('expected a free slot: machine.swapSlots');
    slot.map.init(SWAP_HAS_CACHE);
    slot.cache.init(page.pfn + 1);
    page.swap!.init(slot.number + 1);
    page.flags.init(page.flags.value | PG.swapcache);
    page._refcount.init(page._refcount.value + 1);
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
    { sharer, cached = false }: { sharer?: Process | undefined; cached?: boolean } = {},
  ): Page | undefined {
    const slot = this.kernel.swap?.slots.find(({ map }) => map.value === 0);
    if (slot === undefined) throw new Error('expected a free slot: machine.swapSlots');
    slot.map.init((sharer === undefined ? 1 : 2) + (cached ? SWAP_HAS_CACHE : 0));
    slot.data?.init(value);
    const entry = makeSwapEntry(SwapType.SWAP, slot.number, sharer === undefined ? PTE.EXCLUSIVE : 0);
    owner.setPte(addr, entry);
    sharer?.setPte(addr, entry);
    if (!cached) return undefined;
    const page = this.kernel.setupPage();
    this.kernel.system.fixedFrames.add(page.pfn);
    page.flags.init(PG.anon | PG.swapbacked | PG.lru | PG.swapcache | PG.uptodate);
    page.mapping.init(vma.anon_vma.value);
    page.index.init(addr);
    page.swap!.init(slot.number + 1);
    page.frame.data?.init(value);
    slot.cache.init(page.pfn + 1);
    return page;
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
