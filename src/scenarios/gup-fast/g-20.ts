// SPDX-License-Identifier: GPL-2.0-only
import { claim, dmaWrite, scenario, see, violates } from '../../litmus/index.js';
import {
  FOLL,
  folio_mark_dirty,
  gup_fast,
  gup_put_folio,
  PG,
  set_page_dirty_lock,
  shrink_inactive_list,
  userLoad,
} from '../../linux/index.js';

/**
 * A direct read into a page that was given to MADV_FREE: pinned, written by DMA, marked dirty, unpinned. Reclaim may
 * throw the page away only while nobody writes to it, and neither the PTE nor the TLB tells it about DMA: it has the
 * reference count and the dirty flag, read in the right order after the PTE is gone.
 */
export default scenario({
  id: 'G-20',
  family: 'gup-fast',
  title: 'DMA into a lazyfree page against its reclaim',
  question: 'What must reclaim look at, in which order, before it discards a MADV_FREE page?',
  machine: { cpus: 2, frames: 3, data: true },
  knobs: {
    'rmap.lazyfree_test': ['ref-then-dirty', 'dirty-then-ref', 'dirty-only'],
    'rmap.barrier': ['full', 'mb-only', 'no-mb', 'none'],
    dirty: ['unlocked', 'locked'], // folio_mark_dirty() without the folio lock, or set_page_dirty_lock()
    memory: ['sc', 'tso'],
  },
  bounds: 'one FOLL_PIN of one page with one DMA store and one load after the unpin, one reclaim of the page',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const page = p.page(x.start);
    page.flags.init(page.flags.value & ~PG.swapbacked);
    return { p, x, page };
  },
  agents: ({ x, page }, k) => ({
    *reader() {
      const pages = yield* gup_fast(x.start, x.end, FOLL.PIN | FOLL.WRITE);
      const pinned = pages[0];
      if (pinned === undefined) return see('fell back');
      see('pinned');
      yield* dmaWrite(pinned, 7);
      if (k.dirty === 'locked') yield* set_page_dirty_lock(pinned);
      else yield* folio_mark_dirty(pinned);
      yield* gup_put_folio(pinned, 1, FOLL.PIN);
      const value = yield* userLoad(x.start);
      yield* claim(
        value === 7,
        'DATA',
        'what the device stored in the pinned page is not in memory any more',
      );
    },
    *reclaim() {
      yield* shrink_inactive_list([page]);
    },
  }),
  sometimes: ['pinned', 'fell back'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'memory=tso': 'safe',
    'memory=tso,machine=bcast': 'safe',
    'rmap.lazyfree_test=dirty-only': violates('DATA'),
    'rmap.lazyfree_test=dirty-only,machine=bcast': violates('DATA'),
    'rmap.lazyfree_test=dirty-only,dirty=locked': violates('DATA'),
    'rmap.lazyfree_test=dirty-then-ref': violates('DATA'),
    'rmap.lazyfree_test=dirty-then-ref,machine=bcast': violates('DATA'),
    'rmap.lazyfree_test=dirty-then-ref,dirty=locked': 'safe',
    'rmap.barrier=none': 'safe',
    'rmap.barrier=none,memory=tso': violates('DATA'),
    'rmap.barrier=none,memory=tso,machine=bcast': violates('DATA'),
    'rmap.barrier=mb-only,memory=tso': 'safe',
    'rmap.barrier=mb-only,memory=tso,machine=bcast': 'safe',
    'rmap.barrier=no-mb,memory=tso': 'safe',
  },
});
