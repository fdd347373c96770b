// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  madvise_dontneed,
  MMU_NOTIFY,
  mmu_notifier_invalidate_range_end,
  mmu_notifier_invalidate_range_start,
  mmu_notifier_range_init,
} from '../../linux/index.js';
import { mirror, serveFault, tearDown } from './mirror.js';

/**
 * Ranges nest in one thread (a huge PMD is split inside of the range that is zapped) and run beside each other on two
 * CPUs. There is one sequence number for all of them: it is odd until the last one that is under way ends.
 */
export default scenario({
  id: 'N-04',
  family: 'interval-notifiers',
  title: 'nested and parallel ranges',
  question: 'When may invalidate_seq become even while several ranges are invalidated?',
  machine: ({ ranges }) => ({
    cpus: ranges === 'nested' ? 2 : 3,
    frames: 4,
    ptrsPerPte: 2,
    thp: ranges === 'nested',
    fill: 'demand',
  }),
  knobs: { ranges: ['nested', 'parallel'], 'mn_itree_inv_end.even': ['last-end', 'first-end'] },
  bounds:
    'one device fault; MADV_DONTNEED of one page of a huge one, or of one page beside a range that invalidates its neighbour',
  setup(m, { ranges }) {
    const p = m.process('P');
    const x = p.mmap(
      ranges === 'nested' ? { pages: 2, touched: true, folio: 'pmd' } : { pages: 2, touched: true },
    );
    const gpu0 = mirror(m, p);
    return { p, x, gpu0, sub: p.intervalNotifier(x, tearDown(gpu0)) };
  },
  agents: ({ p, x, gpu0, sub }, { ranges }) => ({
    *worker() {
      if (yield* serveFault(gpu0, sub, x.start)) see('mapped');
    },
    *left() {
      yield* madvise_dontneed(x.vma, x.start, x.start + 1);
    },
    ...(ranges === 'parallel' && {
      *right() {
        const range = mmu_notifier_range_init(MMU_NOTIFY.CLEAR, 0, p.mm, x.start + 1, x.end);
        yield* mmu_notifier_invalidate_range_start(range);
        yield* mmu_notifier_invalidate_range_end(range);
      },
    }),
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'ranges=parallel': 'safe',
    'ranges=parallel,machine=bcast': 'safe',
    'mn_itree_inv_end.even=first-end': violates('SPTE-COHERENT'),
    'ranges=parallel,mn_itree_inv_end.even=first-end': violates('SPTE-COHERENT'),
  },
});
