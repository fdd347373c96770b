// SPDX-License-Identifier: GPL-2.0-only
/** Drivers. */
export const DRIVERS = {
  'nouveau.migrate_event': {
    ignored:
      '5.8: nouveau_svmm_invalidate_range_start() leaves MMU_NOTIFY_MIGRATE of the GPU itself alone, also where RAM is migrated',
    obeyed: 'N-32c: takes the range off the GPU, as for all others',
  },
  'nouveau.pfns_map': {
    all: '5.8: nouveau_dmem_migrate_chunk() maps every page that it has copied, whether migrate_vma_pages() took it or not',
    migrated: 'N-32e: only those of which src still says MIGRATE, as test_hmm does',
  },
  'nouveau.owner_filter': {
    on: '5.14: nouveau_svm_range_invalidate() does not count MMU_NOTIFY_EXCLUSIVE events of its own device',
    off: 'D-13: counts them, so that each attempt invalidates itself',
    'any-owner': "D-13: does not count other devices' either",
  },
  'nouveau.own_restore': {
    counted: '5.14: a restore that make_device_exclusive_range() itself causes is counted as any other',
    filtered: 'D-49: what the thread that makes the page exclusive causes is not counted',
  },
  'nouveau.begin': {
    'before-make': '5.14: mmu_interval_read_begin(), then make_device_exclusive_range() with its GUP',
    'after-gup':
      'D-49: the page is faulted in before, so that the GUP in make_device_exclusive_range() restores nothing',
  },
  'nouveau.read_retry': {
    locked: '5.14: mmu_interval_read_retry() under svmm->mutex, then the GPU is programmed',
    none: 'D-15 twin: programmed without',
  },
  'nouveau.hold_folio': {
    on: '5.14: the folio stays locked and referenced until the GPU is programmed',
    off: 'D-28: only until make_device_exclusive_range() has returned',
  },
  'nouveau.callback_lock': {
    mutex: '5.14: the callback takes svmm->mutex only',
    folio: 'D-29: it takes the lock of the folio that the GPU has mapped as well',
  },
  'nouveau.gfp': {
    GFP_KERNEL:
      "6.12: nvkm_mmu_ptc_get() and nvkm_vma_new() allocate what the GPU's page table needs, under svmm->mutex",
    GFP_NOFS: 'N-20: without entering file systems',
    GFP_NOWAIT: 'N-20: without reclaim; the fault fails where memory is low',
    preallocated: 'N-20: with GFP_KERNEL before svmm->mutex is taken',
  },
  'nouveau.release': {
    none: '5.14: nouveau_mn_ops has no release(); the svmm ends with the device file, after the mm',
    unmaps: 'D-45: a release() that takes everything off the GPU',
  },
  'kvm.retry': {
    locked: '6.12: is_page_fault_stale() under mmu_lock, then the page is entered',
    unlocked: 'N-35 twin: before mmu_lock is taken',
    none: 'N-35 twin: entered without',
  },
  'kvm.mmu_seq': {
    'before-lookup': '6.12: mmu_invalidate_seq is read before the page is looked up',
    'after-lookup': 'N-35 twin: after it',
  },
  'kvm.in_progress': {
    tested: '6.12: while a range that covers the page is under way the fault begins anew',
    ignored: 'N-35 twin: only the number is looked at',
  },
  'kvm.seq': {
    end: '6.12: kvm_mmu_invalidate_end() changes mmu_invalidate_seq',
    begin: 'N-35 twin: kvm_mmu_invalidate_begin() does, as interval notifiers do',
    never: 'N-35 twin: nobody does',
  },
  'kvm.range': {
    hull: '5.12: one range that covers all that are under way',
    last: 'N-35 twin: the one that began last',
  },
  'kvm_swap_active_memslots.wait': {
    on: '5.13: slots change when no range is under way',
    off: 'N-35 twin: at any time',
  },
  'umem_odp.dirty': {
    on: '6.12: ib_umem_odp_unmap_dma_pages() marks pages dirty that the card might store to',
    off: 'N-25 twin: it does not',
  },
  'mlx5.callback': {
    'tears-down': '6.12: takes the range off the card, then marks a child that has no page left for removal',
    'marks-only': 'N-25 twin: marks it, and leaves the rest to the work',
  },
  'mlx5.remove': {
    work: '6.12: a work removes the interval',
    callback: 'N-25 twin: the callback does',
  },
  'mlx5.mkey_wait': {
    on: '6.12: the work waits until nobody uses the child any more',
    off: 'N-25 twin: it does not',
  },
  'mlx5.deref': {
    'then-wake':
      '6.12: refcount_dec_and_test(), then wake_up() on a wait queue in the record that nothing keeps any more',
    'and-wake':
      'N-25: the last reference is dropped and who waits for that is woken in one step, as with a completion',
  },
  'mlx5.unload': {
    reference: '6.12: waits for the reference that the work drops at its end',
    flush: 'N-25: waits until the work has returned',
    none: 'N-25 twin: waits for nothing',
  },
  'test_hmm.migrate_event': {
    ignored:
      '5.8: MMU_NOTIFY_MIGRATE of the device itself is left alone: neither counted, nor is anything taken off the mirror',
    obeyed: 'N-32b: is an event as any other',
  },
  'test_hmm.owner_filter': {
    off: '5.14: makes pages exclusive for nobody, and acts on every event',
    on: 'D-13: names itself, and ignores its own',
  },
  'test_hmm.read_retry': {
    none: '5.14: dmirror_atomic_map() does not ask whether an invalidation has come between',
    locked: 'D-15: asks under dmirror->mutex, and begins anew',
  },
  'test_hmm.hold_folio': {
    on: '5.14: the folios stay locked until dmirror_atomic_map() is done',
    off: 'D-28: only until make_device_exclusive_range() has returned',
  },
  'test_hmm.mmap_lock': {
    'to-map': '5.14: dmirror_exclusive() holds mmap_lock until dmirror_atomic_map() is done',
    'to-make': 'D-15, D-16 twin: only until make_device_exclusive_range() has returned',
  },
  'test_hmm.callback_lock': {
    mutex: '5.14: the callback takes dmirror->mutex only',
    folio: 'D-29: it takes the lock of the folio that is mapped as well',
  },
  'test_hmm.backing_page': {
    'not-entered':
      '6.12: dmirror_do_fault() enters the device-private page itself, which nobody can load from or store to',
    entered: 'N-32b: a fault enters the RAM that stands for a device-private page, as a migration does',
  },
} as const;
