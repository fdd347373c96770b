// SPDX-License-Identifier: MIT
/**
 * GUARDED-BY: who looks at a field, or changes it, holds the lock that covers it. A run of one operation after the other
 * has no races, so this is what notices there that a lock is missing. The rules are those that the kernel documents:
 * Documentation/mm/process_addrs.rst and split_page_table_lock.rst, and the comments at the fields.
 */
import { Op } from '../core/ops.js';
import type { Cell } from '../core/system.js';
import { type Mm, type Page, PG, type Rwsem, type Vma } from '../linux/include/mm_types.js';
import type { MmuIntervalNotifier } from '../linux/include/mmu_notifier.js';
import type { Kernel } from '../linux/kernel.js';
import { VMA } from '../linux/mm/vma-tree.js';
import { pfnOf, swapType, SwapType } from '../machine/pte.js';
import type { Context } from './lock-context.js';

/** What an agent holds, where it stands. */
export interface Holding {
  readonly now: Context;
  has(lock: Cell): boolean;
  /** For write. */
  writes(lock: Rwsem): boolean;
  hasClass(lockClass: string): boolean;
}

/** Returns what is missing, if something is. */
type Test = (holding: Holding, value: number, op: number) => string | undefined;

/** Of one field: what it takes to look at it, and to change it. */
export interface Rule {
  readonly read?: Test;
  readonly write?: Test;
}

const PTL = 'ptl';
const EXCLUSIVE = new Set<number>([SwapType.DEVICE_EXCLUSIVE_READ, SwapType.DEVICE_EXCLUSIVE_WRITE]);
const ANON_VMA = 'anon_vma';
const I_MMAP = 'i_mmap_rwsem';

/** The rules for the fields of one kernel, by cell. Pools grow: what is not known yet is looked up when it is met. */
export class Guarded {
  private readonly rules: (Rule | undefined)[] = [];
  private known = 0;
  private frames = 0;

  constructor(private readonly kernel: Kernel) {}

  of(cell: number): Rule | undefined {
    if (cell >= this.known) this.lookUp();
    return this.rules[cell];
  }

  private set(cell: Cell | undefined, rule: Rule): void {
    if (cell !== undefined) this.rules[cell.at] = rule;
  }

  private lookUp(): void {
    const { kernel } = this;
    for (; this.frames < kernel.mem_map.length; this.frames++) this.page(kernel.mem_map[this.frames]!);
    for (const mm of kernel.mms) {
      this.mm(mm);
      for (const vma of mm.vmas) this.vma(vma);
    }
    for (const anon_vma of kernel.anon_vma_pool ?? []) {
      if (anon_vma === undefined) continue;
      const rule: Rule = {
        // One that no VMA is linked to is new, or about to be freed.
        write: ({ writes }) =>
          anon_vma.rb_root.value === 0 || writes(kernel.anon_vmas[anon_vma.root.value]!)
            ? undefined
            : 'the lock of its root for write',
      };
      for (const cell of [anon_vma.num_children, anon_vma.num_active_vmas]) this.set(cell, rule);
      this.set(anon_vma.rb_root, {
        write: ({ writes }) =>
          writes(kernel.anon_vmas[anon_vma.root.value]!) ? undefined : 'the lock of its root for write',
      });
    }
    for (const inode of kernel.inodes ?? []) {
      if (inode === undefined) continue;
      const covered: Rule = {
        write: ({ has }) => (has(inode.xa_lock) ? undefined : 'the lock of i_pages'),
      };
      for (const cell of inode.i_pages) this.set(cell, covered);
    }
    for (const { lock, free_pages, devmem_lock, devmem_count, devmem_chunks } of kernel.dmirror_devices) {
      // Without memory there is no list.
      const list: Test = ({ has }) => (has(lock) || devmem_count.value === 0 ? undefined : lock.name);
      const chunks: Test = ({ has }) => (has(devmem_lock) ? undefined : devmem_lock.name);
      this.set(free_pages, { read: list, write: list });
      this.set(devmem_count, { write: chunks });
      for (const { remove } of devmem_chunks) this.set(remove, { write: chunks });
    }
    this.known = kernel.system.cells.length;
  }

  private page(page: Page): void {
    const { frame, ptl, lock } = page;
    const { system, mem_map } = this.kernel;
    const isMmapLock = (cell: number): boolean => system.lockClasses[cell] === 'mmap_lock';
    // A table is looked at in an RCU read-side section, or with interrupts off, or it might be freed.
    const entry: Rule = {
      read: ({ now }) => (now.rcu > 0 || now.irqsOff ? undefined : 'RCU'),
      write: ({ has, now }, value, op) => {
        if (!has(ptl)) return ptl.name;
        if (op !== Op.WRITE || !EXCLUSIVE.has(swapType(value))) return undefined;
        // It is made of a locked page, whose lock a fault waits for; who moves or protects it keeps faults out.
        if (now.held.some(({ cell, shared }) => isMmapLock(cell) && shared !== true)) return undefined;
        const { lock: made } = mem_map[pfnOf(value)]!;
        return has(made) ? undefined : made.name;
      },
    };
    for (const cell of [...frame.pte, ...frame.pteHigh]) this.set(cell, entry);
    const locked: Test = ({ has }) => (has(lock) ? undefined : lock.name);
    // A page of a file gets new mappings while it is locked, or truncation would miss them, and from fork().
    this.set(page._mapcount, {
      write: (holding, change) => {
        if (!holding.hasClass(PTL)) return 'a PTL';
        const forks = holding.now.held.some(({ subclass, cell }) => subclass > 0 && isMmapLock(cell));
        return change > 0 && page.mapping.value < 0 && !forks ? locked(holding, change, 0) : undefined;
      },
    });
    this.set(page.flags, {
      write: ({ has, hasClass }, bits) => {
        if (bits & PG.swapcache && !(bits & PG.anon) && page._refcount.value > 0 && !has(lock))
          return lock.name;
        return bits & PG.anon_exclusive && page._refcount.value > 0 && !hasClass(PTL) ? 'a PTL' : undefined;
      },
    });
    this.set(page.swap, { write: locked });
    this.set(page.mapping, {
      write: (holding) =>
        page.frame.use.value === 0 || page._refcount.value <= 0 ? undefined : locked(holding, 0, 0),
    });
  }

  private mm(mm: Mm): void {
    // A table is unlinked after its VMAs, by who has the mmap_lock in any mode.
    const toPmd: Test = ({ has }, value) =>
      has(mm.page_table_lock) || (value === 0 && has(mm.mmap_lock.count))
        ? undefined
        : mm.page_table_lock.name;
    // Page tables are not freed meanwhile.
    const walks: Test = ({ has, now, hasClass }) =>
      now.irqsOff || has(mm.mmap_lock.count) || hasClass(ANON_VMA) || hasClass(I_MMAP)
        ? undefined
        : mm.mmap_lock.name;
    for (const cell of mm.pmd) this.set(cell, { read: walks, write: toPmd });
    this.set(mm.write_protect_seq, {
      write: ({ writes }) => (writes(mm.mmap_lock) ? undefined : `${mm.mmap_lock.name} for write`),
    });
    const batched: Test = ({ hasClass }) => (hasClass(PTL) ? undefined : 'a PTL');
    this.set(mm.tlb_flush_batched, { read: batched });
    const { notifier_subscriptions: subscriptions } = mm;
    if (subscriptions === undefined) return;
    const { lock, invalidate_seq, active_invalidate_ranges, has_itree } = subscriptions;
    const covered: Test = ({ has }) => (has(lock) ? undefined : lock.name);
    this.set(invalidate_seq, { read: covered, write: covered });
    this.set(active_invalidate_ranges, { write: covered });
    for (const sub of subscriptions.interval_subs) this.subscription(sub, lock);
    this.set(has_itree, { write: ({ writes }) => (writes(mm.mmap_lock) ? undefined : mm.mmap_lock.name) });
  }

  /** The number is set and compared under a lock of the driver's; a marked load is a hint. */
  private subscription(sub: MmuIntervalNotifier, lock: Cell): void {
    const mirror = this.kernel.dmirror_devices
      .flatMap(({ mirrors }) => mirrors)
      .find(({ notifier, snapshot }) => notifier === sub || snapshot === sub);
    if (mirror === undefined) return;
    const either: Test = ({ has }) => (has(lock) || has(mirror.mutex) ? undefined : mirror.mutex.name);
    this.set(sub.invalidate_seq, {
      read: (holding, value, op) => (op === Op.LOAD ? either(holding, value, op) : undefined),
      write: either,
    });
  }

  private vma(vma: Vma): void {
    const { vm_mm: mm, attached, anon_vma, vm_file } = vma;
    const { kernel } = this;
    const isInTree = (): boolean => attached.value === VMA.ATTACHED;
    const read: Test = ({ has, hasClass }) =>
      !isInTree() || has(mm.mmap_lock.count) || hasClass(ANON_VMA) || hasClass(I_MMAP)
        ? undefined
        : mm.mmap_lock.name;
    const write: Test = ({ writes }) =>
      !isInTree() || writes(mm.mmap_lock) ? undefined : `${mm.mmap_lock.name} for write`;
    /** Where rmap walks look for it. */
    const place: Test = (holding, value) => {
      const missing = write(holding, value, 0);
      if (missing !== undefined || !isInTree()) return missing;
      const inode = vm_file.value === 0 ? undefined : kernel.inodes?.[vm_file.value];
      if (inode !== undefined && !holding.writes(inode.i_mmap_rwsem)) return inode.i_mmap_rwsem.name;
      if (anon_vma.value === 0 || kernel.anon_vma_pool === undefined) return undefined;
      const root = kernel.anon_vma_pool[anon_vma.value]!.root.value;
      return holding.writes(kernel.anon_vmas[root]!) ? undefined : kernel.anon_vmas[root]!.name;
    };
    for (const cell of [vma.vm_start, vma.vm_end, vma.vm_pgoff]) this.set(cell, { read, write: place });
    this.set(vma.vm_flags, { read, write });
    this.set(attached, {
      write: ({ writes }) => (writes(mm.mmap_lock) ? undefined : `${mm.mmap_lock.name} for write`),
    });
    this.set(anon_vma, {
      read,
      write: ({ has, writes }) =>
        !isInTree() || has(mm.page_table_lock) || writes(mm.mmap_lock) ? undefined : mm.page_table_lock.name,
    });
    const { anon_vma_chain: chain } = vma;
    if (chain === undefined) return;
    this.set(chain.length, {
      write: ({ has, writes }) =>
        !isInTree() || writes(mm.mmap_lock) || (has(mm.mmap_lock.count) && has(mm.page_table_lock))
          ? undefined
          : `${mm.mmap_lock.name} for write`,
    });
    const link: Rule = {
      write: ({ hasClass }) => (hasClass(ANON_VMA) ? undefined : 'the lock of an anon_vma'),
    };
    for (const cell of chain.anon_vma) this.set(cell, link);
  }
}

/** What it takes to carry out operations of the kernel's, and of devices, by number. */
export function guardedOps(
  kernel: Kernel,
): ReadonlyMap<number, (holding: Holding, a: number, b: number, c: number) => string | undefined> {
  const { op, machine, interval_subs, mem_map, mms } = kernel;
  const has = (holding: Holding, lock: Cell | undefined): string | undefined =>
    lock === undefined || holding.has(lock) ? undefined : lock.name;
  const mirrorOf = (device: number): Cell | undefined =>
    kernel.dmirror_devices
      .flatMap(({ mirrors }) => mirrors)
      .find((mirror) => mirror.device === machine.devices[device])?.mutex;
  const ofMirror = (holding: Holding, device: number): string | undefined => has(holding, mirrorOf(device));
  const ofSubscription = (holding: Holding, sub: number): string | undefined =>
    has(holding, interval_subs[sub]!.mm.notifier_subscriptions!.lock);
  const ofSubscriptions = (holding: Holding, mm: number): string | undefined =>
    has(holding, mms[mm]!.notifier_subscriptions!.lock);
  return new Map([
    [op.iMmapNext, (holding, inode) => has(holding, kernel.inodes![inode]!.i_mmap_rwsem.count)],
    [
      op.anonVmaNext,
      (holding, anon_vma) =>
        has(holding, kernel.anon_vmas[kernel.anon_vma_pool![anon_vma]!.root.value]!.count),
    ],
    [
      op.addNewAnonRmap,
      (holding, pfn) => {
        const page = mem_map[pfn - 1]!;
        if (!holding.hasClass(PTL)) return 'a PTL';
        return page.flags.value & PG.swapcache ? has(holding, page.lock) : undefined;
      },
    ],
    [op.vmAreaDup, (holding, mm) => has(holding, mms[mm]!.mmap_lock.count)],
    [machine.op.devMap, ofMirror],
    [machine.op.devLoad, ofMirror],
    [machine.op.devStore, ofMirror],
    [op.itreeInsert, ofSubscription],
    [op.itreeRemove, ofSubscription],
    [op.deferredAdd, ofSubscription],
    [
      op.deferredDel,
      (holding, sub) => (sub < interval_subs.length ? ofSubscription(holding, sub) : undefined),
    ],
    [op.itreeFirst, ofSubscriptions],
    [op.invActiveDec, ofSubscriptions],
    [op.invSeqEven, ofSubscriptions],
  ]);
}
