// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates, type Path } from '../../litmus/index.js';
import { folio_put, FOLL, get_user_pages_fast_only, mprotect, PROT_READ } from '../../linux/index.js';

/**
 * mprotect(PROT_READ) against a look-up for writing. Once mprotect() has returned nobody may get the page for writing
 * on the strength of an entry that was read before: PIN-PERM. PIN-RIGHT asks for more: at one instant the entry allowed
 * stores and the caller held its reference.
 */
export default scenario({
  id: 'G-21',
  family: 'gup-fast',
  title: 'GUP-fast for writing against mprotect',
  question: 'Can gup_fast() return a page for writing after mprotect(PROT_READ) has returned?',
  machine: { cpus: 2, frames: 2, rcuCallbacks: 0 },
  knobs: { 'gup.pte_recheck': ['after-ref', 'before-ref', 'none'], asked: ['PIN-PERM', 'PIN-RIGHT'] },
  bounds: 'one get_user_pages_fast_only(FOLL_WRITE) of one page, one mprotect(PROT_READ)',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    return { p, x, pin: m.watchPin(p.mm, x.start, { write: true }) };
  },
  agents: ({ p, x, pin }, k) => ({
    *reader(): Path {
      yield* pin.begin();
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET | FOLL.WRITE);
      yield* pin.judge(pages[0], k.asked);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(pages[0]);
    },
    *protector(): Path {
      yield* mprotect(p.mm, x.vma, PROT_READ);
      yield* pin.revoked();
    },
  }),
  sometimes: ['got the page', 'fell back'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'asked=PIN-RIGHT': 'safe',
    'asked=PIN-RIGHT,machine=bcast': 'safe',
    // The flush waits for the reader: mprotect() has not returned when the reader is done.
    'gup.pte_recheck=none': 'safe',
    'gup.pte_recheck=none,machine=bcast': violates('PIN-PERM'),
    'gup.pte_recheck=before-ref': 'safe',
    'gup.pte_recheck=before-ref,machine=bcast': violates('PIN-PERM'),
    'gup.pte_recheck=none,asked=PIN-RIGHT': violates('PIN-RIGHT'),
  },
});
