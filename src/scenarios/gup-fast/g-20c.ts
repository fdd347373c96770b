// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import {
  madvise_dontneed,
  mprotect,
  munmap,
  PG,
  PROT_READ,
  shrink_inactive_list,
  userLoad,
  userStore,
} from '../../linux/index.js';

/** Stores through a TLB entry that outlives its PTE must not come after the page was written to swap. */
export const g20c = scenario({
  id: 'G-20c',
  family: 'gup-fast',
  title: 'Stores against swap-out',
  question: 'Where must swap-out flush, so that no store is lost?',
  machine: { cpus: 2, frames: 4, swapSlots: 1, data: true },
  knobs: {
    'vmscan.flush_dirty': ['on', 'off'],
    'vmscan.flush_before_free': ['on', 'off'],
    pte: ['dirty', 'clean'],
  },
  bounds: 'one store and one load of one page, one swap-out of it',
  setup(m, { pte }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: pte === 'dirty' });
    return { x, page: p.page(x.start) };
  },
  agents: ({ x, page }) => ({
    *user() {
      yield* userStore(x.start, 7);
      const value = yield* userLoad(x.start);
      yield* claim(value === 7, 'DATA', 'what was stored is neither in memory nor in swap');
      see('loaded');
    },
    *reclaim() {
      yield* shrink_inactive_list([page]);
    },
  }),
  sometimes: ['loaded'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'pte=clean': 'safe',
    'pte=clean,machine=bcast': 'safe',
    'vmscan.flush_dirty=off': violates('DATA'),
    'vmscan.flush_dirty=off,machine=bcast': violates('DATA'),
    'vmscan.flush_before_free=off,pte=clean': violates('TLB-LIVE'),
    'vmscan.flush_before_free=off,pte=clean,machine=bcast': violates('TLB-LIVE'),
  },
});

/** Somebody else finds the entry gone, relies on it, and the TLB entry is still there: reclaim has not flushed yet. */
export const g20d = scenario({
  id: 'G-20d',
  family: 'gup-fast',
  title: 'Changes of the mapping between reclaim and its flush',
  question: 'Who relies on an absent entry being in no TLB, while reclaim still owes the flush?',
  machine: { cpus: 2, frames: 4, swapSlots: 1, data: true },
  knobs: {
    'rmap.batched_pending': ['on', 'off'],
    'rmap.defer_flush': ['on', 'off'],
    change: ['dontneed', 'mprotect', 'munmap'],
    page: ['swap', 'lazyfree'],
  },
  bounds:
    'one MADV_DONTNEED, mprotect or munmap of one page with one access after it, one reclaim of the page',
  setup(m, k) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: k.change === 'mprotect' });
    const page = p.page(x.start);
    page.frame.data!.init(5);
    if (k.page === 'lazyfree') page.flags.init(page.flags.value & ~PG.swapbacked);
    return { p, x, page };
  },
  agents: ({ p, x, page }, { change }) => ({
    *user() {
      if (change === 'dontneed') {
        yield* madvise_dontneed(x.vma, x.start, x.end);
        const value = yield* userLoad(x.start);
        yield* claim(value === 0, 'DATA', 'MADV_DONTNEED has returned, and a load finds the old page');
      } else if (change === 'mprotect') {
        yield* mprotect(p.mm, x.vma, PROT_READ);
        const signal = yield* userStore(x.start, 7);
        yield* claim(
          signal === 'SIGSEGV',
          'TLB-PERM',
          'mprotect(PROT_READ) has returned, and a store succeeds',
        );
      } else {
        yield* munmap(p.mm, x.vma);
        const value = yield* userLoad(x.start);
        yield* claim(value === 'SIGSEGV', 'TLB-PERM', 'munmap() has returned, and a load finds the page');
      }
      see('done');
    },
    *reclaim() {
      yield* shrink_inactive_list([page]);
    },
  }),
  sometimes: ['done'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'page=lazyfree': 'safe',
    'page=lazyfree,machine=bcast': 'safe',
    'change=mprotect': 'safe',
    'change=mprotect,machine=bcast': 'safe',
    'rmap.batched_pending=off': violates('DATA'),
    'rmap.batched_pending=off,machine=bcast': violates('DATA'),
    'rmap.batched_pending=off,page=lazyfree': violates('DATA'),
    'rmap.batched_pending=off,page=lazyfree,machine=bcast': violates('DATA'),
    'rmap.batched_pending=off,change=mprotect': violates('TLB-PERM'),
    'rmap.batched_pending=off,change=mprotect,machine=bcast': violates('TLB-PERM'),
    'rmap.batched_pending=off,rmap.defer_flush=off': 'safe',
    // munmap() frees the page table, and that flushes.
    'rmap.batched_pending=off,change=munmap': 'safe',
  },
});
