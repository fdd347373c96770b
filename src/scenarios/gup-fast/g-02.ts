// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  alloc_page,
  folio_put,
  FOLL,
  get_user_pages_fast_only,
  madvise_dontneed,
  memory_block_offline,
  page_idle_get_folio,
  PG,
  try_remove_memory,
} from '../../linux/index.js';

const poisoned = violates('META-POISONED');
// The PFN walker looks at SECTION_IS_ONLINE without a lock, and at the usage map without RCU.
const walkedPoisoned = violates('META-POISONED', { reports: ['DATA-RACE'] });
const walkedUsage = violates('GP-RULE', { reports: ['DATA-RACE'] });

/**
 * Horn and Wilcox: a late reference on a recycled page is harmless, since struct pages are never freed. Popple: they
 * are, when memory is unplugged.
 */
export default scenario({
  id: 'G-02',
  family: 'gup-fast',
  title: 'A late reference against memory hot-unplug',
  question: 'Is struct page there for ever, so that a late reference on a recycled page is harmless?',
  machine: { cpus: 3, frames: 2, hotplug: true, rcuCallbacks: 2 },
  knobs: {
    after: ['recycled', 'unplugged'],
    walker: ['gup-fast', 'pfn-walker'],
    'debug_vm.poison': ['on', 'off'],
  },
  kernelKnobs: { 'gup.pfn_valid': 'none' }, // G-08
  bounds: 'one look-up of one page, its last zap; then the frame is allocated again, or its section removed',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const [page] = m.pages(x);
    page!.flags.init(page!.flags.value | PG.lru);
    return { x, pfn: page!.pfn, section: m.section([page!], { online: true }) };
  },
  agents: ({ x, pfn, section }, k) => ({
    *reader() {
      const page =
        k.walker === 'gup-fast'
          ? (yield* get_user_pages_fast_only(x.start, 1, FOLL.GET))[0]
          : yield* page_idle_get_folio(pfn);
      if (page === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(page);
    },
    *zapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
    *next() {
      if (k.after === 'recycled') {
        const page = yield* alloc_page();
        if (page === undefined) return;
        see('the frame went on');
        yield* folio_put(page);
      } else {
        yield* memory_block_offline(section);
        yield* try_remove_memory(section);
        see('the frame went on');
      }
    },
  }),
  sometimes: ['got the page', 'fell back', 'the frame went on'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'walker=pfn-walker': 'safe',
    'walker=pfn-walker,machine=bcast': 'safe',
    'after=unplugged': 'safe',
    'after=unplugged,machine=bcast': poisoned,
    'after=unplugged,debug_vm.poison=off': 'safe',
    'after=unplugged,debug_vm.poison=off,machine=bcast': violates('META-FREED'),
    'after=unplugged,walker=pfn-walker': walkedPoisoned,
    'after=unplugged,walker=pfn-walker,machine=bcast': walkedPoisoned,
    'after=unplugged,walker=pfn-walker,debug_vm.poison=off': walkedUsage,
    'after=unplugged,walker=pfn-walker,debug_vm.poison=off,machine=bcast': walkedUsage,
  },
});
