// SPDX-License-Identifier: GPL-2.0-only
import { leaks, scenario, see, violates } from '../../litmus/index.js';
import { madvise_dontneed, mmu_interval_notifier_remove } from '../../linux/index.js';
import { mirror, tearDown } from './mirror.js';

/**
 * v6 has two ways to end a subscription, and one of them goes wrong for those that define ops->release: remove() neither
 * calls it nor drops the mm, which it leaves to the release. While a range hits, the last end takes the subscription for one
 * that was put: it calls the release, without the lock, while remove() has seen the new number and its caller frees.
 */
export default scenario({
  id: 'N-16',
  family: 'interval-notifiers',
  title: 'remove() of a subscription that has a release',
  question: 'What comes of v6 remove() where ops->release is defined?',
  machine: { cpus: 2, frames: 3, fill: 'demand' },
  knobs: {
    ops: ['plain', 'with-release'],
    'mmu_interval_notifier.updates': ['v6', 'v5'],
    'mmu_interval_notifier_remove.wait': ['locked', 'lockless'],
    beside: ['nobody', 'dontneed'],
  },
  bounds: 'one remove, beside one MADV_DONTNEED of the page or nobody',
  setup(m, { ops }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const callbacks = tearDown(mirror(m, p));
    if (ops === 'with-release')
      callbacks.release = function* () {
        see('released');
      };
    return { x, sub: p.intervalNotifier(x, callbacks) };
  },
  agents: ({ x, sub }, { beside }) => ({
    *remover() {
      yield* mmu_interval_notifier_remove(sub);
      see('removed');
    },
    ...(beside === 'dontneed' && {
      *unmapper() {
        yield* madvise_dontneed(x.vma, x.start, x.end);
      },
    }),
  }),
  // Beside a range it may find the number even all the same: that leak is what the column without one is for.
  judges: ({ ops, beside, 'mmu_interval_notifier.updates': updates }) =>
    ops === 'with-release' && updates === 'v6' && beside === 'dontneed' ? ['SUB-LIFE'] : undefined,
  sometimes: ['removed'],
  expect: {
    base: 'safe',
    'beside=dontneed': 'safe',
    'ops=with-release': leaks('NOTIFY-BALANCE'),
    'ops=with-release,beside=dontneed': violates('SUB-LIFE'),
    'ops=with-release,mmu_interval_notifier_remove.wait=lockless,beside=dontneed': violates('SUB-LIFE'),
    'mmu_interval_notifier_remove.wait=lockless,beside=dontneed': violates('SUB-LIFE'),
    'ops=with-release,mmu_interval_notifier.updates=v5': 'safe',
    'ops=with-release,mmu_interval_notifier.updates=v5,beside=dontneed': 'safe',
  },
});
