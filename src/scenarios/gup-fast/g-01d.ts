// SPDX-License-Identifier: GPL-2.0-only
import { claim, dmaWrite, scenario, see, violates } from '../../litmus/index.js';
import {
  alloc_page,
  FOLL,
  folio_mark_dirty,
  folio_put,
  get_user_pages_fast_only,
  PG,
  shrink_inactive_list,
  userLoad,
} from '../../linux/index.js';

/**
 * gup_fast() against reclaim of a lazyfree page. Reclaim clears the entry, freezes the count to zero, and only then
 * flushes, for the whole batch: so a reader that has its interrupts off holds the freeing off, and not what comes
 * before it. The count that it may not take a reference from is a frozen one.
 */
export default scenario({
  id: 'G-01d',
  family: 'gup-fast',
  title: 'GUP-fast against reclaim of a lazyfree page',
  question:
    'What does a flush that comes after the page was frozen leave to the steps of gup_fast_pte_range()?',
  machine: { cpus: 2, frames: 4, data: true },
  knobs: {
    'gup.zero_bail': ['on', 'off'],
    'gup.pte_recheck': ['after-ref', 'before-ref', 'none'],
    'rmap.defer_flush': ['on', 'off'],
    'vmscan.flush_before_free': ['on', 'off'],
    asked: ['PIN-RIGHT', 'PIN-WEAK', 'DATA'],
  },
  bounds:
    'one get_user_pages_fast_only() of one page with one DMA store and one load after, one reclaim of the page, one allocation',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const page = p.page(x.start);
    page.flags.init(page.flags.value & ~PG.swapbacked);
    return { x, page, pin: m.watchPin(p.mm, x.start, { write: true }) };
  },
  agents: ({ x, page, pin }, { asked }) => ({
    *reader() {
      if (asked !== 'DATA') yield* pin.begin();
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET | FOLL.WRITE);
      const got = pages[0];
      if (asked !== 'DATA') yield* pin.judge(got, asked);
      if (got === undefined) return see('fell back');
      see('got the page');
      yield* dmaWrite(got, 7);
      yield* folio_mark_dirty(got);
      yield* folio_put(got);
      if (asked !== 'DATA') return;
      const value = yield* userLoad(x.start);
      yield* claim(value === 7, 'DATA', 'what the device stored in the page is not in memory any more');
    },
    *reclaim() {
      yield* shrink_inactive_list([page]);
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
    'asked=DATA': 'safe',
    'asked=DATA,machine=bcast': 'safe',
    'vmscan.flush_before_free=off': violates('TLB-LIVE'),
    'vmscan.flush_before_free=off,machine=bcast': violates('TLB-LIVE'),
    // The reader's undo put frees the frozen page before the batch was flushed; reclaim frees it again after.
    'gup.zero_bail=off': violates('TLB-LIVE'),
    'gup.zero_bail=off,machine=bcast': violates('TLB-LIVE'),
    'gup.zero_bail=off,rmap.defer_flush=off': 'safe',
    'gup.zero_bail=off,rmap.defer_flush=off,machine=bcast': violates('FREE-ONCE'),
    'gup.pte_recheck=none': violates('PIN-RIGHT'),
    'gup.pte_recheck=none,machine=bcast': violates('PIN-RIGHT'),
    'gup.pte_recheck=none,asked=PIN-WEAK': 'safe',
    'gup.pte_recheck=none,asked=PIN-WEAK,machine=bcast': violates('PIN-WEAK'),
    'gup.pte_recheck=none,asked=DATA': violates('DATA'),
    'gup.pte_recheck=none,asked=DATA,machine=bcast': violates('DATA'),
    'gup.pte_recheck=none,rmap.defer_flush=off,asked=DATA': 'safe',
    'gup.pte_recheck=before-ref,asked=DATA': violates('DATA'),
  },
});
