// SPDX-License-Identifier: GPL-2.0-only
/** Notifiers. */
export const NOTIFIERS = {
  'change_protection.notifier': {
    on: '6.12: mprotect(), userfaultfd and the NUMA scan send PROTECTION_VMA',
    off: 'D-40 twin: nobody is told',
  },
  'clear_refs.notifier': {
    on: '6.12: clear_refs sends SOFT_DIRTY for the whole mm',
    off: 'D-30 twin: nobody is told',
  },
  'fork.notifier': {
    on: '6.12: copy_page_range() sends PROTECTION_PAGE for private mappings',
    off: 'D-05: tells nobody',
  },
  '__mmu_notifier_invalidate_range_start.undo': {
    none: '6.12: when a classic subscription fails, the range stays begun for the interval ones',
    interval: 'N-30b: it is ended for them',
  },
  'mn_hlist_invalidate_range_start.undo': {
    end: '5.12: when a classic subscription fails, those that have begun are told of the end',
    none: 'before 5.12: they are not',
  },
  '__mmu_notifier_invalidate_range_start.order': {
    'interval-first': '6.12: interval subscriptions are called before classic ones',
    'classic-first': 'N-27 twin: after them',
  },
  'mn_itree_inv_end.even': {
    'last-end': '6.12: invalidate_seq becomes even when the last of the parallel and nested ranges ends',
    'first-end': 'N-04 twin: when the first one ends',
  },
  'mn_itree_inv_end.deferred': {
    locked: '6.12: what was put off is made up for before the lock is given back',
    unlocked: 'N-18 twin: the number becomes even, then the lock is given back and taken again for it',
  },
  'mmu_interval_notifier_insert.idle': {
    odd: '6.12: nobody invalidates: the subscription gets the number before, which is odd',
    even: 'N-02 twin: it gets the number as it is',
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
  'mmu_interval_read_begin.test': {
    lockless: '6.12: who waits looks at invalidate_seq without the lock',
    locked: 'N-18: under the lock, as mmu_interval_notifier_remove() does since 5.18',
  },
  'mmu_interval_notifier_remove.wait': {
    locked: '5.18: waits until invalidate_seq has changed, looking at it under the lock',
    lockless: 'before 5.18-rc4: looks at it without the lock',
    none: 'N-07 twin: does not wait for the last end',
  },
  'mmu_notifier_unregister.wait': {
    srcu: '6.12: waits until nobody walks past the subscription any more, or runs its release()',
    none: 'N-29 twin: does not wait',
  },
  'mn_hlist_release.wait': {
    srcu: '6.12: exit waits for a release() that mmu_notifier_unregister() runs',
    none: 'N-29 twin: does not wait',
  },
  'mmu_notifier_put.free': {
    call_srcu: '5.4: the subscription is freed after a grace period',
    'at-once': 'N-29b twin: it is freed when it has left the list',
  },
  'mmu_notifier_synchronize.waits': {
    'grace-period': '5.4: synchronize_srcu()',
    callbacks: 'until 5.3, when it belonged to mmu_notifier_call_srcu(): srcu_barrier()',
  },
  'call_srcu.list': {
    'boot-cpu':
      '5.19: one list of callbacks, until there is contention, with fewer than 128 CPUs (srcutree.big_cpu_lim)',
    'per-cpu':
      'until 5.18, and since then with more CPUs: each has a list, and they know nothing of each other',
  },
} as const;
