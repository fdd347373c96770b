// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates, type Path } from '../../litmus/index.js';
import { deferred_split_scan, FOLL, gup_fast, gup_put_folio, page_folio } from '../../linux/index.js';

/**
 * gup_fast() through a huge PMD takes its reference on the head page, whatever page it wants. A split makes the PMD not
 * present and flushes before it freezes the count of the folio: where the flush is an IPI, gup_fast() has its reference
 * by then, and the split gives up; elsewhere gup_fast() sees that the PMD has changed. The page is the second of two.
 * A pin is seen before the freeze: then the PMD gets split, with entries that stay present.
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
    flags: ['get', 'pin'],
    asked: ['PIN-RIGHT', 'PIN-WEAK'],
  },
  bounds: 'one gup_fast() of the second page of a huge page, one split of it',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, folio: 'pmd' });
    return { head: p.page(0), x, pin: m.watchPin(p.mm, 1) };
  },
  agents: ({ head, x, pin }, k) => ({
    *reader(): Path {
      const flags = k.flags === 'pin' ? FOLL.PIN | FOLL.WRITE : FOLL.GET;
      yield* pin.begin();
      const pages = yield* gup_fast(x.start + 1, x.end, flags);
      yield* pin.judge(pages[0], k.asked);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* gup_put_folio(yield* page_folio(pages[0]), 1, flags);
    },
    *splitter(): Path {
      see((yield* deferred_split_scan(head)) ? 'split' : 'gave up');
    },
  }),
  sometimes: ['got the page', 'fell back', 'split', 'gave up'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'flags=pin': 'safe',
    'flags=pin,machine=bcast': 'safe',
    'gup.pmd_leaf_recheck=off,flags=pin,machine=bcast': violates('PIN-RIGHT'),
    'thp.split_flush=off': violates('TLB-PERM'),
    'thp.split_flush=off,machine=bcast': violates('TLB-PERM'),
    'gup.pmd_leaf_recheck=off': violates('PIN-RIGHT'),
    'gup.pmd_leaf_recheck=off,asked=PIN-WEAK': 'safe',
    'gup.pmd_leaf_recheck=off,machine=bcast': violates('PIN-RIGHT'),
    'gup.pmd_leaf_recheck=off,asked=PIN-WEAK,machine=bcast': violates('PIN-WEAK'),
    'gup.pmd_leaf_recheck=off,thp.split_flush=off,asked=PIN-WEAK': violates('TLB-PERM'),
  },
});
