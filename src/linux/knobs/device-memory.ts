// SPDX-License-Identifier: GPL-2.0-only
/** Device memory: migration to and from it, and CPUs that touch it. */
export const DEVICE_MEMORY = {
  'do_swap_page.device_private': {
    ref: '6.1 (16ce101db85d): takes a reference on the page under the PTL, then calls migrate_to_ram()',
    none: 'before: calls migrate_to_ram() without, so that the page may be freed, and be in use anew, meanwhile',
    trylock:
      '6.15 (1afaeb8293c9): takes the lock as well, or tries again later; migrate_vma_*() leave the lock of fault_page alone',
  },
  'migrate_vma.owner': {
    filtered: '5.8: collects only the device memory of args.pgmap_owner',
    any: "N-32 twin: other devices' as well",
  },
  'migrate_vma.notifier': {
    on: '6.12: MMU_NOTIFY_MIGRATE around collecting, and around mapping pages where nothing was',
    off: 'N-32 twin: mirrors hear nothing',
  },
  'migrate_vma.flush': {
    on: '6.1 (60bae7370896): migrate_vma_collect_pmd() flushes once for all entries that it has cleared, with the PTL held',
    'after-unlock':
      'before: when it has dropped the PTL, so that who zaps the entries meanwhile flushes nothing',
    off: 'N-32 twin: only for pages that were exclusive',
  },
  'migrate_vma.dirty': {
    'passed-on': '6.1 (fd35ca3d12cc): migrate_vma_collect_pmd() marks the page dirty if its entry was',
    lost: 'before: the entry is overwritten, and what it said is lost',
  },
  'migrate_vma_insert_page.recheck': {
    on: '6.12: looks under the PTL whether there is still nothing, or the zero page',
    off: 'N-32 twin: relies on what migrate_vma_setup() has found',
  },
} as const;
