// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates, type Path } from '../../litmus/index.js';
import {
  collapse_huge_page,
  FOLL,
  folio_put,
  get_user_pages_unlocked,
  madvise_dontneed,
  migrate_pages,
  munmap,
  shrink_inactive_list,
  userLoad,
  userStore,
} from '../../linux/index.js';

/**
 * khugepaged takes a page table away, which page faults, the rmap walks of reclaim and migration, and others look for.
 * It holds mmap_lock and the anon_vma lock for write, and the page is locked and off the LRU while it is copied.
 */
export default scenario({
  id: 'G-01j',
  family: 'gup-fast',
  title: 'khugepaged against faults and rmap walks',
  question: 'What keeps faults and rmap walks from a page table that khugepaged takes away?',
  machine: { cpus: 2, frames: 6, thp: true, swapSlots: 1, data: true },
  knobs: {
    'fault.mmap_lock': ['read', 'none'],
    other: ['store', 'reclaim', 'migration', 'dontneed', 'munmap', 'gup'],
  },
  bounds:
    'one collapse of one page with one load after it; one store, reclaim, migration, MADV_DONTNEED, munmap or get_user_pages() of the page',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const page = p.page(x.start);
    page.frame.data!.init(5);
    return { p, x, page };
  },
  agents: ({ p, x, page }, { other }) => ({
    *khugepaged(): Path {
      see((yield* collapse_huge_page(p.mm, x.start)) ? 'collapsed' : 'gave up');
      const value = yield* userLoad(x.start);
      const right =
        value === 5 ||
        (value === 7 && other === 'store') ||
        (value === 0 && other === 'dontneed') ||
        (value === 'SIGSEGV' && other === 'munmap');
      yield* claim(right, 'DATA', 'the huge page has other contents');
    },
    *other(): Path {
      if (other === 'store') {
        yield* userStore(x.start, 7);
        const value = yield* userLoad(x.start);
        yield* claim(value === 7, 'DATA', 'what was stored is not in the huge page');
      } else if (other === 'reclaim') yield* shrink_inactive_list([page]);
      else if (other === 'migration') yield* migrate_pages([page], 'sync');
      else if (other === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
      else if (other === 'munmap') yield* munmap(p.mm, x.vma);
      else
        for (const got of (yield* get_user_pages_unlocked(x.start, 1, FOLL.WRITE)).pages)
          yield* folio_put(got);
    },
  }),
  sometimes: ['collapsed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'other=reclaim': 'safe',
    'other=reclaim,machine=bcast': 'safe',
    'other=migration': 'safe',
    'other=migration,machine=bcast': 'safe',
    'other=dontneed': 'safe',
    'other=munmap': 'safe',
    'other=gup': 'safe',
    'other=gup,machine=bcast': 'safe',
    'fault.mmap_lock=none': violates('DATA', { reports: ['LOCK-HELD'] }),
    'fault.mmap_lock=none,machine=bcast': violates('DATA', { reports: ['LOCK-HELD'] }),
  },
});
