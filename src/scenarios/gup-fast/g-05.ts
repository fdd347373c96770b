// SPDX-License-Identifier: GPL-2.0-only
import { safe, scenario, see, violates, type Path } from '../../litmus/index.js';
import { alloc_page, folio_put, FOLL, get_user_pages_fast_only, munmap } from '../../linux/index.js';

/**
 * gup_fast() that took a reference and then finds the PTE changed drops it again, with interrupts off. If the page was
 * unmapped meanwhile, that put is the last one and frees the page there: nothing that runs at the last put may sleep.
 * Where the flush is an IPI it waits for gup_fast(), and the mapping's own put comes after it, so the undo is never last.
 */
export default scenario({
  id: 'G-05',
  family: 'gup-fast',
  title: 'The undo of GUP-fast is the last put',
  question: 'Can gup_fast() free a page with interrupts off, and what if freeing it sleeps?',
  machine: { cpus: 2, frames: 3 },
  knobs: { 'gup.zero_bail': ['on', 'off'], 'swap.page_free_hook': ['atomic', 'sleeps'] },
  bounds: 'one get_user_pages_fast_only() of one page, one munmap, one allocation',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    m.hookFree(p.page(x.start));
    return { p, x, pin: m.watchPin(p.mm, x.start) };
  },
  agents: ({ p, x, pin }) => ({
    *reader(): Path {
      yield* pin.begin();
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      yield* pin.judge(pages[0]);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(pages[0]);
    },
    *unmapper(): Path {
      yield* munmap(p.mm, x.vma);
      const page = yield* alloc_page();
      if (page === undefined) return;
      see('allocated');
      yield* folio_put(page);
    },
  }),
  sometimes: ['got the page', 'fell back', 'allocated'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'swap.page_free_hook=sleeps': 'safe',
    'swap.page_free_hook=sleeps,machine=bcast': safe({ reports: ['CTX'] }),
    'gup.zero_bail=off,machine=bcast': violates('FREE-ONCE'),
    'gup.zero_bail=off,swap.page_free_hook=sleeps,machine=bcast': violates('FREE-ONCE', { reports: ['CTX'] }),
  },
});
