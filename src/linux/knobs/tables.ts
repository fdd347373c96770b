// SPDX-License-Identifier: GPL-2.0-only
/** Page tables, huge pages and RCU. */
export const TABLES = {
  'thp.split_flush': {
    on: '6.12: __split_huge_pmd_locked() makes the PMD not present and flushes, then fills the table in',
    off: 'G-17: fills the table in and replaces the PMD, without a flush',
  },
  'khugepaged.sync_one': {
    on: '2ba99c5e0881: collapse_huge_page() interrupts all CPUs after the PMD was cleared',
    off: 'before 2ba99c5e0881 (G-01 v)',
  },
  'pte_offset_map.rcu': {
    on: '6.5: pte_offset_map() begins an RCU read-side section that pte_unmap() ends',
    off: 'before 6.5: mapping a page table is no RCU reader',
  },
  'rcu.flavour': {
    consolidated: '4.20: synchronize_rcu() waits for regions with interrupts off as well',
    'pre-4.20': 'G-24: only rcu_read_lock() makes a reader; interrupts off is the business of RCU-sched',
  },
  'retract_page_tables.anon_vma': {
    skipped: '6.12: page tables of a VMA that has an anon_vma are left alone',
    ignored: 'D-24: an empty one is taken from any VMA',
  },
  'mmu_gather.table_free': {
    rcu: 'MMU_GATHER_RCU_TABLE_FREE: tables are freed by call_rcu() (x86 PV guests, arm64, powerpc …)',
    'rcu-failed-batch':
      'the same, but no page for the batch: tlb_remove_table_one(), an IPI and a direct free',
    'with-flush': '!MMU_GATHER_RCU_TABLE_FREE: freed with the pages, right after the TLB flush (x86 native)',
  },
} as const;
