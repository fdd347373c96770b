// SPDX-License-Identifier: GPL-2.0-only
/**
 * What a thread debated, what a posting left out and what later kernels changed: each is a knob, each value says where
 * it comes from, and the code under it stands in one place, found by searching for the knob's name. The first value is
 * the documented protocol (6.12).
 */
export const KNOBS = {
  'gup.zero_bail': {
    on: '6.12: folio_ref_try_add_rcu() fails on a count of zero',
    off: 'G-01 (i): takes the reference whatever the count is',
  },
  'gup.folio_recheck': {
    on: '6.12: page_folio(page) is read again after the reference',
    off: 'G-01 (ii): believes the first page_folio()',
  },
  'gup.pte_recheck': {
    'after-ref': '6.12: the PTE is compared after the reference was taken',
    'before-ref': 'G-01 (iv): compared, then the reference is taken',
    none: 'G-01 (iii): not compared',
  },
  'gup.pmd_recheck': {
    on: '70cbc3cc78a9: the PMD is compared as well',
    off: 'before 70cbc3cc78a9 (G-01 v)',
  },
  'gup.pmd_leaf_recheck': {
    on: '6.12: gup_fast_pmd_leaf() compares the PMD after the references were taken',
    off: 'G-17: not compared',
  },
  'gup.protnone_check': {
    on: '6.12: gup_fast_pte_range() refuses PROT_NONE entries by name',
    off: 'G-22: leaves it to pte_access_permitted()',
  },
  'gup.write_protect_seq': {
    on: '57efa1fe5957: FOLL_PIN compares mm->write_protect_seq around the walk',
    off: 'before 57efa1fe5957 (G-15): fork is not noticed',
  },
  'gup.has_pinned_flag': {
    'before-walk': '6.12: MMF_HAS_PINNED is set before the walk',
    'after-walk': 'G-15: after it',
  },
  'arch.pte_access_permitted': {
    x86: 'arch/x86: the entry needs the present and the user bit, which PROT_NONE takes away',
    generic: 'include/linux/pgtable.h: pte_present() is enough, and PROT_NONE entries are pte_present()',
  },
  'thp.split_flush': {
    on: '6.12: __split_huge_pmd_locked() makes the PMD not present and flushes, then fills the table in',
    off: 'G-17: fills the table in and replaces the PMD, without a flush',
  },
  'khugepaged.sync_one': {
    on: '2ba99c5e0881: collapse_huge_page() interrupts all CPUs after the PMD was cleared',
    off: 'before 2ba99c5e0881 (G-01 v)',
  },
  'swap.page_free_hook': {
    atomic: '6.12: what runs at the last put does not sleep',
    sleeps: 'G-05: a driver-provided page_free() that may sleep',
  },
  'fork.flush_tlb': {
    on: '6.12: dup_mmap() flushes the TLBs of the parent after it has write-protected its pages',
    off: 'G-15b twin: a CPU may go on with an entry that allows stores',
  },
  'fault.mmap_lock': {
    read: '6.12: do_user_addr_fault() holds mmap_lock, or the lock of the VMA',
    none: 'G-14b twin: holds nothing, so the VMA that it has found may change while it acts on it',
  },
  'fault.pte_same': {
    on: '6.12: handle_pte_fault() compares the entry again under the PTL',
    off: 'G-14 twin: acts on the entry that was read without the lock',
  },
  'gup.pfn_valid': {
    'vm-bug-on': '6.12 with CONFIG_DEBUG_VM: gup_fast_pte_range() crashes if the PFN has no struct page',
    none: '6.12 without CONFIG_DEBUG_VM: not looked at',
    bail: 'G-08: pfn_valid() as a test at run time: gives up instead of crashing',
  },
  'debug_vm.poison': {
    on: '6.12 with CONFIG_DEBUG_VM: page_init_poison() overwrites struct pages that are uninitialised again',
    off: '6.12 without CONFIG_DEBUG_VM, or vm_debug=-',
  },
  'pte_offset_map.rcu': {
    on: '6.5: pte_offset_map() begins an RCU read-side section that pte_unmap() ends',
    off: 'before 6.5: mapping a page table is no RCU reader',
  },
  'rcu.flavour': {
    consolidated: '4.20: synchronize_rcu() waits for regions with interrupts off as well',
    'pre-4.20': 'G-24: only rcu_read_lock() makes a reader; interrupts off is the business of RCU-sched',
  },
  'percpu_ref.switch': {
    gp: '6.12: percpu_ref_kill() adds the per-CPU counts up after a grace period',
    'no-gp': 'G-06 twin: adds them up at once',
  },
  'mem_hotplug_begin.gp': {
    'when-idle': '6.12: percpu_down_write() waits a grace period if rcu_sync is idle, and only then',
    always: 'the thread: a synchronize_rcu() in mem_hotplug_begin() itself, which Popple considered',
    never: 'the lock without its hidden grace period: what nobody promised',
  },
  'pageunmap_range.gp': {
    'after-remove': "6.12: only pgmap_array_delete()'s, after arch_remove_memory()",
    'after-begin': 'the thread: Popple adds synchronize_rcu() right after mem_hotplug_begin()',
  },
  'pgmap_array_delete.gp': {
    on: '6.12: synchronize_rcu() between the removal from pgmap_array and the end of the pgmap',
    off: 'G-06b twin: a look-up that has found the pgmap may meet it freed',
  },
  'offline_pages.gp': {
    'before-isolation': "6.12: only lru_cache_disable()'s, before the pages are isolated",
    'before-poison':
      'G-07: a grace period after __offline_isolated_pages(), before the struct pages are poisoned',
    'before-remove':
      'G-07: a grace period in try_remove_memory(), after the poison and before vmemmap_free()',
  },
  'free_zone_device_folio.count': {
    'after-page_free':
      '6.12: the type of the pgmap is read and the count set to 1 after page_free(), which in p2pdma drops the pgmap reference',
    'before-page_free': 'both while that reference is held',
  },
  'sparse.usage_free': {
    rcu: '6.8 (5ec8e8ea8b77): kfree_rcu(ms->usage), and pfn_valid() reads it under RCU',
    direct: 'before: kfree(ms->usage), and pfn_valid() is no reader',
  },
  'pae.read': {
    'low-high-low': '6.12: ptep_get_lockless() reads the low word again',
    'low-high': 'G-11 (b): without reading it again',
    'high-low': 'G-11 (a): the other way round',
  },
  'pae.write': {
    'high-low': '6.12: native_set_pte() stores the word with the present bit last',
    'low-high': 'G-11: first',
  },
  'cow.order': {
    'clear-flush-set': '6.12: wp_page_copy() clears, flushes, and only then sets the new entry',
    'set-flush': 'what it once did: sets the new entry over the old one, then flushes',
  },
  'fork.anon_vma_lock': {
    on: '6.12: anon_vma_fork() links the VMA of the child under the anon_vma lock',
    off: 'G-01i: without it, an rmap walk goes on that does not know the VMA',
  },
  'fork.swp_exclusive': {
    clear: '6.12: copy_nonpresent_pte() takes the exclusive mark off a swap entry that it copies',
    keep: 'G-01i: both entries say exclusive',
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
  'ksm.memory_notifier': {
    on: '6.12: ksm_memory_callback() stops ksmd while memory goes offline, and drops stale nodes',
    off: 'G-13: KSM does not hear of memory hotplug',
  },
  'ksm.offline_prune': {
    on: '6.12: ksm_memory_callback(MEM_OFFLINE) drops the nodes whose pages went',
    off: 'G-13: it only lets ksmd run again',
  },
  'ksm.spin': {
    on: '6.12: ksm_get_folio() waits while the count is frozen and the folio is in the swap cache',
    off: 'G-13: takes a count of zero for a page that has gone',
  },
  'mmu_gather.table_free': {
    rcu: 'MMU_GATHER_RCU_TABLE_FREE: tables are freed by call_rcu() (x86 PV guests, arm64, powerpc …)',
    'rcu-failed-batch':
      'the same, but no page for the batch: tlb_remove_table_one(), an IPI and a direct free',
    'with-flush': '!MMU_GATHER_RCU_TABLE_FREE: freed with the pages, right after the TLB flush (x86 native)',
  },
} as const;

export type KnobName = keyof typeof KNOBS;
export type KnobValue<K extends KnobName> = keyof (typeof KNOBS)[K] & string;
export type Knobs = { readonly [K in KnobName]: KnobValue<K> };

/** Every knob at its documented value. */
export function documentedKnobs(): Knobs {
  return Object.fromEntries(
    Object.entries(KNOBS).map(([name, values]) => [name, Object.keys(values)[0]]),
  ) as Knobs;
}

/** Releases, as what differs from 6.12. */
export const RELEASES: Readonly<Record<string, Partial<Knobs>>> = {
  '6.12': {},
};
