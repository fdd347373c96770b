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
  'pvmw.exclusive': {
    'normal-and-migration':
      '5.14 to 6.14: page_vma_mapped_walk() takes device-exclusive entries, and with PVMW_MIGRATION as well',
    normal: '6.15: not when it looks for migration entries',
  },
  'change_protection.notifier': {
    on: '6.12: mprotect(), userfaultfd and the NUMA scan send PROTECTION_VMA',
    off: 'D-40 twin: nobody is told',
  },
  'move_pages.pinned': {
    'looked-at': '6.8: UFFDIO_MOVE looks at the pins before it clears the entry and again after that',
    'not-looked-at': 'D-40b twin: at neither time',
  },
  'move_pages.exclusive': {
    refused:
      '6.8: UFFDIO_MOVE ends in -EFAULT when it meets an entry that is neither present nor a place in swap',
    'moved-untold': 'D-40 twin: moved as a swap entry is, and nobody is told',
  },
  'ksm.nonpresent': {
    taken: '5.14 to 6.14: write_protect_page() takes what page_vma_mapped_walk() finds for a present entry',
    refused: '6.15: gives up when the entry is not present',
  },
  'try_to_migrate.nonpresent': {
    taken: '5.14 to 6.14: try_to_migrate_one() takes a device-exclusive entry for a present one',
    known: '6.15: clears it, and puts a migration entry in its place',
  },
  'mkclean.nonpresent': {
    taken: '5.14 to 6.14: page_vma_mkclean_one() takes what page_vma_mapped_walk() finds for a present entry',
    skipped: '6.15: leaves entries alone that are not present; the notifier has told the device',
  },
  'gup.split_pmd': {
    on: '5.14: FOLL_SPLIT_PMD has a PMD that maps a page split first',
    ignored: 'D-39 twin: the page is returned as the PMD maps it',
  },
  'gup.split_hugetlb': {
    refused: '6.15, and 6.12.y: FOLL_SPLIT_PMD in a hugetlb VMA is -EOPNOTSUPP',
    accepted: 'before: the huge page is returned, and its PMD stays',
  },
  'make.gup': {
    write: '5.14: make_device_exclusive_range() asks GUP for FOLL_WRITE, which breaks COW first',
    read: 'D-06: for a read; the page may be shared',
  },
  'make.walk': {
    rmap: 'v5 to 6.14: rmap_walk() converts every entry of the folio, in every mm',
    'folio-walk': '6.15: folio_walk_start() looks the one entry up again and converts it under the same PTL',
    'own-walk': 'v2: a page walk of its own converts the entry that it finds, without GUP',
    'two-holds': 'D-20 twin: looked up under the PTL, and converted under it later, without another look',
  },
  'make.mapped_check': {
    'mm-and-address': '5.14: the entry was found in the mm and at the address that the caller asked for',
    mm: 'D-19: in the mm',
    none: 'D-19: not asked, so a page that nobody maps will do',
  },
  'make.write_check': {
    on: '5.14: the entry that was taken away allowed stores',
    off: 'D-06, D-07: not looked at',
  },
  'make.mapcount_check': {
    on: '5.14: the folio is not mapped any more after the walk',
    off: 'D-37 twin: an entry that the walk has missed stays',
  },
  'make.sharing': {
    cow: '5.14: any private page; GUP breaks COW, and fork restores the entry',
    dontcopy: 'D-08: only pages that are mapped once, in VMAs that fork leaves out (VM_DONTCOPY)',
  },
  'make.anon_only': {
    on: '5.14: anonymous folios only',
    off: 'up to v6: pages of files as well',
  },
  'make.tail': {
    refused: '5.14: no tail pages',
    accepted: 'up to v8: any page of a large folio',
  },
  'make.folio_lock': {
    trylock: '5.14: folio_trylock(), so a locked page is refused',
    killable: '6.15: folio_lock_killable()',
  },
  'make.mismatch': {
    refuse: '5.14: the page is refused (NULL, -EBUSY)',
    retry: '6.15: back to GUP',
  },
  'make.notifier': {
    exclusive: '5.14: MMU_NOTIFY_EXCLUSIVE with the owner around the conversion',
    none: 'first posting of the 6.15 rework (29 Jan 2025): GUP has told everybody who has to know',
  },
  'make.mmap_lock': {
    held: '5.14: the caller holds mmap_lock from GUP to the end of the walk',
    dropped: 'D-07 twin: not between GUP and the walk',
    'not-for-walk': 'D-37: not from GUP to the end of the walk',
  },
  'make.npages': {
    signed: '5.14: a negative count is an error number',
    unsigned: 'v5: kept in an unsigned long, so it is many pages',
  },
  'make.soft_dirty': {
    kept: '5.14: the entry takes the soft-dirty bit over',
    lost: 'D-30 twin',
  },
  'make.uffd_wp': {
    kept: '5.14: the entry takes the uffd-wp bit over',
    lost: 'D-30 twin',
  },
  'exclusive.entry': {
    'write-read': '5.14 to 6.14: SWP_DEVICE_EXCLUSIVE_WRITE and _READ; what is restored is what was there',
    single: '6.15: one type; whether the restored entry allows stores is found out anew',
  },
  'exclusive.mapcount': {
    dropped: '5.14 to 6.14: an entry does not count as a mapping',
    kept: '6.15: it does',
  },
  'zap.exclusive_rmap': {
    stays: '5.14 to 6.14: zap_pte_range() takes the rmap away for device-private entries only',
    removed: '6.15: for device-exclusive entries as well',
  },
  'restore.find': {
    'pte-lock': '5.14: pte_offset_map_lock(), and the entry must be the one that faulted',
    'rmap-walk': 'v5 to v8: page_vma_mapped_walk() over the page',
  },
  'restore.folio_ref': {
    'try-get': '6.3 (7c7b962938dd): a reference before the folio lock',
    none: '5.14 to 6.2: nothing keeps the page while its lock is waited for',
  },
  'restore.pte_same': {
    on: '5.14: restored only if the entry is still the one that faulted',
    off: 'D-25 twin',
  },
  'restore.page': {
    entry: '5.14: the page that the entry names is mapped again',
    head: 'D-23: the head of its folio is',
  },
  'restore.mlock': {
    on: '5.18: mapping the page again counts the mlock of its VMA again; v8 did it by name',
    off: 'D-32 twin: it does not',
  },
  'restore.null_table': {
    handled: '6.5: pte_offset_map_lock() may find no table any more, and then there is nothing to restore',
    'not-handled': 'D-24 twin: goes on with what it returned',
  },
  'retract_page_tables.anon_vma': {
    skipped: '6.12: page tables of a VMA that has an anon_vma are left alone',
    ignored: 'D-24: an empty one is taken from any VMA',
  },
  'clear_refs.notifier': {
    on: '6.12: clear_refs sends SOFT_DIRTY for the whole mm',
    off: 'D-30 twin: nobody is told',
  },
  'make.touch': {
    on: '5.14: get_user_pages_remote() asks for FOLL_TOUCH: who may store is taken to have stored',
    off: 'D-48 twin: GUP leaves the folio as clean as it is',
  },
  'restore.order': {
    'lock-notify': '5.14: the folio lock, then the notifier',
    'notify-lock': 'D-25: the other way round',
  },
  'restore.event': {
    exclusive: '5.14 to 6.14: MMU_NOTIFY_EXCLUSIVE without an owner, so that nobody filters it',
    clear: 'v5 to v8, and again from 6.15: MMU_NOTIFY_CLEAR',
    owner: 'D-12: MMU_NOTIFY_EXCLUSIVE with the owner that made the page exclusive',
    none: 'D-12: nobody is told, since the entry only becomes present',
  },
  'restore.sharers': {
    'this-entry': '5.14: the entry that faulted is restored, and its mm is told',
    'notify-all': 'D-11: every mm that has the page is told first',
    'revert-all': 'D-11: every entry of the page is restored, each with its mm told',
  },
  'restore.rmap': {
    'rmap-set': '6.12: the mapping is counted, then the entry is set',
    'set-rmap': 'v8: the entry is set, then the mapping is counted',
    'not-counted': 'D-42 twin: the mapping is not counted',
  },
  'fork.exclusive': {
    restore: '5.14: the entry is restored and copied as a present one; fork fails if the folio is locked',
    'restore-sleep': 'v8: as that, but sleeps for the folio lock and tries again',
    copy: 'v5 to v7: the entry is copied, readable on both sides',
    'early-copy': 'D-01 (1): the child gets a page of its own, the parent keeps its entry',
    'early-copy-exclusive': 'D-01 (6): the child gets an exclusive entry for a page of its own',
  },
  'fork.exclusive_flag': {
    cleared: 'D-02: copying an exclusive entry takes PG_anon_exclusive off the page',
    kept: 'D-02: does not',
  },
  'fork.notifier': {
    on: '6.12: copy_page_range() sends PROTECTION_PAGE for private mappings',
    off: 'D-05: tells nobody',
  },
  'cow.reuse': {
    'anon-exclusive': '5.19 (6c287605fd56): a page that is marked exclusive is reused, else by its count',
    'page-count': '5.9 (09854ba94c6a): reused if nobody else has a reference',
    'map-count': 'before 5.9: reused if it is mapped once',
  },
  'nouveau.owner_filter': {
    on: '5.14: nouveau_svm_range_invalidate() does not count MMU_NOTIFY_EXCLUSIVE events of its own device',
    off: 'D-13: counts them, so that each attempt invalidates itself',
    'any-owner': "D-13: does not count other devices' either",
  },
  'nouveau.own_restore': {
    counted: '5.14: a restore that make_device_exclusive_range() itself causes is counted as any other',
    filtered: 'D-49: what the thread that makes the page exclusive causes is not counted',
  },
  'nouveau.begin': {
    'before-make': '5.14: mmu_interval_read_begin(), then make_device_exclusive_range() with its GUP',
    'after-gup':
      'D-49: the page is faulted in before, so that the GUP in make_device_exclusive_range() restores nothing',
  },
  'nouveau.read_retry': {
    locked: '5.14: mmu_interval_read_retry() under svmm->mutex, then the GPU is programmed',
    none: 'D-15 twin: programmed without',
  },
  'nouveau.hold_folio': {
    on: '5.14: the folio stays locked and referenced until the GPU is programmed',
    off: 'D-28: only until make_device_exclusive_range() has returned',
  },
  'nouveau.callback_lock': {
    mutex: '5.14: the callback takes svmm->mutex only',
    folio: 'D-29: it takes the lock of the folio that the GPU has mapped as well',
  },
  'nouveau.release': {
    none: '5.14: nouveau_mn_ops has no release(); the svmm ends with the device file, after the mm',
    unmaps: 'D-45: a release() that takes everything off the GPU',
  },
  'test_hmm.owner_filter': {
    off: '5.14: makes pages exclusive for nobody, and acts on every event',
    on: 'D-13: names itself, and ignores its own',
  },
  'test_hmm.read_retry': {
    none: '5.14: dmirror_atomic_map() does not ask whether an invalidation has come between',
    locked: 'D-15: asks under dmirror->mutex, and begins anew',
  },
  'test_hmm.hold_folio': {
    on: '5.14: the folios stay locked until dmirror_atomic_map() is done',
    off: 'D-28: only until make_device_exclusive_range() has returned',
  },
  'test_hmm.mmap_lock': {
    'to-map': '5.14: dmirror_exclusive() holds mmap_lock until dmirror_atomic_map() is done',
    'to-make': 'D-15, D-16 twin: only until make_device_exclusive_range() has returned',
  },
  'test_hmm.callback_lock': {
    mutex: '5.14: the callback takes dmirror->mutex only',
    folio: 'D-29: it takes the lock of the folio that is mapped as well',
  },
  'mn_itree_inv_end.even': {
    'last-end': '6.12: invalidate_seq becomes even when the last of the parallel and nested ranges ends',
    'first-end': 'N-04 twin: when the first one ends',
  },
  'mmu_interval_notifier_insert.partial': {
    mark: '6.12: ranges are in flight that hit nobody: invalidate_seq becomes odd, as if they had hit the new one',
    'no-mark': 'N-05 twin: it stays even, and the subscription gets it',
    'as-idle': 'N-05 twin: as if no range were in flight',
  },
  'mmu_interval_notifier_insert.full': {
    defer: '6.12: while invalidate_seq is odd the insertion is left to the last end',
    retry: 'N-06: what the comment in 6.12 argues against: tries again until it is even',
    'at-once': 'N-06 twin: inserted at once',
  },
  'mmu_interval_read_begin.wait': {
    on: '6.12: waits while the range is being invalidated',
    off: 'N-06 twin: does not wait',
  },
  'mmu_interval_notifier_remove.wait': {
    locked: '5.18: waits until invalidate_seq has changed, looking at it under the lock',
    lockless: 'before 5.18-rc4: looks at it without the lock',
    none: 'N-07 twin: does not wait for the last end',
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
  ...deviceExclusiveReleases(),
};

/** The versions of device-exclusive memory; what else changed between these releases is not here. */
function deviceExclusiveReleases(): Record<string, Partial<Knobs>> {
  const v6_3: Partial<Knobs> = {};
  const v5_14: Partial<Knobs> = {
    'restore.folio_ref': 'none',
    'cow.reuse': 'page-count',
  };
  const v8: Partial<Knobs> = {
    ...v5_14,
    'make.tail': 'accepted',
    'restore.find': 'rmap-walk',
    'restore.event': 'clear',
    'restore.rmap': 'set-rmap',
    'fork.exclusive': 'restore-sleep',
  };
  const posted2025: Partial<Knobs> = {
    'make.walk': 'folio-walk',
    'make.notifier': 'none',
    'exclusive.entry': 'single',
    'exclusive.mapcount': 'kept',
    'zap.exclusive_rmap': 'removed',
    'pvmw.exclusive': 'normal',
    'ksm.nonpresent': 'refused',
    'try_to_migrate.nonpresent': 'known',
    'mkclean.nonpresent': 'skipped',
  };
  return {
    v2: { ...v8, 'make.walk': 'own-walk', 'fork.exclusive': 'copy' },
    v5: { ...v8, 'make.npages': 'unsigned', 'make.anon_only': 'off', 'fork.exclusive': 'copy' },
    v8,
    '5.14': v5_14,
    '6.3': v6_3,
    '2025-v1': posted2025,
    '6.15': {
      ...posted2025,
      'make.notifier': 'exclusive',
      'make.folio_lock': 'killable',
      'make.mismatch': 'retry',
      'restore.event': 'clear',
    },
  };
}
