// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates, type Path } from '../../litmus/index.js';
import {
  alloc_page,
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  munmap,
  user_store,
} from '../../linux/index.js';

/**
 * gup_fast() against a COW fault: the entry never stays empty, it goes on to name the copy, and the old page lives on as
 * long as another process maps it. That process lets go of it, and the frame goes to somebody else.
 */
export default scenario({
  id: 'G-01e',
  family: 'gup-fast',
  title: 'GUP-fast against COW and reuse',
  question:
    'Which steps of gup_fast_pte_range() are needed against a page that is copied and let go of elsewhere?',
  machine: { cpus: 2, frames: 5, rcuCallbacks: 0 },
  knobs: {
    'gup.zero_bail': ['on', 'off'],
    'gup.pte_recheck': ['after-ref', 'before-ref', 'none'],
    asked: ['PIN-RIGHT', 'PIN-WEAK'],
  },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  bounds:
    'one get_user_pages_fast_only() of one page, one COW fault, one munmap by the other process, one allocation',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const q = m.process('Q', { cpus: [1] });
    const y = q.mmap({ pages: 1, shares: x });
    return { x, q, y, pin: m.watchPin(p.mm, x.start) };
  },
  agents: ({ x, q, y, pin }, { asked }) => ({
    *reader(): Path {
      yield* pin.begin();
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      yield* pin.judge(pages[0], asked);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(pages[0]);
    },
    *writer(): Path {
      yield* user_store(x.start);
      yield* munmap(q.mm, y.vma);
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
    'gup.zero_bail=off': 'safe',
    'gup.zero_bail=off,machine=bcast': violates('FREE-ONCE'),
    'gup.pte_recheck=none': violates('PIN-RIGHT'),
    'gup.pte_recheck=none,asked=PIN-WEAK': 'safe',
    'gup.pte_recheck=none,asked=PIN-WEAK,machine=bcast': violates('PIN-WEAK'),
    'gup.pte_recheck=before-ref': violates('PIN-RIGHT'),
    'gup.pte_recheck=before-ref,asked=PIN-WEAK': 'safe',
    'gup.pte_recheck=before-ref,asked=PIN-WEAK,machine=bcast': violates('PIN-WEAK'),
  },
});
