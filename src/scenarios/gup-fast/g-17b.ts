// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates, type Path } from '../../litmus/index.js';
import {
  deferred_split_scan,
  FOLL,
  get_user_pages_unlocked,
  gup_put_folio,
  madvise_dontneed,
  munmap,
  page_folio,
  userLoad,
  userStore,
} from '../../linux/index.js';

/**
 * The others who may come while a large folio is split: faults and get_user_pages() find migration entries and wait,
 * MADV_DONTNEED takes the entries away.
 */
export default scenario({
  id: 'G-17b',
  family: 'gup-fast',
  title: 'A split of a huge page against faults and zaps',
  question: 'What keeps others off the entries and the folio while a huge page is split?',
  machine: { cpus: 2, frames: 5, ptrsPerPte: 2, thp: true, data: true },
  knobs: {
    'thp.split_flush': ['on', 'off'],
    other: ['store', 'dontneed', 'dontneed half', 'munmap', 'gup', 'pin'],
    mapped: ['pmd', 'pte'],
  },
  bounds:
    'one split of a folio of two pages with one load after it; one store, MADV_DONTNEED, munmap or get_user_pages() beside it',
  setup(m, { mapped }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, folio: mapped });
    const head = p.page(0);
    m.frame(head.pfn + 1).frame.data!.init(5);
    return { p, x, head };
  },
  agents: ({ p, x, head }, { other }) => ({
    *splitter(): Path {
      see((yield* deferred_split_scan(head)) ? 'split' : 'gave up');
      const value = yield* userLoad(1);
      const zapped = other === 'dontneed' || other === 'dontneed half';
      const right =
        value === 5 ||
        (value === 7 && other === 'store') ||
        (value === 0 && zapped) ||
        (value === 'SIGSEGV' && other === 'munmap');
      yield* claim(right, 'DATA', 'the second page has other contents');
    },
    *other(): Path {
      if (other === 'store') {
        yield* userStore(1, 7);
        const value = yield* userLoad(1);
        yield* claim(value === 7, 'DATA', 'what was stored is not there');
      } else if (other === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
      else if (other === 'dontneed half') yield* madvise_dontneed(x.vma, 1, 2);
      else if (other === 'munmap') yield* munmap(p.mm, x.vma);
      else {
        const flags = other === 'pin' ? FOLL.PIN | FOLL.WRITE : FOLL.WRITE;
        const { pages } = yield* get_user_pages_unlocked(1, 1, flags);
        for (const page of pages) yield* gup_put_folio(yield* page_folio(page), 1, flags | FOLL.GET);
      }
    },
  }),
  sometimes: ['split'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mapped=pte': 'safe',
    'other=dontneed': 'safe',
    'other=dontneed,mapped=pte': 'safe',
    'other=dontneed half': 'safe',
    'other=munmap': 'safe',
    'other=munmap,mapped=pte': 'safe',
    'other=gup': 'safe',
    'other=gup,mapped=pte': 'safe',
    'other=pin': 'safe',
    'thp.split_flush=off': violates('TLB-PERM'),
    'thp.split_flush=off,machine=bcast': violates('TLB-PERM'),
  },
});
