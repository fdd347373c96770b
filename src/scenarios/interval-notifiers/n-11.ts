// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import { madvise_dontneed } from '../../linux/index.js';
import { split, unmapHole } from './hole.js';

/**
 * From the callback that splits an interval to the last end the driver's books and the tree disagree: a range over the
 * right part still calls the old subscription. The callback has to act on the range it is told of, not on the part of it
 * that its books give to that subscription.
 */
export default scenario({
  id: 'N-11',
  family: 'interval-notifiers',
  title: 'a callback whose driver has shrunk its interval',
  question: "May a callback clip the range to the driver's own bounds?",
  machine: { cpus: 2, frames: 2, ptrsPerPte: 4, fill: 'demand' },
  knobs: { callback: ['range', 'clipped'], 'mmu_interval_notifier.updates': ['v6', 'v5'] },
  bounds: 'a range that makes a hole, beside MADV_DONTNEED of the right page, which the device has mapped',
  setup: (m, { callback }) => split(m, { how: 'callback', clip: callback === 'clipped', mapped: true }),
  agents: (it) => ({
    *unmapper() {
      yield* unmapHole(it);
      see('split');
    },
    *other() {
      yield* madvise_dontneed(it.right.vma, it.right.start, it.right.end);
    },
  }),
  sometimes: ['split'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mmu_interval_notifier.updates=v5': 'safe',
    'callback=clipped': violates('SPTE-COHERENT'),
    'callback=clipped,mmu_interval_notifier.updates=v5': violates('SPTE-COHERENT'),
  },
});
