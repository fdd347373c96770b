// SPDX-License-Identifier: GPL-2.0-only
/** Reclaim, swap and KSM. */
export const RECLAIM = {
  'swap.page_free_hook': {
    atomic: '6.12: what runs at the last put does not sleep',
    sleeps: 'G-05: a driver-provided page_free() that may sleep',
  },
  'rmap.defer_flush': {
    on: '6.12: should_defer_flush(): reclaim clears many entries, then flushes once',
    off: 'no CONFIG_ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH: each entry is flushed as it is cleared',
  },
  'rmap.lazyfree_test': {
    'ref-then-dirty': '6.12: try_to_unmap_one() reads the reference count, then the dirty flag',
    'dirty-then-ref': 'G-20 (b): the other way round',
    'dirty-only': 'before 6c8e2a256915 (G-20 a): the reference count is not looked at',
  },
  'rmap.barrier': {
    full: '6.12: the PTE is cleared by a locked operation, smp_mb() follows',
    'mb-only': 'weakly ordered machines: PTE clear and tlb_flush_batched are not ordered, smp_mb() is there',
    'no-mb': 'smp_mb() left out; what comes before it is still locked on x86',
    none: 'G-20 (c): smp_mb() left out, and PTE clear and tlb_flush_batched are not ordered either',
  },
  'rmap.batched_pending': {
    on: '3ea277194daa: who changes page tables under the PTL makes up for a flush that reclaim still owes',
    off: 'before 3ea277194daa: relies on an absent entry being in no TLB',
  },
  'vmscan.flush_dirty': {
    on: '6.12: shrink_folio_list() flushes before it writes a folio out that was mapped writable',
    off: 'twin: a CPU goes on writing to the folio after it was written out',
  },
  'vmscan.flush_before_free': {
    on: '6.12: shrink_folio_list() flushes the batch before it frees the folios',
    off: 'twin: frees first',
  },
  'do_swap_page.recheck': {
    on: '6.12: do_swap_page() looks under the folio lock whether the swap cache still has the folio for this entry',
    off: 'G-20e twin: takes the folio that it found without a lock',
  },
  'madvise.free_flush': {
    on: '6.12: MADV_FREE flushes the entries that it has cleaned',
    off: 'twin: a TLB entry stays dirty, so a later store does not mark the PTE',
  },
  'ksm.mapping_checks': {
    three: '6.12: ksm_get_folio() compares page->mapping before and after the reference and after the lock',
    'no-second': 'G-13: not after the reference',
    'no-third': 'G-13: not after the lock',
  },
  'ksm.spin': {
    on: '6.12: ksm_get_folio() waits while the count is frozen and the folio is in the swap cache',
    off: 'G-13: takes a count of zero for a page that has gone',
  },
} as const;
