// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  madvise_dontneed,
  memunmap_pages,
} from '../../linux/index.js';

const poisoned = violates('META-POISONED');

/**
 * The question that closes the thread: pages of device memory whose PTEs are no devmap ones, so that GUP-fast takes no
 * pgmap reference before it touches the struct page. Which grace period stands between its look at the PTE and
 * vmemmap_free()?
 */
export default scenario({
  id: 'G-06',
  family: 'gup-fast',
  title: 'ZONE_DEVICE removal against GUP-fast on plain pages',
  question: 'Does pageunmap_range() need a synchronize_rcu() after mem_hotplug_begin(), as Popple proposes?',
  // Nobody loads or stores: on demand no TLB would ever be filled.
  machine: { cpus: 3, frames: 2, fill: 'eager', hotplug: true, rcuCallbacks: 3 },
  knobs: {
    'pageunmap_range.gp': ['after-remove', 'after-begin'],
    lock: ['idle', 'back-to-back'],
    'mem_hotplug_begin.gp': ['when-idle', 'always', 'never'],
  },
  kernelKnobs: { 'gup.pfn_valid': 'none' }, // G-08
  bounds:
    'one look-up of one page, its last zap, one memunmap_pages() of a section of one page; mem_hotplug_lock idle, or just released by another writer',
  setup(m, k) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    m.section(m.pages(x));
    if (k.lock === 'back-to-back') m.hotplugJustDone();
    return { x, pgmap: m.pagemap('COHERENT', x) };
  },
  agents: ({ x, pgmap }) => ({
    *reader() {
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(pages[0]);
    },
    *zapper() {
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
    'lock=back-to-back': 'safe',
    'lock=back-to-back,machine=bcast': poisoned,
    'mem_hotplug_begin.gp=never': 'safe',
    'mem_hotplug_begin.gp=never,machine=bcast': poisoned,
    'lock=back-to-back,mem_hotplug_begin.gp=always': 'safe',
    'lock=back-to-back,mem_hotplug_begin.gp=always,machine=bcast': 'safe',
    'pageunmap_range.gp=after-begin,machine=bcast': 'safe',
    'pageunmap_range.gp=after-begin,lock=back-to-back': 'safe',
    'pageunmap_range.gp=after-begin,lock=back-to-back,machine=bcast': 'safe',
    'pageunmap_range.gp=after-begin,mem_hotplug_begin.gp=never': 'safe',
    'pageunmap_range.gp=after-begin,mem_hotplug_begin.gp=never,machine=bcast': 'safe',
  },
});
