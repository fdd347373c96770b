// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates, type Path } from '../../litmus/index.js';
import {
  deferred_split_scan,
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  gup_put_folio,
  page_folio,
  try_get_folio,
} from '../../linux/index.js';

/**
 * try_get_folio() reads which folio the page belongs to, takes a reference on that folio, and looks again: in between
 * the folio may have been split, and the page may be a folio of its own. The PTE tells nothing: a split puts the same
 * entry back. The page is the second of two, since the first one's folio is itself before and after.
 *
 * gup_fast() is also held up by the flush of the split where that is an IPI. A walker that comes from a frame number,
 * with interrupts on (compaction, page idle tracking, memory failure), has nothing but the second look.
 */
export default scenario({
  id: 'G-01b',
  family: 'gup-fast',
  title: 'A reference on the folio of a tail page, against a split',
  question: 'Why does try_get_folio() look at page_folio() a second time?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 2, thp: true, rcuCallbacks: 0 },
  knobs: { 'gup.folio_recheck': ['on', 'off'], walker: ['gup-fast', 'pfn'] },
  bounds: 'one reference on the second page of a folio of two that PTEs map, one split of the folio',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, folio: 'pte' });
    return { head: p.page(0), page: p.page(1), x, pin: m.watchPin(p.mm, 1) };
  },
  agents: ({ head, page, x, pin }, k) => ({
    *reader(): Path {
      if (k.walker === 'gup-fast') {
        yield* pin.begin();
        const pages = yield* get_user_pages_fast_only(x.start + 1, 1, FOLL.GET);
        yield* pin.judge(pages[0]);
        if (pages[0] === undefined) return see('fell back');
        see('got the page');
        yield* gup_put_folio(yield* page_folio(pages[0]), 1, FOLL.GET);
        return;
      }
      const folio = yield* try_get_folio(page, 1);
      if (folio === undefined) return see('fell back');
      see('got the page');
      const now = yield* page_folio(page);
      yield* claim(now === folio, 'PIN-RIGHT', 'the reference is not on the folio that the page belongs to');
      yield* folio_put(folio);
    },
    *splitter(): Path {
      if (yield* deferred_split_scan(head)) see('split');
    },
  }),
  sometimes: ['got the page', 'fell back', 'split'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'walker=pfn': 'safe',
    'walker=pfn,machine=bcast': 'safe',
    'gup.folio_recheck=off': 'safe',
    'gup.folio_recheck=off,machine=bcast': violates('PIN-RIGHT'),
    'gup.folio_recheck=off,walker=pfn': violates('PIN-RIGHT'),
    'gup.folio_recheck=off,walker=pfn,machine=bcast': violates('PIN-RIGHT'),
  },
});
