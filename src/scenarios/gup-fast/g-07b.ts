// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, testBits, violates } from '../../litmus/index.js';
import {
  get_online_mems,
  madvise_dontneed,
  memory_block_offline,
  PG,
  pfn_to_online_page,
  put_online_mems,
  try_remove_memory,
} from '../../linux/index.js';

/**
 * What mem_hotplug_lock is for: who holds it for reading, as kmemleak's scan does, may look at the struct page of any
 * PFN that is online, for as long as it holds it. GUP-fast can't, and relies on grace periods: G-07.
 */
export default scenario({
  id: 'G-07b',
  family: 'gup-fast',
  title: 'A PFN walker that holds mem_hotplug_lock against memory hot-unplug',
  question: 'Does get_online_mems() keep the struct pages that a PFN walker looks at?',
  machine: { cpus: 2, frames: 2, fill: 'eager', hotplug: true, rcuCallbacks: 2 },
  knobs: { lock: ['held', 'none'] },
  bounds:
    'one look at one struct page; the last zap of its page, one section of one page taken offline and removed',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const [page] = m.pages(x);
    return { x, page: page!, section: m.section([page!], { online: true }) };
  },
  agents: ({ x, page, section }, { lock }) => ({
    *scanner() {
      if (lock === 'held') yield* get_online_mems();
      const found = yield* pfn_to_online_page(page.pfn);
      if (found !== undefined) {
        yield* testBits(found.flags, PG.lru);
        see('looked');
      }
      if (lock === 'held') yield* put_online_mems();
    },
    *unplug() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
      yield* memory_block_offline(section);
      yield* try_remove_memory(section);
      see('removed');
    },
  }),
  sometimes: ['looked', 'removed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'lock=none': violates('META-POISONED', { reports: ['DATA-RACE'] }),
    'lock=none,machine=bcast': violates('META-POISONED', { reports: ['DATA-RACE'] }),
  },
});
