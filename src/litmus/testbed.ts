// SPDX-License-Identifier: MIT
import type { Cell } from '../core/system.js';
import { PG, VM, type Mm, type Page, type PtePointer, type Vma } from '../linux/include/mm_types.js';
import type { Kernel } from '../linux/kernel.js';
import { defineMutex } from '../linux/kernel/locking/mutex.js';
import { highWord, lowWord, makeEntry, pfnOf, PTE, pteType } from '../machine/pte.js';
import { deviceEntryLive, PinWatch, TornWatch } from '../properties/index.js';

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
  mmap({
    pages,
    prot = 'rw',
    touched = false,
    dirty = false,
    shared = false,
    at = this.next,
  }: MapOptions): Region {
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
    vma.vm_pgoff.init(at);
    vma.anon_vma.init(kernel.anonVma(mm));
    if (touched) {
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

  /** The page that is mapped at an address. The set-up speaks of it from then on: see {@link Testbed.frame}. */
  page(addr: number): Page {
    const pfn = pfnOf(this.ptep(addr).cell.value);
    this.kernel.system.fixedFrames.add(pfn);
    return this.kernel.mem_map[pfn]!;
  }

  /** Where the entry for a page is. The set-up speaks of its table by name, so that frame takes no part in symmetry. */
  ptep(addr: number): PtePointer {
    const { ptrsPerPte } = this.kernel.machine.options;
    const table = pfnOf(this.mm.pmd[Math.floor(addr / ptrsPerPte)]!.value);
    this.kernel.system.fixedFrames.add(table);
    return this.kernel.pte(table, addr % ptrsPerPte);
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

  /** A mutex of a driver. */
  mutex(name: string): Cell {
    return defineMutex(this.kernel.system, name);
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

  /** Watches one call that looks up `addr`: PIN-RIGHT or PIN-WEAK is judged on what it returns. */
  watchPin(mm: Mm, addr: number, { write = false }: { write?: boolean } = {}): PinWatch {
    return new PinWatch(this.kernel, `pin${this.pins++}`, mm, addr, write);
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
