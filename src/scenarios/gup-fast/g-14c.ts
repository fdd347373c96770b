// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import {
  madvise_dontneed,
  madvise_free,
  mprotect,
  munmap,
  PROT_NONE,
  userLoad,
  userStore,
} from '../../linux/index.js';

/**
 * What the second look at the entry does not see: the VMA. A fault finds the VMA, and acts on it, under mmap_lock, and
 * so does MADV_DONTNEED; or a page would appear in a mapping that is gone, or with a right that was taken away.
 */
export default scenario({
  id: 'G-14c',
  family: 'gup-fast',
  title: 'Faults and zaps against changes of the VMA',
  question: 'What keeps the VMA that a fault has found as it was?',
  machine: { cpus: 2, frames: 5, data: true },
  knobs: {
    'fault.mmap_lock': ['read', 'none'],
    'mmu_gather.table_free': ['rcu', 'with-flush'],
    call: ['store', 'dontneed', 'free'],
    change: ['munmap', 'mprotect', 'dontneed'],
    page: ['absent', 'present'],
  },
  bounds:
    'one store, MADV_DONTNEED or MADV_FREE; one munmap, mprotect or MADV_DONTNEED with one access after it',
  setup(m, { page }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: page === 'present', dirty: true });
    if (page === 'present') p.page(x.start).frame.data!.init(5);
    return { p, x };
  },
  agents: ({ p, x }, { call, change }) => ({
    *first() {
      if (call === 'store') yield* userStore(x.start, 7);
      else if (call === 'free') yield* madvise_free(p.mm, x.start, x.end);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
      see('done');
    },
    *second() {
      if (change === 'munmap') yield* munmap(p.mm, x.vma);
      else if (change === 'mprotect') yield* mprotect(p.mm, x.vma, PROT_NONE);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
      const value = yield* userLoad(x.start);
      const right = change === 'dontneed' ? value === 0 || value === 7 : value === 'SIGSEGV';
      yield* claim(right, 'TLB-PERM', 'the call has returned, and a load finds the page');
      see('changed');
    },
  }),
  sometimes: ['done', 'changed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'page=present': 'safe',
    'page=present,machine=bcast': 'safe',
    'change=mprotect': 'safe',
    'change=mprotect,page=present': 'safe',
    'change=dontneed,page=present': 'safe',
    'change=dontneed,page=present,machine=bcast': 'safe',
    'mmu_gather.table_free=with-flush': 'safe',
    'mmu_gather.table_free=with-flush,page=present': 'safe',
    'call=dontneed,change=mprotect,page=present': 'safe',
    'call=free,change=mprotect,page=present': 'safe',
    'fault.mmap_lock=none': violates('TLB-PERM', { reports: ['DATA-RACE', 'LOCK-HELD'] }),
    'fault.mmap_lock=none,machine=bcast': violates('TLB-PERM', { reports: ['DATA-RACE', 'LOCK-HELD'] }),
    'fault.mmap_lock=none,change=mprotect': violates('TLB-PERM', { reports: ['DATA-RACE', 'LOCK-HELD'] }),
  },
});
