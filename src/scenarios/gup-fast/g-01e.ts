// SPDX-License-Identifier: GPL-2.0-only
import { claim, dmaWrite, scenario, see, violates } from '../../litmus/index.js';
import {
  alloc_page,
  FOLL,
  folio_mark_dirty,
  folio_put,
  folio_test_anon,
  gup_fast,
  gup_put_folio,
  PageAnonExclusive,
  shrink_inactive_list,
  userLoad,
} from '../../linux/index.js';

/**
 * gup_fast() against swap-out. Reclaim puts the page into the swap cache, clears the entry without a flush, and takes
 * the exclusive mark off the page unless it sees a pin: it reads the count after the PTE was cleared, and FOLL_PIN looks
 * at the PTE after it raised the count.
 */
export default scenario({
  id: 'G-01e',
  family: 'gup-fast',
  title: 'GUP-fast against swap-out',
  question: 'What may gup_fast_pte_range() leave out against swap-out with a batched flush?',
  machine: { cpus: 2, frames: 4, swapSlots: 1, data: true },
  knobs: {
    'gup.zero_bail': ['on', 'off'],
    'gup.pte_recheck': ['after-ref', 'none', 'before-ref'],
    'rmap.defer_flush': ['on', 'off'],
    'vmscan.flush_before_free': ['on', 'off'],
    pte: ['dirty', 'clean'],
    asked: ['PIN-RIGHT', 'PIN-WEAK', 'PIN-VALID', 'DATA'],
    memory: ['sc', 'tso'],
  },
  bounds:
    'one GUP-fast of one page with one DMA store and one load after, one swap-out of the page, one allocation',
  setup(m, { pte }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: pte === 'dirty' });
    return { x, page: p.page(x.start), pin: m.watchPin(p.mm, x.start, { write: true }) };
  },
  agents: ({ x, page, pin }, { asked }) => ({
    *reader() {
      const flags = asked === 'PIN-VALID' ? FOLL.PIN | FOLL.WRITE : FOLL.GET | FOLL.WRITE;
      const judged = asked === 'PIN-RIGHT' || asked === 'PIN-WEAK';
      if (judged) yield* pin.begin();
      const pages = yield* gup_fast(x.start, x.end, flags);
      const got = pages[0];
      if (judged) yield* pin.judge(got, asked);
      if (got === undefined) return see('fell back');
      see('got the page');
      if (asked === 'PIN-VALID') {
        const exclusive = !(yield* folio_test_anon(got)) || (yield* PageAnonExclusive(got));
        yield* claim(
          exclusive,
          'PIN-VALID',
          'the pinned page is not exclusive: the next write fault may copy it',
        );
      }
      yield* dmaWrite(got, 7);
      yield* folio_mark_dirty(got);
      yield* gup_put_folio(got, 1, flags);
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
    'asked=PIN-VALID': 'safe',
    'asked=PIN-VALID,machine=bcast': 'safe',
    'asked=PIN-VALID,memory=tso': 'safe',
    'gup.pte_recheck=none,asked=PIN-VALID,memory=tso': violates('PIN-VALID'),
    'asked=DATA': 'safe',
    'asked=DATA,machine=bcast': 'safe',
    'vmscan.flush_before_free=off,pte=clean': violates('TLB-LIVE'),
    'pte=clean': 'safe',
    'pte=clean,machine=bcast': 'safe',
    // The folio is dirty, so it is written out before it is frozen; that flushes if the PTE was dirty.
    'gup.zero_bail=off': 'safe',
    // The reader's undo put frees the frozen folio while reclaim still takes it out of the swap cache.
    'gup.zero_bail=off,machine=bcast': violates('FRAME-REUSE'),
    'gup.zero_bail=off,pte=clean': violates('TLB-LIVE'),
    'gup.zero_bail=off,pte=clean,machine=bcast': violates('TLB-LIVE'),
    'gup.pte_recheck=none': violates('PIN-RIGHT'),
    'gup.pte_recheck=none,machine=bcast': violates('PIN-RIGHT'),
    'gup.pte_recheck=none,asked=PIN-WEAK': 'safe',
    'gup.pte_recheck=none,asked=PIN-WEAK,machine=bcast': violates('PIN-WEAK'),
    'gup.pte_recheck=none,asked=PIN-VALID': violates('PIN-VALID'),
    'gup.pte_recheck=none,asked=PIN-VALID,machine=bcast': violates('PIN-VALID'),
    'gup.pte_recheck=none,rmap.defer_flush=off,asked=PIN-VALID': 'safe',
    'gup.pte_recheck=before-ref,asked=PIN-VALID': violates('PIN-VALID'),
    'gup.pte_recheck=none,asked=DATA': 'safe',
  },
  differs: { 'gup.zero_bail=off': 'UNSAFE' },
});
