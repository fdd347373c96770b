// SPDX-License-Identifier: GPL-2.0-only
import { read, safe, scenario, see, violates, write, type Path } from '../../litmus/index.js';
import {
  dup_mmap,
  exit_mmap,
  FOLL,
  gup_fast,
  GUP_PIN_COUNTING_BIAS,
  madvise_dontneed,
  mm_set_has_pinned_flag,
  unpin_user_page,
} from '../../linux/index.js';

/**
 * The other undo of gup_fast(): fork came between, which write_protect_seq tells after the walk. The pins are dropped
 * with interrupts on, and that may be the last put on either machine: the flush of a zap waits for the walk, not for
 * what comes after it.
 */
export default scenario({
  id: 'G-05b',
  family: 'gup-fast',
  title: 'The unpin after fork is the last put',
  question: 'Can gup_fast() free a page when it undoes its pins because of fork, and in which context?',
  machine: { cpus: 2, frames: 4, rcuCallbacks: 1 },
  knobs: { 'gup.zero_bail': ['on', 'off'], 'swap.page_free_hook': ['atomic', 'sleeps'] },
  bounds:
    'one gup_fast() with FOLL_PIN of one page, one fork, one MADV_DONTNEED by the parent, the exit of the child',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const c = m.child('C', p);
    return {
      p,
      x,
      c,
      page: m.hookFree(p.page(x.start)),
      pinOnly: m.kernel.system.cell('only_the_pin_is_left'),
    };
  },
  agents: ({ p, x, c, page, pinOnly }) => ({
    *pinner(): Path {
      yield* mm_set_has_pinned_flag(p.mm);
      const [got] = yield* gup_fast(x.start, x.end, FOLL.PIN | FOLL.WRITE);
      if (got === undefined) {
        if ((yield* read(pinOnly)) === 1) see('the unpin was the last put');
        return;
      }
      see('pinned');
      yield* unpin_user_page(got);
    },
    *parent(): Path {
      yield* dup_mmap(c.mm, p.mm);
      yield* madvise_dontneed(x.vma, x.start, x.end);
      yield* exit_mmap(c.mm);
      if ((yield* read(page._refcount)) === GUP_PIN_COUNTING_BIAS) yield* write(pinOnly, 1);
    },
  }),
  sometimes: ['pinned', 'the unpin was the last put'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'swap.page_free_hook=sleeps': 'safe',
    'swap.page_free_hook=sleeps,machine=bcast': safe({ reports: ['CTX'] }),
    'gup.zero_bail=off,machine=bcast': violates('FREE-ONCE'),
    'gup.zero_bail=off,swap.page_free_hook=sleeps,machine=bcast': violates('FREE-ONCE', { reports: ['CTX'] }),
  },
});
