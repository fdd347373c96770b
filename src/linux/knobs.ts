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
  'fault.pte_same': {
    on: '6.12: handle_pte_fault() compares the entry again under the PTL',
    off: 'G-14 twin: acts on the entry that was read without the lock',
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
    'no-mb': 'smp_mb() left out; what comes before it is still locked on x86',
    none: 'G-20 (c): smp_mb() left out, and PTE clear and tlb_flush_batched are not ordered either',
  },
  'vmscan.flush_before_free': {
    on: '6.12: shrink_folio_list() flushes the batch before it frees the folios',
    off: 'twin: frees first',
  },
  'madvise.free_flush': {
    on: '6.12: MADV_FREE flushes the entries that it has cleaned',
    off: 'twin: a TLB entry stays dirty, so a later store does not mark the PTE',
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
