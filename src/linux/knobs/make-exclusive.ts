// SPDX-License-Identifier: GPL-2.0-only
/** Making a page device exclusive. */
export const MAKE_EXCLUSIVE = {
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
  'make.touch': {
    on: '5.14: get_user_pages_remote() asks for FOLL_TOUCH: who may store is taken to have stored',
    off: 'D-48 twin: GUP leaves the folio as clean as it is',
  },
} as const;
