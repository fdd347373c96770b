// SPDX-License-Identifier: GPL-2.0-only
import { claim, dmaWrite, scenario, see, violates } from '../../litmus/index.js';
import {
  alloc_page,
  FOLL,
  folio_mark_dirty,
  folio_put,
  gup_fast,
  gup_put_folio,
  migrate_pages,
  PageAnonExclusive,
  userLoad,
} from '../../linux/index.js';

/**
 * gup_fast() against migration. The entry becomes a migration entry, with a flush before anything else happens to the
 * page, whatever the mode: so an extra reference is seen in the count, and migration gives up, or the page was mapped
 * when the reader read the entry, and only freed later.
 */
export default scenario({
  id: 'G-01f',
  family: 'gup-fast',
  title: 'GUP-fast against migration',
  question: 'What may gup_fast_pte_range() leave out against migration of the page?',
  machine: { cpus: 2, frames: 4, data: true },
  knobs: {
    'gup.zero_bail': ['on', 'off'],
    'gup.pte_recheck': ['after-ref', 'none'],
    'rmap.barrier': ['full', 'mb-only', 'no-mb', 'none'],
    mode: ['sync', 'async'],
    asked: ['PIN-RIGHT', 'PIN-WEAK', 'PIN-VALID', 'DATA'],
    memory: ['sc', 'tso'],
  },
  bounds:
    'one GUP-fast of one page with one DMA store and one load after, one migration of the page, one allocation',
  setup(m, { asked }) {
    const p = m.process('P');
    // Marking the folio dirty would be a locked operation, and a barrier.
    const x = p.mmap({ pages: 1, touched: true, dirty: asked !== 'PIN-VALID' });
    return { x, page: p.page(x.start), pin: m.watchPin(p.mm, x.start, { write: true }) };
  },
  agents: ({ x, page, pin }, { asked, mode }) => ({
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
        const exclusive = yield* PageAnonExclusive(got);
        yield* claim(
          exclusive,
          'PIN-VALID',
          'the pinned page is not exclusive: fork and faults may share it',
        );
      }
      yield* dmaWrite(got, 7);
      yield* folio_mark_dirty(got);
      yield* gup_put_folio(got, 1, flags);
      if (asked !== 'DATA') return;
      const value = yield* userLoad(x.start);
      yield* claim(value === 7, 'DATA', 'what the device stored in the page is not in memory any more');
    },
    *migration() {
      const failed = yield* migrate_pages([page], mode);
      see(failed === 0 ? 'migrated' : 'gave up');
      const other = yield* alloc_page();
      if (other !== undefined) yield* folio_put(other);
    },
  }),
  sometimes: ['got the page', 'fell back', 'migrated', 'gave up'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mode=async': 'safe',
    'mode=async,machine=bcast': 'safe',
    'asked=DATA': 'safe',
    'asked=DATA,machine=bcast': 'safe',
    'asked=PIN-VALID': 'safe',
    'mode=async,asked=PIN-VALID': 'safe',
    'gup.pte_recheck=none,mode=async,asked=PIN-VALID': violates('PIN-VALID'),
    'mode=async,asked=PIN-VALID,memory=tso': 'safe',
    'rmap.barrier=mb-only,mode=async,asked=PIN-VALID,memory=tso': 'safe',
    'rmap.barrier=no-mb,mode=async,asked=PIN-VALID,memory=tso': 'safe',
    'rmap.barrier=none,mode=async,asked=PIN-VALID,memory=tso': violates('PIN-VALID'),
    'gup.zero_bail=off': 'safe',
    'gup.zero_bail=off,mode=async': 'safe',
    'gup.zero_bail=off,machine=bcast': violates('FREE-ONCE'),
    'gup.pte_recheck=none': violates('PIN-RIGHT'),
    'gup.pte_recheck=none,machine=bcast': violates('PIN-RIGHT'),
    'gup.pte_recheck=none,asked=PIN-WEAK': 'safe',
    'gup.pte_recheck=none,mode=async,asked=PIN-WEAK': 'safe',
    'gup.pte_recheck=none,asked=PIN-WEAK,machine=bcast': violates('PIN-WEAK'),
    'gup.pte_recheck=none,asked=DATA': 'safe',
    'gup.pte_recheck=none,asked=DATA,machine=bcast': violates('DATA'),
  },
});
