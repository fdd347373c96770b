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
  'gup.write_protect_seq': {
    on: '57efa1fe5957: FOLL_PIN compares mm->write_protect_seq around the walk',
    off: 'before 57efa1fe5957 (G-15): fork is not noticed',
  },
  'gup.has_pinned_flag': {
    'before-walk': '6.12: MMF_HAS_PINNED is set before the walk',
    'after-walk': 'G-15: after it',
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
