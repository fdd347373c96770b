// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, scenario, see, violates } from '../../litmus/index.js';
import {
  madvise_dontneed,
  MMU_NOTIFY,
  mmu_interval_notifier_update,
  type MmuIntervalNotifierOps,
  munmap,
} from '../../linux/index.js';
import { mirror, serveFault, tearDown } from './mirror.js';

/**
 * What is queued for the last end is to be removed or to get another range, and one field tells which. v5 and v6 take a
 * last address of 0 for "no update": no page ends there, but a range of addresses could. Jason Gunthorpe would compare
 * start and end: what he says is right, the two branches of what he writes are the wrong way round.
 */
export default scenario({
  id: 'N-14',
  family: 'interval-notifiers',
  title: 'how a pending update is told from a removal',
  question: 'Does the interval that is left live on?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 2, fill: 'demand' },
  knobs: {
    'mmu_interval_notifier.updates': ['v6', 'v5'],
    'mmu_interval_notifier_update.sentinel': ['last', 'empty-removes', 'empty-inserts'],
    'mmu_interval_notifier_update.unit': ['page', 'byte'],
    release: ['frees', 'none'],
  },
  bounds:
    'munmap of the second page, whose callback leaves it out, then MADV_DONTNEED of the first; one device fault of that',
  setup(m, { release }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const y = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    const ops = tearDown(gpu0);
    const shrinking: MmuIntervalNotifierOps = {
      *invalidate(sub, range, cur_seq) {
        yield* ops.invalidate(sub, range, cur_seq);
        if (range.event === MMU_NOTIFY.UNMAP) yield* mmu_interval_notifier_update(sub, 0, 0);
        return true;
      },
      ...(release === 'frees' && { *release() {} }),
    };
    return { p, x, y, gpu0, sub: p.intervalNotifier({ start: 0, end: 2 }, shrinking) };
  },
  agents: ({ p, x, y, gpu0, sub }) => ({
    *worker() {
      if (yield* serveFault(gpu0, sub, x.start)) see('mapped');
    },
    *unmapper() {
      yield* munmap(p.mm, y.vma);
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'release=none': 'safe',
    'mmu_interval_notifier.updates=v5': 'safe',
    'mmu_interval_notifier.updates=v5,release=none': deadlocks({ reports: ['LOCK-ORDER'] }),
    'mmu_interval_notifier_update.sentinel=empty-removes': 'safe',
    'mmu_interval_notifier_update.sentinel=empty-removes,mmu_interval_notifier_update.unit=byte': 'safe',
    'mmu_interval_notifier_update.sentinel=empty-inserts': violates('SUB-LIFE'),
    'mmu_interval_notifier_update.sentinel=empty-inserts,release=none': violates('SPTE-COHERENT'),
    'mmu_interval_notifier_update.unit=byte': violates('WARN-ON'),
    'mmu_interval_notifier.updates=v5,mmu_interval_notifier_update.unit=byte': violates('SUB-LIFE'),
    'mmu_interval_notifier.updates=v5,mmu_interval_notifier_update.sentinel=empty-removes,mmu_interval_notifier_update.unit=byte':
      'safe',
  },
});
