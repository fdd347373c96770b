// SPDX-License-Identifier: GPL-2.0-only
/** GUP and pins. */
export const GUP = {
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
  'gup.pfn_valid': {
    'vm-bug-on': '6.12 with CONFIG_DEBUG_VM: gup_fast_pte_range() crashes if the PFN has no struct page',
    none: '6.12 without CONFIG_DEBUG_VM: not looked at',
    bail: 'G-08: pfn_valid() as a test at run time: gives up instead of crashing',
  },
  'gup.split_pmd': {
    on: '5.14: FOLL_SPLIT_PMD has a PMD that maps a page split first',
    ignored: 'D-39 twin: the page is returned as the PMD maps it',
  },
  'gup.split_hugetlb': {
    refused: '6.15, and 6.12.y: FOLL_SPLIT_PMD in a hugetlb VMA is -EOPNOTSUPP',
    accepted: 'before: the huge page is returned, and its PMD stays',
  },
  'arch.pte_access_permitted': {
    x86: 'arch/x86: the entry needs the present and the user bit, which PROT_NONE takes away',
    generic: 'include/linux/pgtable.h: pte_present() is enough, and PROT_NONE entries are pte_present()',
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
  'move_pages.pinned': {
    'looked-at': '6.8: UFFDIO_MOVE looks at the pins before it clears the entry and again after that',
    'not-looked-at': 'D-40b twin: at neither time',
  },
} as const;
