// SPDX-License-Identifier: MIT
import { PG, VM, type Mm, type Page, type PtePointer, type Vma } from '../../linux/include/mm_types.js';
import type {
  MmuIntervalNotifier,
  MmuIntervalNotifierOps,
  MmuNotifier,
  MmuNotifierOps,
} from '../../linux/include/mmu_notifier.js';
import type { Kernel } from '../../linux/kernel.js';
import { highWord, lowWord, makeEntry, pfnOf, PTE } from '../../machine/pte.js';
import { addIntervalNotifier, addNotifier, type IntervalNotifierOptions } from './notifiers.js';

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

  /** The page that is mapped at an address. The set-up speaks of it from then on: see Testbed.frame(). */
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
    this.kernel.countUsers(this.mm, count);
  }

  /** The OOM killer may choose this process. */
  oomVictim(): void {
    this.mm.oom_victim = true;
  }

  /** So many have kept the mm with mmgrab() already. Of an mm that may have notifiers. */
  grabbed(count: number): void {
    const { mm_count } = this.kernel.notifierSubscriptions(this.mm);
    mm_count.init(mm_count.value + count);
  }

  /**
   * A subscription of a driver to a range of this process. `inserted`: from the beginning; else for
   * mmu_interval_notifier_insert(). `ready`: the mm has had interval notifiers, so an insert need not take mmap_lock.
   */
  intervalNotifier(
    range: { readonly start: number; readonly end: number },
    ops: MmuIntervalNotifierOps,
    options: IntervalNotifierOptions = {},
  ): MmuIntervalNotifier {
    return addIntervalNotifier(this.kernel, this.mm, range, ops, options);
  }

  /** A subscription of a driver to all of this process; `registered`: from the beginning. */
  mmuNotifier(ops: MmuNotifierOps, { registered = true }: { registered?: boolean } = {}): MmuNotifier {
    return addNotifier(this.kernel, this.mm, ops, registered);
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
