// SPDX-License-Identifier: GPL-2.0-only
/** Faults, fork and COW. */
export const FORK_AND_COW = {
  'fork.flush_tlb': {
    on: '6.12: dup_mmap() flushes the TLBs of the parent after it has write-protected its pages',
    off: 'G-15b twin: a CPU may go on with an entry that allows stores',
  },
  'fork.anon_vma_lock': {
    on: '6.12: anon_vma_fork() links the VMA of the child under the anon_vma lock',
    off: 'G-01i: without it, an rmap walk goes on that does not know the VMA',
  },
  'fork.swp_exclusive': {
    clear: '6.12: copy_nonpresent_pte() takes the exclusive mark off a swap entry that it copies',
    keep: 'G-01i: both entries say exclusive',
  },
  'fault.mmap_lock': {
    read: '6.12: do_user_addr_fault() holds mmap_lock, or the lock of the VMA',
    none: 'G-14b twin: holds nothing, so the VMA that it has found may change while it acts on it',
  },
  'fault.pte_same': {
    on: '6.12: handle_pte_fault() compares the entry again under the PTL',
    off: 'G-14 twin: acts on the entry that was read without the lock',
  },
  'cow.order': {
    'clear-flush-set': '6.12: wp_page_copy() clears, flushes, and only then sets the new entry',
    'set-flush': 'what it once did: sets the new entry over the old one, then flushes',
  },
  'cow.reuse': {
    'anon-exclusive': '5.19 (6c287605fd56): a page that is marked exclusive is reused, else by its count',
    'page-count': '5.9 (09854ba94c6a): reused if nobody else has a reference',
    'map-count': 'before 5.9: reused if it is mapped once',
  },
} as const;
