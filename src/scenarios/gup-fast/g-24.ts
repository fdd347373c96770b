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
 * Device memory is removed with the grace period that Popple adds. What the reader has is interrupts off, and since 6.5
 * the rcu_read_lock() of pte_offset_map().
 */
export default scenario({
  id: 'G-24',
  family: 'gup-fast',
  title: 'Interrupts off as an RCU read-side section',
  question: 'Does synchronize_rcu() wait for a region with interrupts off?',
  // Nobody loads or stores: on demand no TLB would ever be filled.
  machine: { cpus: 3, frames: 2, fill: 'eager', hotplug: true, rcuCallbacks: 3 },
  knobs: {
    'rcu.flavour': ['consolidated', 'pre-4.20'],
    'pte_offset_map.rcu': ['on', 'off'],
    'pageunmap_range.gp': ['after-begin', 'after-remove'],
  },
  kernelKnobs: {
    'gup.pfn_valid': 'none', // G-08
    'mem_hotplug_begin.gp': 'never',
  },
  bounds: 'one look-up of one page, its last zap, one memunmap_pages() of a section of one page',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    m.section(m.pages(x));
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
    'pte_offset_map.rcu=off': 'safe',
    'pte_offset_map.rcu=off,machine=bcast': 'safe',
    'rcu.flavour=pre-4.20,pte_offset_map.rcu=off': 'safe',
    'rcu.flavour=pre-4.20,pte_offset_map.rcu=off,machine=bcast': poisoned,
    'rcu.flavour=pre-4.20': 'safe',
    'rcu.flavour=pre-4.20,machine=bcast': 'safe',
    'pageunmap_range.gp=after-remove': 'safe',
    'pageunmap_range.gp=after-remove,machine=bcast': poisoned,
  },
  differs: { 'rcu.flavour=pre-4.20,machine=bcast': 'UNSAFE' },
});
