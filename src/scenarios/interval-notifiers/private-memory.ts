// SPDX-License-Identifier: GPL-2.0-only
import type { Cell, Path, Process, Testbed } from '../../litmus/index.js';
import { deviceLoad, deviceStore, read, write } from '../../litmus/index.js';
import {
  clear_user_highpage,
  copy_user_page,
  type DevPagemap,
  EBUSY,
  EFAULT,
  HMM_PFN,
  hmm_pfn_to_page,
  hmm_range_fault,
  MIGRATE_PFN,
  migrate_device_finalize,
  migrate_device_pages,
  migrate_device_range,
  migrate_pfn,
  migrate_pfn_to_page,
  MIGRATE_VMA_SELECT,
  migrate_vma_finalize,
  migrate_vma_pages,
  migrate_vma_setup,
  type MigrateVma,
  mk_pte,
  type Mm,
  mmap_read_lock,
  mmap_read_unlock,
  MMU_NOTIFY,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  mmu_interval_set_seq,
  type MmuIntervalNotifier,
  mutex_lock,
  mutex_unlock,
  ownerOf,
  type Page,
  spin_lock,
  spin_unlock,
  type Vma,
  zone_device_page_init,
} from '../../linux/index.js';
import { frameRef, holder } from '../../core/system.js';
import { Use } from '../../machine/frame.js';
import { type Device, deviceErase, deviceMap } from '../../machine/machine.js';
import { PTE } from '../../machine/pte.js';
import { bringBack, copyToRam, migration } from '../device-memory.js';

export interface PrivateMemoryOptions {
  /** Pages of device memory. */
  readonly nr?: number;
  readonly type?: 'PRIVATE' | 'COHERENT';
  /** MMU_NOTIFY_MIGRATE events of the device's own migrations: as all others, or left alone, as test_hmm does. */
  readonly ownEvents?: 'obeyed' | 'ignored';
  /** The callback takes the range off the device. */
  readonly obeys?: boolean;
  /** Asks mmu_interval_read_retry() before it maps. */
  readonly retry?: boolean;
  /** The list of free pages is edited under its lock. */
  readonly listLock?: boolean;
}

/** A device with memory of its own that mirrors a process, and its driver: what test_hmm does, with less around it. */
export class PrivateMemory {
  readonly owner: number;
  readonly mm: Mm;
  readonly pgmap: DevPagemap;
  readonly sub: MmuIntervalNotifier;
  /** Covers the device's page table. */
  private readonly user_lock: Cell;
  /** Covers the list of free pages: the first one + 1. */
  private readonly lock: Cell;
  private readonly free_pages: Cell;
  private readonly migrate_to: number;
  private readonly retry: boolean;
  private readonly listLock: boolean;

  constructor(
    m: Testbed,
    name: string,
    readonly gpu: Device,
    p: Process,
    {
      nr = 1,
      type = 'PRIVATE',
      ownEvents = 'obeyed',
      retry = true,
      obeys = true,
      listLock = true,
    }: PrivateMemoryOptions = {},
  ) {
    const { system } = m.kernel;
    this.mm = p.mm;
    this.retry = retry;
    this.listLock = listLock;
    this.owner = ownerOf(gpu);
    this.user_lock = m.mutex(`${name}.lock`);
    this.lock = system.cell(`${name}.memory.lock`, 0, { type: holder, lockClass: `${name}.memory.lock` });
    this.free_pages = system.cell(`${name}.free_pages`, 0, { type: frameRef });
    this.pgmap = m.deviceMemory(`${name}.memory`, type, this.owner, nr, {
      migrate_to_ram: (vmf) => bringBack(vmf, this.owner),
      page_free: (page) => this.free(page),
    });
    this.migrate_to =
      type === 'PRIVATE' ? MIGRATE_VMA_SELECT.DEVICE_PRIVATE : MIGRATE_VMA_SELECT.DEVICE_COHERENT;
    const { user_lock, owner } = this;
    this.sub = p.intervalNotifier(
      { start: 0, end: p.mm.space.pages },
      {
        *invalidate(self, range, cur_seq) {
          if (ownEvents === 'ignored' && range.event === MMU_NOTIFY.MIGRATE && range.owner === owner)
            return true;
          yield* mutex_lock(user_lock);
          yield* mmu_interval_set_seq(self, cur_seq);
          if (obeys) yield* deviceErase(gpu, range.start, range.end);
          yield* mutex_unlock(user_lock);
          return true;
        },
      },
    );
    this.link();
  }

  /** Set-up: the list of the pages that are free. Again after inDeviceMemory(). */
  link(): void {
    this.free_pages.init(0);
    for (const page of [...this.pgmap.pages].reverse()) {
      const free = page.frame.use.value === Use.DEVICE;
      page.zone_device_data!.init(free ? this.free_pages.value : 0);
      if (free) this.free_pages.init(page.pfn + 1);
    }
  }

  private *free(page: Page): Path {
    if (this.listLock) yield* spin_lock(this.lock);
    yield* write(page.zone_device_data!, yield* read(this.free_pages));
    yield* write(this.free_pages, page.pfn + 1);
    if (this.listLock) yield* spin_unlock(this.lock);
  }

  /** A page of device memory, locked and referenced; undefined if there is none. */
  private *alloc(): Path<Page | undefined> {
    const { pages } = this.pgmap;
    if (this.listLock) yield* spin_lock(this.lock);
    const first = yield* read(this.free_pages);
    const page = pages[first === 0 ? -1 : first - 1 - pages[0]!.pfn];
    if (page !== undefined) {
      yield* write(this.free_pages, yield* read(page.zone_device_data!));
      yield* write(page.zone_device_data!, 0);
    }
    if (this.listLock) yield* spin_unlock(this.lock);
    if (page !== undefined) yield* zone_device_page_init(page);
    return page;
  }

  /** Pages of RAM, and where there are none, go to the device. Returns how many, or a negative error number. @context may sleep */
  *toDevice(vma: Vma, start: number, end: number): Path<number> {
    const args = migration({ vma, start, end }, this.owner, MIGRATE_VMA_SELECT.SYSTEM);
    yield* mmap_read_lock(this.mm);
    const err = yield* migrate_vma_setup(args);
    if (err !== 0) {
      yield* mmap_read_unlock(this.mm);
      return err;
    }
    for (let i = 0; i < args.npages; i++) {
      if (!(args.src[i]! & MIGRATE_PFN.MIGRATE)) continue;
      const dpage = yield* this.alloc();
      if (dpage === undefined) continue;
      const spage = migrate_pfn_to_page(args.src[i]!);
      if (spage === undefined) yield* clear_user_highpage(dpage);
      else yield* copy_user_page(dpage, spage);
      args.dst[i] = migrate_pfn(dpage.pfn);
    }
    return yield* this.finish(args);
  }

  /** Pages of the device's memory go back to RAM. Returns how many, or a negative error number. @context may sleep */
  *toSystem(vma: Vma, start: number, end: number): Path<number> {
    const args = migration({ vma, start, end }, this.owner, this.migrate_to);
    yield* mmap_read_lock(this.mm);
    const err = yield* migrate_vma_setup(args);
    if (err !== 0) {
      yield* mmap_read_unlock(this.mm);
      return err;
    }
    yield* copyToRam(args);
    return yield* this.finish(args);
  }

  private *finish(args: MigrateVma): Path<number> {
    yield* migrate_vma_pages(args);
    const done = args.src.filter((src, i) => src & MIGRATE_PFN.MIGRATE && args.dst[i] !== 0).length;
    yield* migrate_vma_finalize(args);
    yield* mmap_read_unlock(this.mm);
    return done;
  }

  /** All of the device's memory is given back, whoever has it. @context may sleep */
  *evict(): Path {
    const { pages } = this.pgmap;
    const src: number[] = [];
    const range = { vma: undefined, start: 0, end: 0 };
    yield* migrate_device_range(src, pages[0]!.pfn, pages.length);
    const args: MigrateVma = { ...migration(range, this.owner, 0), src, npages: pages.length };
    for (let i = 0; i < pages.length; i++) args.dst[i] = 0;
    yield* copyToRam(args);
    yield* migrate_device_pages(src, args.dst, pages.length);
    yield* migrate_device_finalize(src, args.dst, pages.length);
  }

  /** Serves a fault of the device. Returns 0 or a negative error number. @context may sleep */
  *fault(addr: number, writes: boolean): Path<number> {
    const { sub, mm, user_lock } = this;
    for (;;) {
      const notifier_seq = yield* mmu_interval_read_begin(sub);
      const range = {
        notifier: sub,
        notifier_seq,
        start: addr,
        end: addr + 1,
        hmm_pfns: [0],
        default_flags: HMM_PFN.REQ_FAULT | (writes ? HMM_PFN.REQ_WRITE : 0),
        pfn_flags_mask: 0,
        dev_private_owner: this.owner,
      };
      yield* mmap_read_lock(mm);
      const err = yield* hmm_range_fault(range);
      yield* mmap_read_unlock(mm);
      if (err === -EBUSY) continue;
      if (err !== 0) return err;
      yield* mutex_lock(user_lock);
      const hit = this.retry && (yield* mmu_interval_read_retry(sub, notifier_seq));
      const writable = (range.hmm_pfns[0]! & HMM_PFN.WRITE) !== 0;
      if (!hit && (writable || !writes)) {
        const entry = mk_pte(hmm_pfn_to_page(range.hmm_pfns[0]!), PTE.PRESENT | (writable ? PTE.RW : 0));
        yield* deviceMap(this.gpu, addr, entry);
      }
      yield* mutex_unlock(user_lock);
      if (!hit) return writable || !writes ? 0 : -EFAULT;
    }
  }

  /** The device loads from a page. Returns its contents or a negative error number. @context may sleep */
  *load(addr: number): Path<number> {
    for (;;) {
      const value = yield* deviceLoad(this.gpu, addr);
      if (value !== undefined) return value;
      const err = yield* this.fault(addr, false);
      if (err !== 0) return err;
    }
  }

  /** The device stores to a page. Returns 0 or a negative error number. @context may sleep */
  *store(addr: number, value: number): Path<number> {
    for (;;) {
      if ((yield* deviceStore(this.gpu, addr, value)) !== undefined) return 0;
      const err = yield* this.fault(addr, true);
      if (err !== 0) return err;
    }
  }
}
