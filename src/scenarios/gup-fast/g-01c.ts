// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates, type Path } from '../../litmus/index.js';
import { collapse_huge_page, FOLL, pin_user_pages_fast, unpin_user_page } from '../../linux/index.js';

/**
 * khugepaged unlinks the page table, sees that nobody but the mapping refers to the page, and copies it: the PTE stays
 * as it was until after that, so gup_fast() can't tell by the PTE. It looks at the PMD again; or the IPI after the
 * unlinking waits for it. Where the flush is an IPI, that waits as well.
 *
 * A pin must stay on what the address maps (PIN-VALID). One PMD with one PTE: the folio that comes of it has one page.
 */
export default scenario({
  id: 'G-01c',
  family: 'gup-fast',
  title: 'GUP-fast against khugepaged',
  question: 'What keeps gup_fast() from pinning a page that khugepaged has copied away?',
  machine: { cpus: 2, frames: 5, thp: true, rcuCallbacks: 0 },
  knobs: {
    'gup.pmd_recheck': ['on', 'off'],
    'khugepaged.sync_one': ['on', 'off'],
    asked: ['PIN-VALID', 'PIN-RIGHT'],
  },
  bounds: 'one pin_user_pages_fast() of one page, one collapse of the page table that maps it',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const pin = m.watchPin(p.mm, x.start, { write: true });
    return { p, x, pin, hold: m.watchHold(p.mm, x.start) };
  },
  agents: ({ p, x, pin, hold }, { asked }) => ({
    *pinner(): Path {
      if (asked === 'PIN-RIGHT') yield* pin.begin();
      else yield* hold.begin();
      const { pages } = yield* pin_user_pages_fast(x.start, 1, FOLL.WRITE);
      const [page] = pages;
      if (asked === 'PIN-RIGHT') yield* pin.judge(page);
      else yield* hold.hold(page);
      if (page === undefined) return;
      see('pinned');
      if (asked === 'PIN-VALID') yield* hold.release();
      yield* unpin_user_page(page);
    },
    *khugepaged(): Path {
      see((yield* collapse_huge_page(p.mm, x.start)) ? 'collapsed' : 'gave up');
    },
  }),
  sometimes: ['pinned', 'collapsed', 'gave up'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'asked=PIN-RIGHT': 'safe',
    'asked=PIN-RIGHT,machine=bcast': 'safe',
    // The reference may be taken while the PMD is clear: khugepaged sees it then, gives up and puts the table back.
    'gup.pmd_recheck=off,asked=PIN-RIGHT': violates('PIN-RIGHT'),
    'gup.pmd_recheck=off,asked=PIN-RIGHT,machine=bcast': violates('PIN-RIGHT'),
    'gup.pmd_recheck=off': 'safe',
    'gup.pmd_recheck=off,machine=bcast': 'safe',
    'khugepaged.sync_one=off': 'safe',
    'khugepaged.sync_one=off,machine=bcast': 'safe',
    'gup.pmd_recheck=off,khugepaged.sync_one=off': 'safe',
    'gup.pmd_recheck=off,khugepaged.sync_one=off,machine=bcast': violates('PIN-VALID'),
  },
  differs: {
    'gup.pmd_recheck=off,asked=PIN-RIGHT': 'SAFE',
    'gup.pmd_recheck=off,asked=PIN-RIGHT,machine=bcast': 'SAFE',
  },
});
