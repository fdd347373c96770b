// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import {
  folio_test_anon,
  folio_test_swapbacked,
  madvise_free,
  PG,
  shrink_inactive_list,
  userLoad,
  userStore,
} from '../../linux/index.js';

/**
 * A store by the CPU after MADV_FREE has returned must live. Reclaim learns of it from the dirty bit of the PTE, which
 * the hardware sets only if its TLB entry is not dirty yet: so MADV_FREE flushes what it has cleaned.
 */
export default scenario({
  id: 'G-20b',
  family: 'gup-fast',
  title: 'A store after MADV_FREE against reclaim',
  question: 'Is a page that was written to after MADV_FREE had returned ever discarded?',
  machine: { cpus: 2, frames: 3, swapSlots: 1, data: true },
  knobs: { 'madvise.free_flush': ['on', 'off'], folio: ['clean', 'dirty'] },
  bounds: 'one MADV_FREE with one store and one load after it, one reclaim of the page at any time',
  setup(m, { folio }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const page = p.page(x.start);
    if (folio === 'dirty') page.flags.init(page.flags.value | PG.dirty);
    return { p, x, page };
  },
  agents: ({ p, x, page }) => ({
    *user() {
      yield* madvise_free(p.mm, x.start, x.end);
      if (!(yield* folio_test_swapbacked(page)) && (yield* folio_test_anon(page))) see('lazyfree');
      yield* userStore(x.start, 7);
      const value = yield* userLoad(x.start);
      yield* claim(value === 7, 'DATA', 'what was stored after MADV_FREE is not in memory any more');
    },
    *reclaim() {
      yield* shrink_inactive_list([page]);
    },
  }),
  sometimes: ['lazyfree'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'folio=dirty': 'safe',
    'folio=dirty,machine=bcast': 'safe',
    'madvise.free_flush=off': violates('DATA'),
    'madvise.free_flush=off,machine=bcast': violates('DATA'),
  },
});
