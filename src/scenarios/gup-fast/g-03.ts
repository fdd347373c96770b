// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates, type Path } from '../../litmus/index.js';
import { folio_put, FOLL, get_user_pages_fast_only, madvise_dontneed, userStore } from '../../linux/index.js';

/**
 * ABA: between the two looks at the PTE the page is zapped and freed, allocated again and mapped at the same address
 * with the same bits. The second look can't tell, and need not: the reference is on the page that is mapped there now.
 */
export default scenario({
  id: 'G-03',
  family: 'gup-fast',
  title: 'GUP-fast: the same frame comes back',
  question: 'Is it harmless that a freed and reused frame makes the two looks at the PTE equal?',
  machine: { cpus: 2, frames: 3, rcuCallbacks: 0 },
  knobs: { 'gup.pte_recheck': ['after-ref', 'before-ref', 'none'] },
  bounds: 'one get_user_pages_fast_only() of one page, one MADV_DONTNEED and a store to the same address',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    return { x, pin: m.watchPin(p.mm, x.start, { reuse: true }) };
  },
  agents: ({ x, pin }) => ({
    *reader(): Path {
      yield* pin.begin();
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      if (yield* pin.cameBack(pages[0])) see('the same frame came back');
      yield* pin.judge(pages[0]);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(pages[0]);
    },
    *owner(): Path {
      yield* madvise_dontneed(x.vma, x.start, x.end);
      yield* userStore(x.start);
    },
  }),
  sometimes: ['got the page', 'fell back', 'the same frame came back'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'gup.pte_recheck=none,machine=bcast': violates('PIN-RIGHT'),
    'gup.pte_recheck=before-ref,machine=bcast': violates('PIN-RIGHT'),
  },
});
