// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  dup_mmap,
  FOLL,
  pin_user_pages_fast,
  shrink_inactive_list,
  unpin_user_page,
  userStore,
} from '../../linux/index.js';

/**
 * What the exclusive mark is for: swap-out takes it off a page, the swap entry keeps it, fork takes it off the swap
 * entry, and the next store of the parent copies the page. A pin that swap-out did not see is left behind.
 */
export default scenario({
  id: 'G-01h',
  family: 'gup-fast',
  title: 'Swap-out, fork and a pin that comes between',
  question:
    'Does a page that GUP-fast pins while it is being swapped out stay the page of its address over fork?',
  machine: { cpus: 2, frames: 6, swapSlots: 1, rcuCallbacks: 0 },
  knobs: { 'gup.pte_recheck': ['after-ref', 'none'], 'rmap.defer_flush': ['on', 'off'] },
  bounds: 'one pin of one writable page, one swap-out of it, then one fork and one store of the parent',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    return { p, x, c: m.child('C', p), page: p.page(x.start), hold: m.watchHold(p.mm, x.start) };
  },
  agents: ({ p, x, c, page, hold }) => ({
    *pinner() {
      yield* hold.begin();
      const { pages } = yield* pin_user_pages_fast(x.start, 1, FOLL.WRITE | FOLL.FAST_ONLY);
      const pinned = pages[0];
      yield* hold.hold(pinned);
      if (pinned === undefined) return see('fell back');
      see('pinned');
      const err = yield* dup_mmap(c.mm, p.mm);
      if (err === 0) see('forked');
      yield* userStore(x.start);
      yield* hold.release();
      yield* unpin_user_page(pinned);
    },
    *reclaim() {
      yield* shrink_inactive_list([page]);
    },
  }),
  sometimes: ['pinned', 'fell back', 'forked'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'gup.pte_recheck=none': violates('PIN-VALID'),
    'gup.pte_recheck=none,machine=bcast': violates('PIN-VALID'),
    'gup.pte_recheck=none,rmap.defer_flush=off': 'safe',
  },
});
