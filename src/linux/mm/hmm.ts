// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { load } from '../../core/primitives.js';
import { pfnOf } from '../../machine/pte.js';
import { EBUSY, EFAULT, EPERM } from '../include/errno.js';
import { HMM_PFN, type HmmRange } from '../include/hmm.js';
import { mmap_assert_locked } from '../include/lockdep.js';
import { pgmapOf } from '../include/memremap.js';
import { is_zero_pfn } from '../include/mm.js';
import { VM, type Mm, type Page, type PtePointer, type Vma } from '../include/mm_types.js';
import { mmu_interval_check_retry } from '../include/mmu_notifier.js';
import {
  HPAGE_PMD_NR,
  HPAGE_PMD_ORDER,
  PAGE_SIZE,
  pmd_addr_end,
  pmd_leaf,
  pmd_none,
  pmd_offset,
  pmd_present,
  pmd_protnone,
  pmd_write,
  type Pmd,
  pmdp_get_lockless,
  type Pte,
  pte_none,
  pte_offset_map,
  pte_present,
  pte_protnone,
  pte_special,
  pte_unmap,
  pte_write,
  ptep_get,
} from '../include/pgtable.js';
import {
  is_device_exclusive_entry,
  is_device_private_entry,
  is_migration_entry,
  is_writable_device_private_entry,
  non_swap_entry,
  pfn_swap_entry_to_page,
} from '../include/swapops.js';
import { current } from '../kernel.js';
import { FAULT_FLAG, handle_mm_fault, VM_FAULT } from './memory-fault.js';
import { migration_entry_wait } from './migrate.js';
import { vma_find } from './vma-tree.js';

/** @kernel 6.12 mm/hmm.c hmm_pfn_flags_order: faithful */
const hmm_pfn_flags_order = (order: number): number => order << HMM_PFN.ORDER_SHIFT;

/** @kernel 6.12 mm/hmm.c struct hmm_vma_walk: faithful */
interface HmmVmaWalk {
  readonly range: HmmRange;
  last: number;
}

const HMM_NEED = { FAULT: 1, WRITE_FAULT: 2 } as const;

/** @kernel 6.12 mm/hmm.c hmm_pfns_fill: faithful */
function hmm_pfns_fill(addr: number, end: number, range: HmmRange, cpu_flags: number): void {
  for (let at = addr; at < end; at += PAGE_SIZE) range.hmm_pfns[at - range.start] = cpu_flags;
}

/** What has to be done for a page that the CPU's tables have like that. @kernel 6.12 mm/hmm.c hmm_pte_need_fault: faithful */
function hmm_pte_need_fault({ range }: HmmVmaWalk, req_flags: number, cpu_flags: number): number {
  const pfn_req_flags = (req_flags & range.pfn_flags_mask) | range.default_flags;
  if (!(pfn_req_flags & HMM_PFN.REQ_FAULT)) return 0;
  if (pfn_req_flags & HMM_PFN.REQ_WRITE && !(cpu_flags & HMM_PFN.WRITE))
    return HMM_NEED.FAULT | HMM_NEED.WRITE_FAULT;
  return cpu_flags & HMM_PFN.VALID ? 0 : HMM_NEED.FAULT;
}

/** @kernel 6.12 mm/hmm.c hmm_range_need_fault: faithful */
function hmm_range_need_fault(walk: HmmVmaWalk, addr: number, end: number, cpu_flags: number): number {
  const { hmm_pfns, start } = walk.range;
  let required_fault = 0;
  for (let at = addr; at < end; at += PAGE_SIZE)
    required_fault |= hmm_pte_need_fault(walk, hmm_pfns[at - start]!, cpu_flags);
  return required_fault;
}

/**
 * Faults the pages in. Returns -EBUSY when that went well: then the walk begins again here.
 * @context mmap_lock held for read; may sleep
 * @kernel 6.12 mm/hmm.c hmm_vma_fault: faithful
 */
function* hmm_vma_fault(
  addr: number,
  end: number,
  required_fault: number,
  walk: HmmVmaWalk,
  vma: Vma,
): Path<number> {
  let fault_flags = 0;
  walk.last = addr;
  if (required_fault & HMM_NEED.WRITE_FAULT) {
    if (!((yield* load(vma.vm_flags)) & VM.WRITE)) return -EPERM;
    fault_flags |= FAULT_FLAG.WRITE;
  }
  for (let at = addr; at < end; at += PAGE_SIZE) {
    const fault = yield* handle_mm_fault(vma.vm_mm, vma, at, fault_flags);
    if (fault & (VM_FAULT.OOM | VM_FAULT.SIGSEGV | VM_FAULT.SIGBUS)) return -EFAULT;
  }
  return -EBUSY;
}

/** Nothing is mapped there; without a VMA nothing can be. @context mmap_lock held @kernel 6.12 mm/hmm.c hmm_vma_walk_hole: faithful */
function* hmm_vma_walk_hole(addr: number, end: number, walk: HmmVmaWalk, vma: Vma | undefined): Path<number> {
  const required_fault = hmm_range_need_fault(walk, addr, end, 0);
  if (vma === undefined) {
    if (required_fault) return -EFAULT;
    hmm_pfns_fill(addr, end, walk.range, HMM_PFN.ERROR);
    return 0;
  }
  if (required_fault) return yield* hmm_vma_fault(addr, end, required_fault, walk, vma);
  hmm_pfns_fill(addr, end, walk.range, 0);
  return 0;
}

/** @kernel 6.12 mm/hmm.c pte_to_hmm_pfn_flags: faithful */
const pte_to_hmm_pfn_flags = (pte: Pte): number => {
  if (pte_none(pte) || !pte_present(pte) || pte_protnone(pte)) return 0;
  return pte_write(pte) ? HMM_PFN.VALID | HMM_PFN.WRITE : HMM_PFN.VALID;
};

/** Whether a page of device memory is that of the caller. */
const isOwn = (page: Page, { dev_private_owner = 0 }: HmmRange): boolean =>
  pgmapOf(page)?.owner === dev_private_owner;

/** @kernel 6.12 mm/hmm.c pmd_to_hmm_pfn_flags: faithful */
const pmd_to_hmm_pfn_flags = (pmd: Pmd): number => {
  if (pmd_protnone(pmd)) return 0;
  const flags = pmd_write(pmd) ? HMM_PFN.VALID | HMM_PFN.WRITE : HMM_PFN.VALID;
  return flags | hmm_pfn_flags_order(HPAGE_PMD_ORDER());
};

/**
 * One entry. It is read without the PTL: that it changes is what the notifier tells.
 * @context page table mapped; unmapped if not 0 is returned
 * @kernel 6.12 mm/hmm.c hmm_vma_handle_pte: adapted (a special page is an error, but for the zero page)
 */
function* hmm_vma_handle_pte(
  walk: HmmVmaWalk,
  vma: Vma,
  addr: number,
  end: number,
  ptep: PtePointer,
): Path<number> {
  const { range } = walk;
  const i = addr - range.start;
  const pfn_req_flags = range.hmm_pfns[i]!;
  const pte = yield* ptep_get(ptep);
  if (is_device_private_entry(pte) && isOwn(pfn_swap_entry_to_page(pte), range)) {
    // As it is, whatever was asked for: also read-only where a store is to come.
    const writable = is_writable_device_private_entry(pte) ? HMM_PFN.WRITE : 0;
    range.hmm_pfns[i] = (pfnOf(pte) << HMM_PFN.SHIFT) | HMM_PFN.VALID | writable;
    return 0;
  }
  const cpu_flags = pte_to_hmm_pfn_flags(pte);
  const required_fault = hmm_pte_need_fault(walk, pfn_req_flags, cpu_flags);
  if (!pte_present(pte)) {
    if (!required_fault) {
      range.hmm_pfns[i] = 0;
      return 0;
    }
    if (is_migration_entry(pte)) {
      yield* pte_unmap();
      walk.last = addr;
      yield* migration_entry_wait(vma.vm_mm, pmd_offset(vma.vm_mm, addr), addr);
      return -EBUSY;
    }
    const device = is_device_exclusive_entry(pte) || is_device_private_entry(pte);
    if (!pte_none(pte) && non_swap_entry(pte) && !device) {
      yield* pte_unmap();
      return -EFAULT;
    }
  }
  if (required_fault) {
    yield* pte_unmap();
    return yield* hmm_vma_fault(addr, end, required_fault, walk, vma);
  }
  if (pte_special(pte) && !is_zero_pfn(pfnOf(pte))) {
    if (hmm_pte_need_fault(walk, pfn_req_flags, 0)) {
      yield* pte_unmap();
      return -EFAULT;
    }
    range.hmm_pfns[i] = HMM_PFN.ERROR;
    return 0;
  }
  range.hmm_pfns[i] = (pfnOf(pte) << HMM_PFN.SHIFT) | cpu_flags;
  return 0;
}

/** @context mmap_lock held for read @kernel 6.12 mm/hmm.c hmm_vma_walk_pmd: adapted (hmm_vma_handle_pmd() folded in; no migration entry at the PMD) */
function* hmm_vma_walk_pmd(walk: HmmVmaWalk, vma: Vma, start: number, end: number): Path<number> {
  const { range } = walk;
  const pmdp = pmd_offset(vma.vm_mm, start);
  for (;;) {
    const pmd = yield* pmdp_get_lockless(pmdp);
    if (pmd_none(pmd)) return yield* hmm_vma_walk_hole(start, end, walk, vma);
    if (!pmd_present(pmd)) {
      if (hmm_range_need_fault(walk, start, end, 0)) return -EFAULT;
      hmm_pfns_fill(start, end, range, HMM_PFN.ERROR);
      return 0;
    }
    if (pmd_leaf(pmd)) {
      const cpu_flags = pmd_to_hmm_pfn_flags(pmd);
      const required_fault = hmm_range_need_fault(walk, start, end, cpu_flags);
      if (required_fault) return yield* hmm_vma_fault(start, end, required_fault, walk, vma);
      for (let addr = start; addr < end; addr += PAGE_SIZE)
        range.hmm_pfns[addr - range.start] =
          ((pfnOf(pmd) + (addr % HPAGE_PMD_NR())) << HMM_PFN.SHIFT) | cpu_flags;
      return 0;
    }
    const ptep = yield* pte_offset_map(pmdp, start);
    if (ptep === undefined) continue;
    for (let addr = start; addr < end; addr += PAGE_SIZE) {
      const at = current.kernel.pte(ptep.table.number, ptep.index + addr - start);
      const r = yield* hmm_vma_handle_pte(walk, vma, addr, end, at);
      if (r !== 0) return r;
    }
    yield* pte_unmap();
    return 0;
  }
}

/**
 * Whether the walk leaves a VMA out: 1, or an error if pages of it were asked for.
 * @context mmap_lock held
 * @kernel 6.12 mm/hmm.c hmm_vma_walk_test: faithful
 */
function* hmm_vma_walk_test(walk: HmmVmaWalk, vma: Vma, start: number, end: number): Path<number> {
  const vm_flags = yield* load(vma.vm_flags);
  if (!(vm_flags & (VM.IO | VM.PFNMAP)) && vm_flags & VM.READ) return 0;
  if (hmm_range_need_fault(walk, start, end, 0)) return -EFAULT;
  hmm_pfns_fill(start, end, walk.range, HMM_PFN.ERROR);
  return 1;
}

/** @context mmap_lock held for read @kernel 6.12 mm/pagewalk.c walk_page_range: adapted (with hmm_walk_ops; upper levels folded) */
function* walk_page_range(mm: Mm, start: number, end: number, walk: HmmVmaWalk): Path<number> {
  mmap_assert_locked(mm);
  let start_vma = start;
  while (start_vma < end) {
    const vma = yield* vma_find(mm, start_vma, end);
    let next = end;
    let err = 0;
    if (vma === undefined) err = yield* hmm_vma_walk_hole(start_vma, end, walk, undefined);
    else {
      const vm_start = yield* load(vma.vm_start);
      if (start_vma < vm_start) {
        next = vm_start;
        err = yield* hmm_vma_walk_hole(start_vma, next, walk, undefined);
      } else {
        next = Math.min(end, yield* load(vma.vm_end));
        const skipped = yield* hmm_vma_walk_test(walk, vma, start_vma, next);
        if (skipped < 0) err = skipped;
        else if (skipped === 0) {
          let addr = start_vma;
          while (addr < next && err === 0) {
            const to = pmd_addr_end(addr, next);
            err = yield* hmm_vma_walk_pmd(walk, vma, addr, to);
            addr = to;
          }
        }
      }
    }
    if (err !== 0) return err;
    start_vma = next;
  }
  return 0;
}

/**
 * Reads the page tables of a range into hmm_pfns, and faults in what was asked for. What it has read may be old by the
 * time it returns: mmu_interval_read_retry() tells. Returns 0; -EBUSY: an invalidation has come; -EFAULT or -EPERM:
 * there is no such page, or not for stores.
 * @context mmap_lock held for read; may sleep; after mmu_interval_read_begin()
 * @kernel 6.12 mm/hmm.c hmm_range_fault: faithful
 */
export function* hmm_range_fault(range: HmmRange): Path<number> {
  const walk: HmmVmaWalk = { range, last: range.start };
  const { notifier } = range;
  mmap_assert_locked(notifier.mm);
  for (;;) {
    if (yield* mmu_interval_check_retry(notifier, range.notifier_seq)) return -EBUSY;
    const ret = yield* walk_page_range(notifier.mm, walk.last, range.end, walk);
    if (ret !== -EBUSY) return ret;
  }
}
