// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates, type Path } from '../../litmus/index.js';
import {
  deferred_split_scan,
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  page_folio,
} from '../../linux/index.js';

/**
 * gup_fast() through a huge PMD takes its reference on the head page, whatever page it wants. A split makes the PMD not
 * present and flushes before it freezes the count of the folio: where the flush is an IPI, gup_fast() has its reference
 * by then, and the split gives up; elsewhere gup_fast() sees that the PMD has changed. The page is the second of two.
 */
export default scenario({
  id: 'G-17',
  family: 'gup-fast',
  title: 'GUP-fast through a huge PMD, against a split',
  question: 'What keeps gup_fast() off a huge page that is being split?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 2, thp: true, rcuCallbacks: 0 },
  knobs: {
    'gup.pmd_leaf_recheck': ['on', 'off'],
    'thp.split_flush': ['on', 'off'],
    asked: ['PIN-RIGHT', 'PIN-WEAK'],
  },
  bounds: 'one get_user_pages_fast_only() of the second page of a huge page, one split of it',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, folio: 'pmd' });
    return { head: p.page(0), x, pin: m.watchPin(p.mm, 1) };
  },
  agents: ({ head, x, pin }, k) => ({
    *reader(): Path {
      yield* pin.begin();
      const pages = yield* get_user_pages_fast_only(x.start + 1, 1, FOLL.GET);
      yield* pin.judge(pages[0], k.asked);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(yield* page_folio(pages[0]));
    },
    *splitter(): Path {
      see((yield* deferred_split_scan(head)) ? 'split' : 'gave up');
    },
  }),
  sometimes: ['got the page', 'fell back', 'split', 'gave up'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'thp.split_flush=off': 'safe',
    'thp.split_flush=off,machine=bcast': 'safe',
    'gup.pmd_leaf_recheck=off': violates('PIN-RIGHT'),
    'gup.pmd_leaf_recheck=off,asked=PIN-WEAK': 'safe',
    'gup.pmd_leaf_recheck=off,machine=bcast': violates('PIN-RIGHT'),
    'gup.pmd_leaf_recheck=off,asked=PIN-WEAK,machine=bcast': violates('PIN-WEAK'),
    'gup.pmd_leaf_recheck=off,thp.split_flush=off,asked=PIN-WEAK': violates('PIN-WEAK'),
  },
});
