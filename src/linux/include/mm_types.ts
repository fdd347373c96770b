// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { equals } from '../../core/primitives.js';
import type { Cell, System, ValueType } from '../../core/system.js';
import { bits, frameRef, holder, int } from '../../core/system.js';
import { frameCell, type AddressSpace, type Frame, type Machine } from '../../machine/machine.js';
import type { Guard } from '../../core/system.js';
import type { FileOperations } from './fs.js';
import type { UserfaultfdCtx } from './userfaultfd_k.js';
import type { MmuNotifierSubscriptions } from './mmu_notifier.js';

/**
 * Page flags that the model has. PG_locked is a lock of its own ({@link Page.lock}), so that the engine sees it as one.
 * @kernel 6.12 include/linux/page-flags.h enum pageflags: adapted (the flags that a path here reads)
 */
export const PG = {
  referenced: 1 << 0,
  uptodate: 1 << 1,
  dirty: 1 << 2,
  lru: 1 << 3,
  swapbacked: 1 << 4,
  swapcache: 1 << 5,
  anon: 1 << 6,
  anon_exclusive: 1 << 7,
  ksm: 1 << 8,
  writeback: 1 << 9,
  isolated: 1 << 10,
  hwpoison: 1 << 11,
  fake_head: 1 << 12,
  offline: 1 << 13,
  reserved: 1 << 14,
  /** The page's zone is ZONE_DEVICE (zone number, in the upper bits of flags). */
  zone_device: 1 << 15,
  mlocked: 1 << 16,
  unevictable: 1 << 17,
  active: 1 << 18,
  head: 1 << 20,
} as const;
const PG_NAMES = Object.entries(PG);
const pageFlags: ValueType = {
  name: 'page flags',
  show: (value) =>
    bits(value)
      .map((bit) => PG_NAMES.find(([, mask]) => mask === 1 << bit)?.[0] ?? String(bit))
      .join('|') || '0',
};

/** State of the memory that a struct page lives in (vmemmap). */
export const Meta = { ALIVE: 0, POISONED: 1, FREED: 2 } as const;
const metaType: ValueType = {
  name: 'struct page',
  show: (value) => ['alive', 'poisoned', 'freed'][value] ?? '?',
};

/** GUP_PIN_COUNTING_BIAS: a pin of a small folio counts this much in _refcount. */
export const GUP_PIN_COUNTING_BIAS = 1024;

const refcount: ValueType = {
  name: 'refcount',
  show: (value) =>
    value >= GUP_PIN_COUNTING_BIAS
      ? `${value % GUP_PIN_COUNTING_BIAS}+${Math.floor(value / GUP_PIN_COUNTING_BIAS)} pins`
      : String(value),
};

/**
 * struct page. A folio is its head page. One per frame; `pfn` is the frame number. Each field is a cell, and each
 * access checks that the struct page itself still exists (META-FREED) and is not poisoned (META-POISONED).
 * @kernel 6.12 include/linux/mm_types.h struct page: adapted (fields that paths here use; ptdesc folded in)
 */
export class Page {
  readonly pfn: number;
  /** PG_locked. */
  readonly lock: Cell;
  readonly flags: Cell;
  readonly _refcount: Cell;
  /** Number of mappings by PTEs (the kernel stores it less one). */
  readonly _mapcount: Cell;
  /** Head of a large folio: mappings by a PMD, mappings of all kinds, pins. undefined where the scenario has none. */
  readonly large:
    { readonly entire_mapcount: Cell; readonly mapcount: Cell; readonly pincount: Cell } | undefined;
  /** Head page + 1 if this is a tail page, else 0. */
  readonly compound_head: Cell;
  /** 0, or what it belongs to: the number of an anon_vma, PAGE_MAPPING_KSM + that of a stable node, less than 0: of an inode. */
  readonly mapping: Cell;
  readonly index: Cell;
  /** Slot of swap + 1 while it is in the swap cache; undefined where the scenario has no swap. */
  readonly swap: Cell | undefined;
  /** By how many VM_LOCKED VMAs it is mapped, as far as that is known; undefined where the scenario has no mlock(). */
  readonly mlock_count: Cell | undefined;
  /**
   * Of a page of a device's own memory, for its driver; undefined for RAM. A page + 1: while it is in use the RAM that
   * stands for it (0: it has contents of its own), while it is free the next free one. Set-up gives it.
   */
  zone_device_data: Cell | undefined;
  /** The zone_device_data of the RAM that stands for it, where test_hmm keeps the number of a mirror + 1. */
  zone_device_mirror: Cell | undefined;
  /** The lock of the page table that the frame holds (ptdesc.ptl). */
  readonly ptl: Cell;
  /** The frame that it describes. */
  readonly frame: Frame;
  /** Life of the struct page itself; undefined where the scenario has no hot-unplug. */
  readonly meta: Cell | undefined;

  constructor(system: System, frame: Frame, hotplug: boolean, thp = false, swap = false, mlock = false) {
    const { number } = frame;
    this.pfn = number;
    this.frame = frame;
    this.meta = hotplug ? frameCell(system, number, 'meta', { type: metaType }) : undefined;
    const guard: { guard?: Guard } =
      this.meta === undefined
        ? {}
        : {
            guard: {
              cell: this.meta,
              alive: 1 << Meta.ALIVE,
              what: `the struct page of f${number}`,
              property: (value) => (value === Meta.FREED ? 'META-FREED' : 'META-POISONED'),
            },
          };
    const field = (slot: string, type: ValueType = int, lockClass?: string): Cell =>
      frameCell(system, number, slot, {
        name: `f${number}.${slot}`,
        type,
        ...guard,
        ...(lockClass === undefined ? {} : { lockClass, sleeps: lockClass === 'folio lock' }),
      });
    this.lock = field('lock', holder, 'folio lock');
    this.flags = field('flags', pageFlags);
    this._refcount = field('_refcount', refcount);
    this._mapcount = field('_mapcount');
    this.large = thp
      ? {
          entire_mapcount: field('_entire_mapcount'),
          mapcount: field('_large_mapcount'),
          pincount: field('_pincount'),
        }
      : undefined;
    this.compound_head = field('compound_head', frameRef);
    this.mapping = field('mapping');
    this.index = field('index');
    this.swap = swap ? field('swap') : undefined;
    this.mlock_count = mlock ? field('mlock_count') : undefined;
    this.ptl = field('ptl', holder, 'ptl');
  }
}
/** A folio is the head page of its pages. */
export type Folio = Page;

/** vm_flags that the model has. */
export const VM = {
  READ: 1,
  WRITE: 2,
  SHARED: 4,
  LOCKED: 8,
  PFNMAP: 16,
  IO: 32,
  MIXEDMAP: 64,
  HUGEPAGE: 128,
  MERGEABLE: 256,
  DONTCOPY: 512,
  /** All of it counts as written to, whatever the entries say. */
  SOFTDIRTY: 1 << 10,
  /** Counted against the memory that may be promised. */
  ACCOUNT: 1 << 11,
  WIPEONFORK: 1 << 12,
  NOHUGEPAGE: 1 << 13,
  DONTEXPAND: 1 << 14,
  HUGETLB: 1 << 15,
} as const;

/** Mappings that merge with nothing and can't be locked. @kernel 6.12 include/linux/mm.h VM_SPECIAL: faithful */
export const VM_SPECIAL = VM.IO | VM.DONTEXPAND | VM.PFNMAP | VM.MIXEDMAP;
/** What mprotect() changes. @kernel 6.12 include/linux/mm.h VM_ACCESS_FLAGS: adapted (no VM_EXEC) */
export const VM_ACCESS_FLAGS = VM.READ | VM.WRITE;

/**
 * struct vm_area_struct. Addresses are page numbers (PAGE_SIZE is 1).
 * @kernel 6.12 include/linux/mm_types.h struct vm_area_struct: adapted (what the modelled paths use, as cells)
 */
export class Vma {
  readonly vm_start: Cell;
  readonly vm_end: Cell;
  readonly vm_flags: Cell;
  /** 0: anonymous; else the number of the file's inode. */
  readonly vm_file: Cell;
  /** Number of the anon_vma, 0 for none. */
  readonly anon_vma: Cell;
  /** File page at vm_start. */
  readonly vm_pgoff: Cell;
  /** 1: in the mm's tree. */
  readonly attached: Cell;
  /** anon_vma_chain: how many anon_vmas it is linked to, and which, oldest first. undefined: one for each mm. */
  readonly anon_vma_chain: { readonly length: Cell; readonly anon_vma: Cell[] } | undefined;
  /**
   * Where there are chains: its place among the VMAs with the same vm_pgoff in the interval tree of its file, and in
   * those of its anon_vmas. Walks go in that order.
   */
  readonly rb: { readonly i_mmap: Cell; readonly anon: Cell } | undefined;
  /** The userfaultfd that watches it, set at set-up; a forked VMA has none. */
  vm_userfaultfd_ctx: UserfaultfdCtx | undefined;

  constructor(
    private readonly system: System,
    readonly vm_mm: Mm,
    readonly number: number,
    chains = false,
  ) {
    const name = `${vm_mm.name}.vma${number}`;
    this.vm_start = system.cell(`${name}.vm_start`);
    this.vm_end = system.cell(`${name}.vm_end`);
    this.vm_flags = system.cell(`${name}.vm_flags`);
    this.vm_file = system.cell(`${name}.vm_file`);
    this.anon_vma = system.cell(`${name}.anon_vma`);
    this.vm_pgoff = system.cell(`${name}.vm_pgoff`);
    this.attached = system.cell(`${name}.attached`);
    this.anon_vma_chain = chains
      ? { length: system.cell(`${name}.anon_vma_chain.length`), anon_vma: [] }
      : undefined;
    this.rb = chains
      ? { i_mmap: system.cell(`${name}.rb.i_mmap`), anon: system.cell(`${name}.rb.anon`) }
      : undefined;
  }

  /** Link `i` of the chain. */
  avc(i: number): Cell {
    const links = this.anon_vma_chain!.anon_vma;
    return (links[i] ??= this.system.cell(`${this.vm_mm.name}.vma${this.number}.avc[${i}]`));
  }
}

/**
 * struct anon_vma, where chains are modelled: what finds the VMAs that may map an anonymous page.
 * @kernel 6.12 include/linux/rmap.h struct anon_vma: adapted (the interval tree is what the VMAs' chains say, here only its size)
 */
export class AnonVma {
  readonly root: Cell;
  readonly parent: Cell;
  /** 0: free. */
  readonly refcount: Cell;
  readonly num_children: Cell;
  readonly num_active_vmas: Cell;
  /** Links in rb_root. */
  readonly rb_root: Cell;

  constructor(
    system: System,
    readonly number: number,
  ) {
    const cell = (field: string): Cell => system.cell(`anon_vma${number}.${field}`);
    this.root = cell('root');
    this.parent = cell('parent');
    this.refcount = cell('refcount');
    this.num_children = cell('num_children');
    this.num_active_vmas = cell('num_active_vmas');
    this.rb_root = cell('rb_root');
  }
}

/**
 * struct inode of a file in memory, with its address_space and the struct file.
 * @kernel 6.12 include/linux/fs.h struct inode: adapted (one struct file for each inode, folded in)
 */
export class Inode {
  /** References: the file that is open, VMAs. 0: free. */
  readonly f_count: Cell;
  /** In pages. */
  readonly i_size: Cell;
  /** The page cache: frame + 1 by page of the file, 0 for none. */
  readonly i_pages: readonly Cell[];
  /** The lock of i_pages. */
  readonly xa_lock: Cell;
  readonly i_mmap_rwsem: Rwsem;
  /** inode_lock(). */
  readonly i_rwsem: Rwsem;
  /** The driver whose device file it is, set at set-up; undefined: a file in memory. */
  f_op: FileOperations | undefined;

  constructor(
    system: System,
    readonly number: number,
    pages: number,
  ) {
    const name = `inode${number}`;
    this.f_count = system.cell(`${name}.f_count`);
    this.i_size = system.cell(`${name}.i_size`);
    this.i_pages = Array.from({ length: pages }, (_, i) =>
      system.cell(`${name}.i_pages[${i}]`, 0, { type: frameRef }),
    );
    this.xa_lock = system.cell(`${name}.xa_lock`, 0, { type: holder, lockClass: 'i_pages' });
    this.i_mmap_rwsem = new Rwsem(system, `${name}.i_mmap_rwsem`, 'i_mmap_rwsem');
    this.i_rwsem = new Rwsem(system, `${name}.i_rwsem`, 'i_rwsem');
  }

  /** What page->mapping of its pages is. */
  get mapping(): number {
    return -this.number;
  }
}

/** mm->flags that the model has. */
export const MMF_HAS_PINNED = 1;
export const MMF_OOM_SKIP = 2;
export const MMF_UNSTABLE = 4;

/**
 * struct mm_struct with its page-table root. The upper levels are folded: an mm is a row of PMDs. Where the
 * kernel has PMD tables, they are known to be there or not.
 * @kernel 6.12 include/linux/mm_types.h struct mm_struct: adapted (p4d, pud folded; maple tree is an ordered set of VMAs)
 */
export class Mm {
  readonly name: string;
  readonly pmd: readonly Cell[];
  /** By PUD: 1 if its PMD table is there. Undefined: folded. */
  readonly pud: readonly Cell[] | undefined;
  readonly mmap_lock: Rwsem;
  /** Covers the PMDs (split PMD locks folded into one). */
  readonly page_table_lock: Cell;
  /** Odd while fork write-protects. */
  readonly write_protect_seq: Cell;
  readonly flags: Cell;
  readonly tlb_flush_pending: Cell;
  /** Deferred flushes of reclaim: bits 0-14 count those begun, bits 16-30 those that somebody has made up for. */
  readonly tlb_flush_batched: Cell;
  /** rss_stat[MM_ANONPAGES], rss_stat[MM_FILEPAGES]. */
  readonly anon_rss: Cell;
  readonly file_rss: Cell;
  /** rss_stat[MM_SHMEMPAGES]; undefined where the scenario has no files in memory. */
  readonly shmem_rss: Cell | undefined;
  /** By PMD: the page table deposited for a later split, 0 for none. Empty where the scenario has no huge pages. */
  readonly pmd_huge_pte: readonly Cell[];
  readonly vmas: Vma[] = [];
  /** Undefined: nobody counts them, the scenario calls exit_mmap() when it is time. */
  mm_users: Cell | undefined;
  /** The OOM killer may choose it: only then are MMF_OOM_SKIP and MMF_UNSTABLE looked at. Set-up says so. */
  oom_victim = false;
  /** Ghost: 1 after __mmdrop(). Undefined: it is never freed. */
  freed: Cell | undefined;
  /** Undefined: no notifier is ever registered on this mm, and the hooks for them do nothing. */
  notifier_subscriptions: MmuNotifierSubscriptions | undefined;

  constructor(
    readonly system: System,
    readonly space: AddressSpace,
    /** Index in `machine.spaces` and `kernel.mms`. */
    readonly number: number,
    thp = false,
    shmem = false,
    ptrsPerPmd?: number,
  ) {
    this.name = space.name;
    this.pmd = space.pmd;
    const cell = (i: number): Cell => system.cell(`${this.name}.pud[${i}]`);
    this.pud =
      ptrsPerPmd === undefined
        ? undefined
        : Array.from({ length: Math.ceil(space.pmd.length / ptrsPerPmd) }, (_, i) => cell(i));
    this.mmap_lock = new Rwsem(system, `${this.name}.mmap_lock`, 'mmap_lock');
    this.page_table_lock = system.cell(`${this.name}.page_table_lock`, 0, {
      type: holder,
      lockClass: 'pmd_lock',
    });
    this.write_protect_seq = system.cell(`${this.name}.write_protect_seq`);
    this.flags = system.cell(`${this.name}.flags`);
    this.tlb_flush_pending = system.cell(`${this.name}.tlb_flush_pending`);
    this.tlb_flush_batched = system.cell(`${this.name}.tlb_flush_batched`);
    this.anon_rss = system.cell(`${this.name}.anon_rss`);
    this.file_rss = system.cell(`${this.name}.file_rss`);
    this.shmem_rss = shmem ? system.cell(`${this.name}.shmem_rss`) : undefined;
    this.pmd_huge_pte = thp
      ? space.pmd.map((_, i) => system.cell(`${this.name}.pmd_huge_pte[${i}]`, 0, { type: frameRef }))
      : [];
  }
}

/** Whether somebody has changed entries and has still to flush. @context PTL held @kernel 6.12 include/linux/mm_types.h mm_tlb_flush_pending: faithful */
export function* mm_tlb_flush_pending(mm: Mm): Path<boolean> {
  return !(yield* equals(mm.tlb_flush_pending, 0));
}

/** struct rw_semaphore: -1 = a writer holds it, n > 0 = n readers; writers that wait keep new readers out. */
export class Rwsem {
  readonly count: Cell;
  readonly waiters: Cell;
  constructor(
    system: System,
    readonly name: string,
    lockClass: string,
  ) {
    this.count = system.cell(name, 0, {
      type: {
        name: 'rwsem',
        show: (value) => (value < 0 ? 'write-locked' : value === 0 ? 'free' : `${value} readers`),
      },
      lockClass,
      sleeps: true,
    });
    this.waiters = system.cell(`${name}.waiters`);
  }
}

/** Where a PTE is: the table's frame and the index in it. */
export interface PtePointer {
  readonly table: Frame;
  readonly index: number;
  /** The entry; with PAE its low word. */
  readonly cell: Cell;
  /** PAE: the high word. */
  readonly high: Cell | undefined;
}

export type { Machine };
