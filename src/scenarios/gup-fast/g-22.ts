// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates, type Path } from '../../litmus/index.js';
import {
  EFAULT,
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  get_user_pages_unlocked,
  mprotect,
  PROT_NONE,
} from '../../linux/index.js';

/**
 * A PROT_NONE entry still names its page and is pte_present(), but nobody may have the page through it: gup_fast() looks
 * at no VMA, so it has to see that in the entry. The slow path, which looks at the VMA, is what it is compared with.
 * Where pte_access_permitted() asks for the hardware's bits (x86) the test for PROT_NONE by name adds nothing; where it
 * is the generic one, all depends on that test.
 */
export default scenario({
  id: 'G-22',
  family: 'gup-fast',
  title: 'GUP-fast and PROT_NONE',
  question: 'What keeps gup_fast() from returning pages of a PROT_NONE mapping?',
  machine: { cpus: 1, frames: 2, rcuCallbacks: 0 },
  knobs: {
    'gup.protnone_check': ['on', 'off'],
    'arch.pte_access_permitted': ['x86', 'generic'],
  },
  bounds:
    'mprotect(PROT_NONE), then get_user_pages_fast_only(), then get_user_pages(), in this order, on one CPU',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    return { p, x, pin: m.watchPin(p.mm, x.start) };
  },
  agents: ({ p, x, pin }) => ({
    *task(): Path {
      yield* mprotect(p.mm, x.vma, PROT_NONE);
      yield* pin.begin();
      const fast = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      yield* pin.judge(fast[0]);
      for (const page of fast) yield* folio_put(page);
      const slow = yield* get_user_pages_unlocked(x.start, 1, FOLL.GET);
      yield* claim(slow.err === -EFAULT, 'ERRNO', 'get_user_pages() on PROT_NONE memory is not -EFAULT');
      see('both refused');
    },
  }),
  sometimes: ['both refused'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'gup.protnone_check=off': 'safe',
    'gup.protnone_check=off,machine=bcast': 'safe',
    'arch.pte_access_permitted=generic': 'safe',
    'arch.pte_access_permitted=generic,machine=bcast': 'safe',
    'gup.protnone_check=off,arch.pte_access_permitted=generic': violates('PIN-RIGHT'),
    'gup.protnone_check=off,arch.pte_access_permitted=generic,machine=bcast': violates('PIN-RIGHT'),
  },
});
