// SPDX-License-Identifier: GPL-2.0-only
/** On-demand paging: memory that an RDMA card reaches by a page table, filled as it faults. */
import type { Path } from '../../../../core/path.js';
import { add, read, write } from '../../../../core/primitives.js';
import { type Cell, type Guard, holder } from '../../../../core/system.js';
import { PTE, pteType } from '../../../../machine/pte.js';
import { EBUSY } from '../../../include/errno.js';
import { lockdep_assert_held } from '../../../include/lockdep.js';
import type { Mm } from '../../../include/mm_types.js';
import { mmap_read_lock, mmap_read_unlock } from '../../../include/mmap_lock.js';
import { mmu_interval_read_retry, type MmuIntervalNotifier } from '../../../include/mmu_notifier.js';
import { page_folio } from '../../../include/page_ref.js';
import { mk_pte, PAGE_SIZE, pte_page } from '../../../include/pgtable.js';
import { mutex_lock, mutex_unlock } from '../../../kernel/locking/mutex.js';
import { type Kernel, knob } from '../../../kernel.js';
import { HMM_PFN, hmm_pfn_to_page } from '../../../include/hmm.js';
import { hmm_range_fault } from '../../../mm/hmm.js';
import { mmu_interval_read_begin } from '../../../mm/mmu_notifier.js';
import { mmu_interval_notifier_remove } from '../../../mm/mmu_notifier-interval.js';
import { folio_mark_dirty } from '../../../mm/page-writeback.js';

/**
 * struct ib_umem_odp: pages [start, end) of a process.
 * @kernel 6.12 include/rdma/ib_umem_odp.h struct ib_umem_odp: adapted (pfn_list and dma_list are one; one page size)
 */
export class IbUmemOdp {
  /** Covers the page list and the card's page table. The callback takes it. */
  readonly umem_mutex: Cell;
  /** Pages that are mapped for DMA. */
  readonly npages: Cell;
  /** By page: the entry, 0 for none. */
  readonly dma_list: readonly Cell[];
  /** Set-up gives it. */
  notifier: MmuIntervalNotifier | undefined;

  constructor(
    { system }: Kernel,
    name: string,
    readonly owning_mm: Mm,
    readonly start: number,
    readonly end: number,
    /** Until when the record lives. */
    guard: Guard,
  ) {
    this.umem_mutex = system.cell(`${name}.umem_mutex`, 0, {
      type: holder,
      lockClass: 'umem_mutex',
      sleeps: true,
      guard,
    });
    this.npages = system.cell(`${name}.npages`, 0, { guard });
    this.dma_list = Array.from({ length: end - start }, (_, i) =>
      system.cell(`${name}.dma_list[${i}]`, 0, { type: pteType, guard }),
    );
  }
}

/** Set-up: the page is mapped for DMA already. */
export function setDmaPage({ dma_list, npages, start }: IbUmemOdp, addr: number, entry: number): void {
  dma_list[addr - start]!.init(entry);
  npages.init(npages.value + 1);
}

/** @context umem_mutex held @kernel 6.12 drivers/infiniband/core/umem_odp.c ib_umem_odp_map_dma_single_page: adapted (no IOMMU) */
function* ib_umem_odp_map_dma_single_page(odp: IbUmemOdp, dma_index: number, entry: number): Path {
  const dma_addr = odp.dma_list[dma_index]!;
  const old = yield* read(dma_addr);
  if (old === 0) yield* add(odp.npages, 1);
  yield* write(dma_addr, entry);
}

/**
 * Finds a page, faulting it in for stores, and maps it for DMA. Returns 0 with umem_mutex held, until the card has its
 * entry; or a negative error number.
 * @context may sleep
 * @kernel 6.12 drivers/infiniband/core/umem_odp.c ib_umem_odp_map_dma_and_lock: adapted (one page; the process is there; time does not run out)
 */
export function* ib_umem_odp_map_dma_and_lock(odp: IbUmemOdp, user_virt: number): Path<number> {
  const { owning_mm, umem_mutex, start } = odp;
  const notifier = odp.notifier!;
  const hmm_pfns = [0];
  for (;;) {
    const current_seq = yield* mmu_interval_read_begin(notifier);
    yield* mmap_read_lock(owning_mm);
    const ret = yield* hmm_range_fault({
      notifier,
      notifier_seq: current_seq,
      start: user_virt,
      end: user_virt + PAGE_SIZE,
      hmm_pfns,
      default_flags: HMM_PFN.REQ_FAULT | HMM_PFN.REQ_WRITE,
      pfn_flags_mask: 0,
    });
    yield* mmap_read_unlock(owning_mm);
    if (ret === -EBUSY) continue;
    if (ret !== 0) return ret;
    yield* mutex_lock(umem_mutex);
    if (!(yield* mmu_interval_read_retry(notifier, current_seq))) break;
    yield* mutex_unlock(umem_mutex);
  }
  const entry = mk_pte(hmm_pfn_to_page(hmm_pfns[0]!), PTE.PRESENT | PTE.RW);
  yield* ib_umem_odp_map_dma_single_page(odp, user_virt - start, entry);
  return 0;
}

/**
 * Unmaps pages for DMA. What the card may have stored to is dirty: the page is still there, since the callback that waits
 * for umem_mutex has not returned.
 * @context umem_mutex held
 * @kernel 6.12 drivers/infiniband/core/umem_odp.c ib_umem_odp_unmap_dma_pages: adapted (no IOMMU)
 */
export function* ib_umem_odp_unmap_dma_pages(odp: IbUmemOdp, virt: number, bound: number): Path {
  const { start, end, dma_list, npages, umem_mutex } = odp;
  lockdep_assert_held(umem_mutex);
  for (let addr = Math.max(virt, start); addr < Math.min(bound, end); addr += PAGE_SIZE) {
    const dma = dma_list[addr - start]!;
    const entry = yield* read(dma);
    if (entry === 0) continue;
    if (entry & PTE.RW && knob('umem_odp.dirty') === 'on')
      yield* folio_mark_dirty(yield* page_folio(pte_page(entry)));
    yield* write(dma, 0);
    yield* add(npages, -1);
  }
}

/**
 * Ends a umem. The card can't reach it any more.
 * @context may sleep; not from a callback
 * @kernel 6.12 drivers/infiniband/core/umem_odp.c ib_umem_odp_release: adapted (the caller frees the record)
 */
export function* ib_umem_odp_release(odp: IbUmemOdp): Path {
  yield* mutex_lock(odp.umem_mutex);
  yield* ib_umem_odp_unmap_dma_pages(odp, odp.start, odp.end);
  yield* mutex_unlock(odp.umem_mutex);
  yield* mmu_interval_notifier_remove(odp.notifier!);
}
