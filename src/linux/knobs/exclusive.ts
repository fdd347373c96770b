// SPDX-License-Identifier: GPL-2.0-only
/** Device-exclusive entries, and who meets them. */
export const EXCLUSIVE = {
  'exclusive.entry': {
    'write-read': '5.14 to 6.14: SWP_DEVICE_EXCLUSIVE_WRITE and _READ; what is restored is what was there',
    single: '6.15: one type; whether the restored entry allows stores is found out anew',
  },
  'exclusive.mapcount': {
    dropped: '5.14 to 6.14: an entry does not count as a mapping',
    kept: '6.15: it does',
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
  'pvmw.exclusive': {
    'normal-and-migration':
      '5.14 to 6.14: page_vma_mapped_walk() takes device-exclusive entries, and with PVMW_MIGRATION as well',
    normal: '6.15: not when it looks for migration entries',
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
  'zap.exclusive_rmap': {
    stays: '5.14 to 6.14: zap_pte_range() takes the rmap away for device-private entries only',
    removed: '6.15: for device-exclusive entries as well',
  },
} as const;
