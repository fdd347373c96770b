// SPDX-License-Identifier: GPL-2.0-only
import { safe, scenario, see, violates } from '../../litmus/index.js';
import { madvise_dontneed } from '../../linux/index.js';
import { afterTheHole, split, unmapHole } from './hole.js';

const HELD = { reports: ['LOCK-HELD'] };

/**
 * What N-10 says of update() is a rule that its callers have to know: only while the tree is locked for read, that is
 * between a start that hit and its end. Jason Gunthorpe asks for an assertion as lockdep's. It speaks wherever the rule
 * is broken, in the runs that come to harm and in those that do not.
 */
export default scenario({
  id: 'N-21',
  family: 'interval-notifiers',
  title: 'an assertion that the tree is locked for read',
  question: 'Is the misuse of update() noticed where it does no harm?',
  machine: { cpus: 2, frames: 2, ptrsPerPte: 4, fill: 'demand' },
  knobs: {
    how: ['callback', 'outside', 'batch', 'insert-first'],
    rival: ['none', 'dontneed'],
    'mmu_interval_notifier.assert': ['read-locked', 'none'],
  },
  kernelKnobs: { 'mmu_interval_notifier.updates': 'v6' },
  bounds:
    'a range that makes a hole, alone or beside MADV_DONTNEED of the right page, which the device has mapped',
  setup: (m, { how }) => split(m, { how, mapped: true }),
  agents: (it, { how, rival }) => ({
    *unmapper() {
      yield* unmapHole(it);
      yield* afterTheHole(it, how);
      see('split');
    },
    ...(rival === 'dontneed' && {
      *other() {
        yield* madvise_dontneed(it.right.vma, it.right.start, it.right.end);
      },
    }),
  }),
  sometimes: ['split'],
  expect: {
    base: 'safe',
    'rival=dontneed': 'safe',
    'rival=dontneed,machine=bcast': 'safe',
    'mmu_interval_notifier.assert=none': 'safe',
    'how=outside': safe(HELD),
    'how=outside,mmu_interval_notifier.assert=none': 'safe',
    'how=outside,rival=dontneed': violates('SPTE-COHERENT', HELD),
    'how=outside,rival=dontneed,mmu_interval_notifier.assert=none': violates('SPTE-COHERENT'),
    'how=batch,rival=dontneed': safe(HELD),
    'how=insert-first,rival=dontneed': safe(HELD),
  },
});
