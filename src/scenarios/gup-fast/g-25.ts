// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  madvise_dontneed,
  mem_hotplug_begin,
  mem_hotplug_done,
  memunmap_pages,
} from '../../linux/index.js';

const poisoned = violates('META-POISONED');

/**
 * percpu_down_write() waits for a grace period to make its own readers slow, and by chance this is the one that
 * GUP-fast needs. A writer that comes while another one is there, or has just left, is spared it.
 */
export default scenario({
  id: 'G-25',
  family: 'gup-fast',
  title: 'The grace period that hides in mem_hotplug_begin()',
  question: 'Is an explicit synchronize_rcu() in pageunmap_range() redundant?',
  // Nobody loads or stores: on demand no TLB would ever be filled.
  machine: { cpus: 3, frames: 2, fill: 'eager', hotplug: true, rcuCallbacks: 3 },
  knobs: {
    'pageunmap_range.gp': ['after-remove', 'after-begin'],
    'other unplug': ['none', 'before-zap'],
    'mem_hotplug_begin.gp': ['when-idle', 'never'],
  },
  kernelKnobs: { 'gup.pfn_valid': 'none' }, // G-08
  bounds:
    'one look-up of one page, its last zap, one memunmap_pages() of a section of one page; at most one other writer of mem_hotplug_lock',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    m.section(m.pages(x));
    return { x, pgmap: m.pagemap('COHERENT', x) };
  },
  agents: ({ x, pgmap }, k) => ({
    *reader() {
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(pages[0]);
    },
    *other() {
      if (k['other unplug'] === 'before-zap') {
        yield* mem_hotplug_begin();
        yield* mem_hotplug_done();
      }
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
    *remover() {
      yield* memunmap_pages(pgmap);
      see('removed');
    },
  }),
  sometimes: ['got the page', 'fell back', 'removed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mem_hotplug_begin.gp=never': 'safe',
    'mem_hotplug_begin.gp=never,machine=bcast': poisoned,
    'other unplug=before-zap': 'safe',
    'other unplug=before-zap,machine=bcast': poisoned,
    'pageunmap_range.gp=after-begin,machine=bcast': 'safe',
    'pageunmap_range.gp=after-begin,other unplug=before-zap': 'safe',
    'pageunmap_range.gp=after-begin,other unplug=before-zap,machine=bcast': 'safe',
  },
});
