// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, scenario, see, violates } from '../../litmus/index.js';
import { madvise_dontneed, mmu_interval_notifier_insert, munmap } from '../../linux/index.js';
import { mirror, serveFault, tearDown } from './mirror.js';

/**
 * A subscription is inserted while a range is being invalidated that has hit nobody. Nobody knows which range that is, so
 * the new subscription counts as hit: invalidate_seq becomes odd, and the driver waits for the end.
 */
export default scenario({
  id: 'N-05',
  family: 'interval-notifiers',
  title: 'insertion while ranges are in flight that hit nobody',
  question: 'What must mmu_interval_notifier_insert() do about a range that began before it?',
  machine: { cpus: 2, frames: 3, fill: 'demand' },
  knobs: {
    'mmu_interval_notifier_insert.partial': ['mark', 'no-mark', 'as-idle'],
    by: ['dontneed', 'munmap'],
  },
  bounds: 'one insertion with one device fault after it, one MADV_DONTNEED or munmap of the page',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    const sub = p.intervalNotifier(x, tearDown(gpu0), { inserted: false, ready: true });
    return { p, x, gpu0, sub };
  },
  agents: ({ p, x, gpu0, sub }, { by }) => ({
    *worker() {
      yield* mmu_interval_notifier_insert(sub, p.mm, x.start, x.end - x.start);
      if (yield* serveFault(gpu0, sub, x.start)) see('mapped');
    },
    *unmapper() {
      if (by === 'munmap') yield* munmap(p.mm, x.vma);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'by=munmap': 'safe',
    'mmu_interval_notifier_insert.partial=no-mark': deadlocks(),
    'mmu_interval_notifier_insert.partial=no-mark,by=munmap': deadlocks(),
    'mmu_interval_notifier_insert.partial=as-idle': violates('SPTE-COHERENT'),
    // The VMA is detached before the range begins, so a driver that takes mmap_lock finds nothing to read.
    'mmu_interval_notifier_insert.partial=as-idle,by=munmap': 'safe',
  },
});
