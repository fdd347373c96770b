// SPDX-License-Identifier: GPL-2.0-only
import type { Cell, Path, Process, Testbed } from '../../litmus/index.js';
import {
  EAGAIN,
  EBUSY,
  EINVAL,
  lockMappedFolio,
  make_device_exclusive_range,
  mk_pte,
  MMU_NOTIFY,
  mmap_read_lock,
  mmap_read_unlock,
  mmu_interval_notifier_remove,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  mmu_interval_set_seq,
  mmu_notifier_range_blockable,
  mutex_lock,
  mutex_trylock,
  mutex_unlock,
  ownerOf,
  page_folio,
  unlockAndPut,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  type MmuNotifierRange,
} from '../../linux/index.js';
import { choose, PTE } from '../../litmus/index.js';
import { type Device, deviceErase, deviceMap } from '../../machine/machine.js';

/** What a `single` driver leaves out. */
export interface SingleOptions {
  /** EXCLUSIVE events that the callback ignores: its own, none, all. */
  readonly filter?: 'own' | 'none' | 'any';
  /** Whether it asks, under its mutex, if an invalidation has come between. */
  readonly retry?: 'locked' | 'none';
  /** How long it holds the folio lock and its reference: until the page is mapped, or until make has returned. */
  readonly hold?: 'map' | 'make';
  /** The callback takes the lock of the folio that is mapped, which is wrong. */
  readonly callback?: 'mutex' | 'folio-lock';
  /** When it gives up: never, at any round, or after so many. */
  readonly timeout?: 'never' | 'any' | number;
}

/**
 * The smallest driver that follows the rules of make_device_exclusive_range(): one interval notifier over the region,
 * which sets the number and takes the entries away, and ignores its own EXCLUSIVE; one mutex.
 */
export class SingleDriver implements MmuIntervalNotifierOps {
  readonly mutex: Cell;
  readonly sub: MmuIntervalNotifier;
  private readonly filter: string;
  private readonly retry: string;
  private readonly hold: string;
  private readonly callback: string;
  private readonly timeout: 'never' | 'any' | number;

  constructor(
    m: Testbed,
    readonly gpu: Device,
    readonly process: Process,
    region: { readonly start: number; readonly end: number },
    options: SingleOptions = {},
  ) {
    const { filter = 'own', retry = 'locked', hold = 'map', callback = 'mutex', timeout = 'never' } = options;
    this.filter = filter;
    this.retry = retry;
    this.hold = hold;
    this.callback = callback;
    this.timeout = timeout;
    this.mutex = m.mutex(`${gpu.name}.mutex`);
    this.sub = process.intervalNotifier(region, this);
  }

  *invalidate(sub: MmuIntervalNotifier, range: MmuNotifierRange, cur_seq: number): Path<boolean> {
    const { gpu, mutex, filter } = this;
    if (range.event === MMU_NOTIFY.EXCLUSIVE) {
      if (filter === 'any' || (filter === 'own' && range.owner === ownerOf(gpu))) return true;
    }
    if (mmu_notifier_range_blockable(range)) yield* mutex_lock(mutex);
    else if (!(yield* mutex_trylock(mutex))) return false;
    if (this.callback === 'folio-lock') yield* lockMappedFolio(gpu, range.start);
    yield* mmu_interval_set_seq(sub, cur_seq);
    yield* deviceErase(gpu, range.start, range.end);
    yield* mutex_unlock(mutex);
    return true;
  }

  /** Stops listening. */
  *unregister(): Path {
    yield* mmu_interval_notifier_remove(this.sub);
  }

  /** Serves a fault of a device atomic at `addr`. Returns 0 or a negative error number. */
  *fault(addr: number): Path<number> {
    const { timeout, sub, mutex } = this;
    const mm = this.process.mm;
    let rounds = 0;
    for (;;) {
      const late = timeout === 'any' ? (yield* choose(2)) === 1 : rounds === timeout;
      if (late) return -EBUSY;
      if (timeout !== 'never' && timeout !== 'any') rounds++;
      const seq = yield* mmu_interval_read_begin(sub);
      yield* mmap_read_lock(mm);
      const { ret, pages } = yield* make_device_exclusive_range(mm, addr, addr + 1, ownerOf(this.gpu));
      yield* mmap_read_unlock(mm);
      const page = pages[0];
      if (page === undefined) return ret < 0 ? ret : -EINVAL;
      const folio = yield* page_folio(page);
      if (this.hold === 'make') yield* unlockAndPut(folio);
      yield* mutex_lock(mutex);
      const err = this.retry === 'locked' && (yield* mmu_interval_read_retry(sub, seq)) ? -EAGAIN : 0;
      if (err === 0)
        yield* deviceMap(this.gpu, addr, mk_pte(page, PTE.PRESENT | PTE.USER | PTE.RW | PTE.ATOMIC));
      yield* mutex_unlock(mutex);
      if (this.hold === 'map') yield* unlockAndPut(folio);
      if (err === 0) return 0;
    }
  }
}
