// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import { alloc_page, FOLL, folio_put, get_user_pages_fast_only, userStore } from '../../linux/index.js';

/**
 * gup_fast() for reading against a copy on write: the page that was shared is replaced by a copy, and goes away when
 * the other one who shared it lets go. The copy is mapped only after clear and flush.
 */
export default scenario({
  id: 'G-01g',
  family: 'gup-fast',
  title: 'GUP-fast against copy on write',
  question: 'What may gup_fast_pte_range() leave out against a copy on write that replaces the page?',
  machine: { cpus: 2, frames: 4, data: true },
  knobs: {
    'gup.zero_bail': ['on', 'off'],
    'gup.pte_recheck': ['after-ref', 'none'],
    asked: ['PIN-RIGHT', 'PIN-WEAK'],
  },
  bounds:
    'one GUP-fast of one page, one store to it that copies it, the put of the other reference, one allocation',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, shared: true });
    const page = p.page(x.start);
    m.kernel.hold(page.pfn, -1); // the writer puts it
    return { x, page, pin: m.watchPin(p.mm, x.start) };
  },
  agents: ({ x, page, pin }, { asked }) => ({
    *reader() {
      yield* pin.begin();
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      yield* pin.judge(pages[0], asked);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(pages[0]);
    },
    *writer() {
      yield* userStore(x.start, 5);
      yield* folio_put(page);
      const other = yield* alloc_page();
      if (other === undefined) return;
      see('allocated');
      yield* folio_put(other);
    },
  }),
  sometimes: ['got the page', 'fell back', 'allocated'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'gup.zero_bail=off': 'safe',
    'gup.zero_bail=off,machine=bcast': violates('FREE-ONCE'),
    'gup.pte_recheck=none': violates('PIN-RIGHT'),
    'gup.pte_recheck=none,machine=bcast': violates('PIN-RIGHT'),
    'gup.pte_recheck=none,asked=PIN-WEAK': 'safe',
    'gup.pte_recheck=none,asked=PIN-WEAK,machine=bcast': violates('PIN-WEAK'),
  },
});
