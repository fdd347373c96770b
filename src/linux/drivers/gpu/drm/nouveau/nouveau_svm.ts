// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../../../core/path.js';
import { choose, equals, read, write } from '../../../../../core/primitives.js';
import { type Cell, holder } from '../../../../../core/system.js';
import type { Device } from '../../../../../machine/machine.js';
import { PTE } from '../../../../../machine/pte.js';
import { EAGAIN, EBUSY, EINVAL } from '../../../../include/errno.js';
import type { Folio, Mm, Page } from '../../../../include/mm_types.js';
import { mmap_read_lock, mmap_read_unlock } from '../../../../include/mmap_lock.js';
import {
  MMU_NOTIFY,
  mmu_interval_read_retry,
  mmu_interval_set_seq,
  mmu_notifier_range_blockable,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  type MmuNotifier,
  type MmuNotifierOps,
  type MmuNotifierRange,
} from '../../../../include/mmu_notifier.js';
import { page_folio } from '../../../../include/page_ref.js';
import { folio_lock, folio_unlock } from '../../../../include/pagemap.js';
import { mk_pte, PAGE_SIZE, pte_page } from '../../../../include/pgtable.js';
import { defineMutex, mutex_lock, mutex_trylock, mutex_unlock } from '../../../../kernel/locking/mutex.js';
import { current, type Kernel, knob } from '../../../../kernel.js';
import { FOLL } from '../../../../mm/gup.js';
import { get_user_pages_remote } from '../../../../mm/gup-slow.js';
import { mmu_interval_read_begin } from '../../../../mm/mmu_notifier.js';
import {
  mmu_interval_notifier_insert,
  mmu_interval_notifier_remove,
} from '../../../../mm/mmu_notifier-interval.js';
import { make_device_exclusive_range } from '../../../../mm/rmap-exclusive.js';
import { folio_put, unlockAndPut } from '../../../../mm/swap.js';
import { nvkm_vmm_pfn_map, nvkm_vmm_pfn_unmap } from './nvkm/subdev/mmu/vmm.js';

/** When the loop gives up: never, at any round, or after so many rounds. */
export type Timeout = 'never' | 'any' | number;

/** Whom events of this device name as their owner: drm->dev. */
export const ownerOf = (device: Device): number => device.number + 1;

/**
 * A mirror of a process on a GPU.
 * @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_svm.c struct nouveau_svmm: adapted (one GPU address space; no unmanaged range)
 */
export class NouveauSvmm {
  /** Covers the GPU's page table. Callbacks take it, so nothing that can end in one is done under it. */
  readonly mutex: Cell;
  /** The agent + 1 that runs make_device_exclusive_range() for this mirror; knob nouveau.own_restore. */
  readonly maker: Cell | undefined;
  /** Knob nouveau.release. */
  readonly unmapsAtRelease: boolean;
  /** What the GPU's page table needs is made when it is needed. Else all of it is there. */
  readonly allocates: boolean;

  constructor(
    kernel: Kernel,
    /** drm->dev, with its vmm. */
    readonly device: Device,
    /** notifier.mm */
    readonly mm: Mm,
    { allocates = false }: { allocates?: boolean } = {},
  ) {
    const { system, knobs } = kernel;
    this.allocates = allocates;
    this.mutex = defineMutex(system, `${device.name}.svmm.mutex`, 'svmm.mutex');
    this.unmapsAtRelease = knobs['nouveau.release'] === 'unmaps';
    this.maker =
      knobs['nouveau.own_restore'] === 'filtered'
        ? system.cell(`${device.name}.maker`, 0, { type: holder })
        : undefined;
  }
}

/** Clears the range on the GPU, and waits until the GPU is done with it. @context svmm->mutex held @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_svm.c nouveau_svmm_invalidate: faithful */
export function* nouveau_svmm_invalidate(svmm: NouveauSvmm, start: number, limit: number): Path {
  if (limit <= start) return;
  yield* nvkm_vmm_pfn_unmap(svmm, start, limit); // NVIF_VMM_V0_PFNCLR
}

/** The classic subscription of a mirror: what takes entries away from the GPU. */
export class NouveauMnOps implements MmuNotifierOps {
  /** Knob nouveau.release. exit_mmap() takes the subscription off the list, so the UNMAP that follows does not reach it. */
  readonly release?: (mn: MmuNotifier, mm: Mm) => Path;

  constructor(private readonly svmm: NouveauSvmm) {
    if (svmm.unmapsAtRelease) this.release = () => this.unmapAll();
  }

  private *unmapAll(): Path {
    const { svmm } = this;
    yield* mutex_lock(svmm.mutex);
    yield* nouveau_svmm_invalidate(svmm, 0, svmm.mm.space.pages);
    yield* mutex_unlock(svmm.mutex);
  }

  /**
   * @context may sleep if the range is blockable
   * @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_svm.c nouveau_svmm_invalidate_range_start: adapted (the vmm is always there)
   */
  *invalidate_range_start(_mn: MmuNotifier, update: MmuNotifierRange): Path<number> {
    const { svmm } = this;
    if (!mmu_notifier_range_blockable(update)) return -EAGAIN;
    yield* mutex_lock(svmm.mutex);
    // The GPU's part in a migration of its own is its migration code's business.
    const own = update.event === MMU_NOTIFY.MIGRATE && update.owner === ownerOf(svmm.device);
    if (!own || knob('nouveau.migrate_event') === 'obeyed')
      yield* nouveau_svmm_invalidate(svmm, update.start, update.end);
    yield* mutex_unlock(svmm.mutex);
    return 0;
  }
}

/** The subscription that is there while a fault is served: it counts what comes between, the classic one clears. */
export class NouveauSvmMniOps implements MmuIntervalNotifierOps {
  constructor(private readonly svmm: NouveauSvmm) {}

  /**
   * The mutex keeps the number from changing between the fault's look at it and the GPU's entry. Taking nothing away
   * here is right only since classic subscriptions are called after interval ones.
   * @context may sleep if the range is blockable
   * @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_svm.c nouveau_svm_range_invalidate: faithful
   */
  *invalidate(mni: MmuIntervalNotifier, range: MmuNotifierRange, cur_seq: number): Path<boolean> {
    const { svmm } = this;
    if (yield* isFiltered(svmm, range)) return true;
    if (mmu_notifier_range_blockable(range)) yield* mutex_lock(svmm.mutex);
    else if (!(yield* mutex_trylock(svmm.mutex))) return false;
    if (knob('nouveau.callback_lock') === 'folio') yield* lockMappedFolio(svmm.device, range.start);
    yield* mmu_interval_set_seq(mni, cur_seq);
    yield* mutex_unlock(svmm.mutex);
    return true;
  }
}

/** Knobs nouveau.owner_filter, nouveau.own_restore: whether the event is none that the fault need hear of. @context any */
function* isFiltered(svmm: NouveauSvmm, range: MmuNotifierRange): Path<boolean> {
  const filter = knob('nouveau.owner_filter');
  if (range.event === MMU_NOTIFY.EXCLUSIVE) {
    if (filter === 'on' && range.owner === ownerOf(svmm.device)) return true;
    if (filter === 'any-owner') return true;
  }
  return svmm.maker !== undefined && (yield* equals(svmm.maker, current.task.agent + 1));
}

/** What a callback must not do: takes the lock of the folio that the device has at an address, and gives it back. @context may sleep; svmm->mutex held, which is the mistake */
export function* lockMappedFolio(device: Device, addr: number): Path {
  const entry = yield* read(device.pte[addr]!);
  if (entry === 0) return;
  const folio = yield* page_folio(pte_page(entry));
  yield* folio_lock(folio);
  yield* folio_unlock(folio);
}

/**
 * Serves a fault of a GPU atomic at `start`: makes the page exclusive and maps it, again until no invalidation has come
 * between. The folio lock is held until the GPU has its entry, so that a CPU that faults waits for that. Returns 0 or a
 * negative error number, after which the fault is cancelled.
 * @context may sleep; no locks held; mm_users held
 * @kernel 6.12 drivers/gpu/drm/nouveau/nouveau_svm.c nouveau_atomic_range_fault: adapted (time runs out by rounds, or by choice)
 */
export function* nouveau_atomic_range_fault(
  svmm: NouveauSvmm,
  start: number,
  notifier: MmuIntervalNotifier,
  timeout: Timeout = 'never',
): Path<number> {
  const { mm } = svmm;
  let ret = yield* mmu_interval_notifier_insert(notifier, mm, start, PAGE_SIZE);
  if (ret !== 0) return ret;
  let page: Page | undefined;
  let folio: Folio | undefined;
  let rounds = 0;
  for (;;) {
    if (typeof timeout === 'number' ? rounds === timeout : timeout === 'any' && (yield* choose(2)) === 1) {
      ret = -EBUSY;
      break;
    }
    if (typeof timeout === 'number') rounds++;
    if (knob('nouveau.begin') === 'after-gup') yield* faultIn(mm, start);
    const notifier_seq = yield* mmu_interval_read_begin(notifier);
    page = yield* makePage(svmm, start);
    if (page === undefined) {
      ret = -EINVAL;
      break;
    }
    folio = yield* page_folio(page);
    if (knob('nouveau.hold_folio') === 'off') yield* unlockAndPut(folio);
    yield* mutex_lock(svmm.mutex);
    if (knob('nouveau.read_retry') === 'none' || !(yield* mmu_interval_read_retry(notifier, notifier_seq)))
      break;
    yield* mutex_unlock(svmm.mutex);
    if (knob('nouveau.hold_folio') === 'on') yield* unlockAndPut(folio);
  }
  if (ret === 0) {
    // NVIF_VMM_V0_PFNMAP
    const entry = mk_pte(page!, PTE.PRESENT | PTE.USER | PTE.RW | PTE.ATOMIC);
    ret = yield* nvkm_vmm_pfn_map(svmm, start, entry);
    yield* mutex_unlock(svmm.mutex);
    if (knob('nouveau.hold_folio') === 'on') yield* unlockAndPut(folio!);
  }
  yield* mmu_interval_notifier_remove(notifier);
  return ret;
}

/** The page at `start`, exclusive, locked and referenced; undefined if it is refused. @context may sleep */
function* makePage(svmm: NouveauSvmm, start: number): Path<Page | undefined> {
  const { mm, device, maker } = svmm;
  if (maker !== undefined) yield* write(maker, current.task.agent + 1);
  yield* mmap_read_lock(mm);
  const { ret, pages } = yield* make_device_exclusive_range(mm, start, start + PAGE_SIZE, ownerOf(device));
  yield* mmap_read_unlock(mm);
  if (maker !== undefined) yield* write(maker, 0);
  return ret <= 0 ? undefined : pages[0];
}

/** Knob nouveau.begin: has the page mapped for stores, so that the make to come finds it so. @context may sleep */
function* faultIn(mm: Mm, start: number): Path {
  yield* mmap_read_lock(mm);
  const { pages } = yield* get_user_pages_remote(mm, start, 1, FOLL.GET | FOLL.WRITE);
  const page = pages[0];
  if (page !== undefined) yield* folio_put(yield* page_folio(page));
  yield* mmap_read_unlock(mm);
}
