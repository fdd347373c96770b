// SPDX-License-Identifier: MIT
import type { Cell } from '../core/system.js';
import { holder } from '../core/system.js';
import { PG, VM, type Mm, type Page, type Vma } from '../linux/include/mm_types.js';
import type { Kernel } from '../linux/kernel.js';
import { p2pdma_page_free } from '../linux/drivers/pci/p2pdma.js';
import type { PercpuRwSemaphore } from '../linux/kernel/locking/percpu-rwsem.js';
import { GP } from '../linux/kernel/rcu/sync.js';
import type { Hotplug } from '../linux/mm/memory_hotplug.js';
import { deviceListFree, DevPagemap, MEMORY_DEVICE } from '../linux/mm/memremap.js';
import type { MemSection, SectionOptions } from '../linux/mm/sparse.js';
import { PTE, makeEntry, pfnOf } from '../machine/pte.js';
import { PinWatch } from '../properties/pin.js';

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
  /** Present pages are dirty in the PTE. */
  readonly dirty?: boolean;
  /** First page; default: after the last region. */
  readonly at?: number;
}

/** A process: an mm and what is mapped in it. Set-up only. */
export class Process {
  private next = 0;

  constructor(
    private readonly kernel: Kernel,
    readonly mm: Mm,
  ) {}

  /** Maps private anonymous memory. */
  mmap({ pages, prot = 'rw', touched = false, dirty = false, at = this.next }: MapOptions): Region {
    const { kernel, mm } = this;
    const end = at + pages;
    if (end > mm.space.pages)
      throw new Error(`expected ${mm.name} to have ${end} pages, it has ${mm.space.pages}`);
    this.next = end;
    const vma = kernel.addVma(mm);
    vma.vm_start.init(at);
    vma.vm_end.init(end);
    vma.vm_flags.init(VM.READ | (prot === 'rw' ? VM.WRITE : 0));
    vma.attached.init(1);
    if (touched) {
      for (let addr = at; addr < end; addr++) {
        const page = kernel.setupPage();
        page._mapcount.init(1);
        page.flags.init(PG.anon | PG.anon_exclusive | PG.swapbacked);
        this.setPte(
          addr,
          makeEntry(
            page.pfn,
            PTE.PRESENT | PTE.USER | (prot === 'rw' ? PTE.RW : 0) | (dirty ? PTE.DIRTY : 0),
          ),
        );
      }
      mm.anon_rss.init(mm.anon_rss.value + pages);
    }
    return { mm, vma, start: at, end };
  }

  /** Sets an initial page-table entry, with a table if there is none. */
  setPte(addr: number, entry: number): void {
    const { machine } = this.kernel;
    const { ptrsPerPte } = machine.options;
    const pmd = this.mm.pmd[Math.floor(addr / ptrsPerPte)]!;
    if (pmd.value === 0) pmd.init(makeEntry(this.kernel.setupTable().pfn, PTE.PRESENT));
    machine.frames[pfnOf(pmd.value)]!.pte[addr % ptrsPerPte]!.init(entry);
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

  /** A mutex of a driver. */
  mutex(name: string): Cell {
    return this.kernel.system.cell(name, 0, { type: holder, lockClass: name });
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

  /** Watches one call that looks up `addr`: PIN-RIGHT or PIN-WEAK is judged on what it returns. */
  watchPin(mm: Mm, addr: number, { write = false }: { write?: boolean } = {}): PinWatch {
    return new PinWatch(this.kernel, `pin${this.pins++}`, mm, addr, write);
  }
}
