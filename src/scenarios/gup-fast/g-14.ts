// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import { madvise_dontneed, userStore } from '../../linux/index.js';

/**
 * Stands for all the walkers that read page-table entries without a lock and with interrupts on: handle_pte_fault()
 * reads the entry, decides by it what kind of fault this is, takes the PTL, and only goes on if the entry is still the
 * same. mmap_lock does not help: other faults and MADV_DONTNEED hold it for read as well.
 */
export default scenario({
  id: 'G-14',
  family: 'gup-fast',
  title: 'lockless read of an entry, IRQs on',
  question: 'What makes an entry usable that was read without the lock and with interrupts on?',
  machine: { cpus: 2, frames: 5 },
  knobs: {
    'fault.pte_same': ['on', 'off'],
    entry: ['shared', 'absent'],
    other: ['store', 'dontneed'],
  },
  bounds:
    'two threads of a parent after fork: one stores to the shared page, the other stores or discards it',
  setup(m, { entry }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: entry === 'shared' });
    if (entry === 'shared') m.child('C', p, { forked: true });
    return { x };
  },
  agents: ({ x }, k) => ({
    *faulter() {
      yield* userStore(x.start);
      see('stored');
    },
    *other() {
      if (k.other === 'store') yield* userStore(x.start);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
      see('changed the entry');
    },
  }),
  sometimes: ['stored', 'changed the entry'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'other=dontneed': 'safe',
    'other=dontneed,machine=bcast': 'safe',
    'entry=absent': 'safe',
    'entry=absent,machine=bcast': 'safe',
    'fault.pte_same=off,entry=absent': violates('TLB-PERM'),
    'fault.pte_same=off,entry=absent,machine=bcast': violates('TLB-PERM'),
    'fault.pte_same=off': violates('ANON-EXCL'),
    'fault.pte_same=off,machine=bcast': violates('ANON-EXCL'),
    'fault.pte_same=off,other=dontneed': violates('ANON-EXCL'),
    'fault.pte_same=off,other=dontneed,machine=bcast': violates('ANON-EXCL'),
  },
});
