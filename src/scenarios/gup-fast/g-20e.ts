// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import {
  madvise_dontneed,
  migrate_pages,
  munmap,
  shrink_inactive_list,
  userLoad,
  userStore,
} from '../../linux/index.js';

/**
 * A page comes back from swap. It is found in the swap cache without a lock, and by the time that its lock is taken
 * somebody else may have mapped it, copied it, dropped the last entry or reclaimed it once more.
 */
export const g20e = scenario({
  id: 'G-20e',
  family: 'gup-fast',
  title: 'Swap-in against other users of the entry',
  question: 'What makes a folio usable that was found in the swap cache without a lock?',
  machine: ({ other }) => ({
    cpus: 2,
    frames: other === 'child' ? 5 : other === 'nobody' ? 1 : 4,
    swapSlots: 1,
    data: true,
  }),
  knobs: {
    'do_swap_page.recheck': ['on', 'off'],
    other: ['fault', 'dontneed', 'munmap', 'reclaim', 'migration', 'child', 'replace', 'nobody'],
    page: ['swapped', 'cached'],
  },
  bounds:
    'one store and one load of a page in swap; beside them one store of another thread, one MADV_DONTNEED, one munmap, one reclaim, one migration or one load of a child that shares the entry',
  setup(m, { other, page }) {
    const p = m.process('P', { cpus: other === 'child' ? [0] : [0, 1] });
    const x = p.mmap({ pages: 1 });
    const c = other === 'child' ? m.child('C', p, { cpus: [1], forked: true }) : undefined;
    const cached = m.swapOut(p, x.vma, x.start, 5, { sharer: c, cached: page === 'cached' });
    const all = other === 'replace' ? [0, 1, 2, 3].map((number) => m.frame(number)) : [];
    return { p, x, c, cached, all };
  },
  agents: ({ p, x, c, cached, all }, { other }) => ({
    *user() {
      if (other === 'nobody') {
        const end = yield* userLoad(x.start);
        yield* claim(
          end === 'OOM',
          'OOM',
          'there is no memory to read the page into, and the fault does not say so',
        );
        return see('loaded');
      }
      if (other === 'replace') {
        yield* userLoad(x.start);
        return see('loaded');
      }
      yield* userStore(x.start, 7);
      const value = yield* userLoad(x.start);
      const right =
        value === 7 ||
        (other === 'fault' && value === 8) ||
        (other === 'dontneed' && value === 0) ||
        (other === 'munmap' && value === 'SIGSEGV');
      yield* claim(right, 'DATA', 'what was stored is neither in memory nor in swap');
      see('loaded');
    },
    other: {
      cpu: 1,
      process: c,
      *run() {
        if (other === 'nobody') return;
        if (other === 'reclaim') return yield* shrink_inactive_list(cached === undefined ? [] : [cached]);
        if (other === 'replace') {
          yield* madvise_dontneed(x.vma, x.start, x.end);
          yield* userStore(x.start, 8);
          yield* shrink_inactive_list(all);
          const value = yield* userLoad(x.start);
          return yield* claim(value === 8, 'DATA', 'a page comes back that was discarded');
        }
        if (other === 'migration') return yield* migrate_pages(cached === undefined ? [] : [cached], 'sync');
        if (other === 'munmap') return yield* munmap(p.mm, x.vma);
        if (other === 'fault') yield* userStore(x.start, 8);
        if (other === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
        const value = yield* userLoad(x.start);
        const right = other === 'child' ? value === 5 : value === 7 || value === (other === 'fault' ? 8 : 0);
        yield* claim(right, 'DATA', 'a load finds what nobody stored there, or what was discarded');
      },
    },
  }),
  sometimes: ['loaded'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'page=cached': 'safe',
    'other=dontneed': 'safe',
    'other=dontneed,page=cached': 'safe',
    'other=dontneed,page=cached,machine=bcast': 'safe',
    'other=munmap': 'safe',
    'other=munmap,page=cached': 'safe',
    'other=reclaim,page=cached': 'safe',
    'other=reclaim,page=cached,machine=bcast': 'safe',
    'other=migration,page=cached': 'safe',
    'other=migration,page=cached,machine=bcast': 'safe',
    'other=nobody': 'safe',
    'other=child': 'safe',
    'other=child,page=cached': 'safe',
    'other=child,page=cached,machine=bcast': 'safe',
    // The slot is free for the new page to go to: then its entry looks like the old one.
    'other=replace,page=cached': 'safe',
    'do_swap_page.recheck=off,other=replace,page=cached': violates('DATA'),
    'do_swap_page.recheck=off,other=dontneed,page=cached': 'safe',
  },
});
