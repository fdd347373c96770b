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
    always: 'seed 004: a synchronize_rcu() in mem_hotplug_begin() itself, which Popple considered',
    never: 'the lock without its hidden grace period: what nobody promised',
  },
  'pageunmap_range.gp': {
    'after-remove': "6.12: only pgmap_array_delete()'s, after arch_remove_memory()",
    'after-begin': 'seed 004: Popple adds synchronize_rcu() right after mem_hotplug_begin()',
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
    'before-page_free': 'both while that reference is held (since 6.15 the count of P2PDMA pages is not set)',
  },
  'sparse.usage_free': {
    rcu: '6.8 (5ec8e8ea8b77): kfree_rcu(ms->usage), and pfn_valid() reads it under RCU',
    direct: 'before: kfree(ms->usage), and pfn_valid() is no reader',
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
