// SPDX-License-Identifier: GPL-2.0-only
/** What was proposed for interval notifiers between December 2019 and January 2020, and was never merged. */
export const INTERVAL_UPDATES = {
  'mmu_interval_notifier.updates': {
    none: '6.12: a subscription comes with insert() and goes with remove(), which waits',
    v5: 'v5 1/2, 16 Dec 2019: with ops->release remove() does not wait; update(); waiters are woken before the releases',
    v6: 'v6 1/6 to 4/6, 13 Jan 2020: put(), update(), find(); the releases come before waiters are woken',
  },
  'mmu_interval_notifier_update.seq': {
    kept: 'v5, v6: while invalidate_seq is even, update() changes no number',
    marked:
      'N-13: as insert() does: if ranges are in flight the number becomes odd, and the subscription gets it',
    renewed: 'N-13: marked, and else a new number, so that mmu_interval_read_retry() is true',
  },
  'mmu_interval_notifier_update.unit': {
    page: 'v5, v6 with intervals of whole pages: the last address is never 0, nor is it the first',
    byte: 'N-14: what is a page here is one address',
  },
  'mmu_interval_notifier_update.sentinel': {
    last: 'v5 (deferred_last), v6 (updated_last): 0 says that no update is pending, so that what is queued goes',
    'empty-removes':
      'N-14: what Jason Gunthorpe says on 9 Jan 2020: updated_start == updated_end is an empty interval, which goes',
    'empty-inserts':
      'N-14: as his snippet of 9 Jan 2020 has it: what is empty is inserted, the other one is removed',
  },
  'mmu_interval_notifier_batch.state': {
    once: 'N-10, Jason Gunthorpe on 9 Jan 2020: remove, insert and insert are one: they find one state of the numbers',
    each: 'N-10 twin: under one hold of the lock, but each as if it were alone',
  },
  'mmu_interval_notifier.assert': {
    none: 'v5, v6: not looked at',
    'read-locked':
      'N-21, Jason Gunthorpe on 9 and 16 Jan 2020: update() and the batch assert that the tree is locked for read',
  },
  'mmu_interval_notifier_find.hold': {
    none: 'v6: find() returns a pointer, and nothing keeps it alive',
    'read-locked':
      'N-19, Jason Gunthorpe on 9 Jan 2020: the tree stays locked for read, as for a range that hits, up to find_unlock()',
    active: 'N-19 twin: counts as a range that hits nobody, so that the tree may change',
    refcount: 'N-19, Jason Gunthorpe on 9 Jan 2020: a reference, taken under the lock',
  },
  'mmu_interval_notifier_find.sees': {
    tree: 'v6: what is in the tree',
    'no-removal': 'N-19, Jason Gunthorpe on 16 Jan 2020: not what is queued to be removed',
    deferred: 'N-19: the tree as it will be after the deferred list',
  },
} as const;
