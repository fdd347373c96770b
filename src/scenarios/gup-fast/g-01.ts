// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  alloc_page,
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  madvise_dontneed,
  munmap,
} from '../../linux/index.js';

/**
 * gup_fast() against munmap: the frame is freed and goes to somebody else. The reader relies on three things after it
 * has read the PTE: a count of zero means no, and after the reference the entry must still be the same.
 *
 * munmap of all that a page table maps also unlinks the table before the flush, so the second look at the PMD alone
 * keeps the reader from a page that was freed. MADV_DONTNEED, or a neighbour in the same table, leaves the table there.
 */
export default scenario({
  id: 'G-01',
  family: 'gup-fast',
  title: 'GUP-fast against munmap and reuse',
  question: 'Which steps of the reference-and-revalidate protocol may gup_fast_pte_range() leave out?',
  machine: { cpus: 2, frames: 3 },
  knobs: {
    'gup.zero_bail': ['on', 'off'],
    'gup.pte_recheck': ['after-ref', 'before-ref', 'none'],
    unmap: ['munmap', 'dontneed'],
    asked: ['PIN-RIGHT', 'PIN-WEAK'],
  },
  bounds: 'one get_user_pages_fast_only() of one page, one munmap or MADV_DONTNEED, one allocation',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    return { p, x, pin: m.watchPin(p.mm, x.start) };
  },
  agents: ({ p, x, pin }, { unmap, asked }) => ({
    *reader() {
      yield* pin.begin();
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      yield* pin.judge(pages[0], asked);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(pages[0]);
    },
    *unmapper() {
      if (unmap === 'munmap') yield* munmap(p.mm, x.vma);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
      const page = yield* alloc_page();
      if (page === undefined) return;
      see('allocated');
      yield* folio_put(page);
    },
  }),
  sometimes: ['got the page', 'fell back', 'allocated'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'gup.pte_recheck=before-ref,machine=bcast': violates('PIN-RIGHT'),
    'gup.pte_recheck=before-ref': violates('PIN-RIGHT'),
    'gup.pte_recheck=none,machine=bcast': violates('PIN-RIGHT'),
    'gup.pte_recheck=none': violates('PIN-RIGHT'),
    // The flush waits for the reader: late as the reference may be, the page was not freed before it.
    'gup.pte_recheck=before-ref,asked=PIN-WEAK': 'safe',
    'gup.pte_recheck=none,asked=PIN-WEAK': 'safe',
    // The PMD has changed by the time the page is freed.
    'gup.pte_recheck=none,asked=PIN-WEAK,machine=bcast': 'safe',
    'unmap=dontneed': 'safe',
    'unmap=dontneed,machine=bcast': 'safe',
    'gup.pte_recheck=none,unmap=dontneed,asked=PIN-WEAK': 'safe',
    'gup.pte_recheck=before-ref,unmap=dontneed,asked=PIN-WEAK,machine=bcast': violates('PIN-WEAK'),
    'gup.pte_recheck=none,unmap=dontneed,asked=PIN-WEAK,machine=bcast': violates('PIN-WEAK'),
    'gup.zero_bail=off': 'safe',
    'gup.zero_bail=off,machine=bcast': violates('FREE-ONCE'),
  },
});
