// SPDX-License-Identifier: GPL-2.0-only
import { claim, leaks, scenario, see, violates } from '../../litmus/index.js';
import { userLoad, userStore } from '../../linux/index.js';

/**
 * Two threads touch one device-exclusive page. Both have read the entry without a lock; the second one to get the folio
 * lock must find out that there is nothing left to restore.
 */
export default scenario({
  id: 'D-25',
  family: 'device-exclusive',
  title: 'two threads restore one entry',
  question: 'What keeps two faulting threads from restoring a device-exclusive entry twice?',
  machine: { cpus: 2, frames: 4, data: true },
  knobs: {
    'restore.pte_same': ['on', 'off'],
    'restore.find': ['pte-lock', 'rmap-walk'],
    other: ['load', 'store'],
    asked: ['ALL', 'MAP-SUM'],
  },
  judges: ({ asked }) => (asked === 'ALL' ? undefined : [asked]),
  bounds: 'one device-exclusive page; one store by one thread, one load or store by another',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    m.exclusive(p, x.start);
    return { x };
  },
  agents: ({ x }, { other }) => ({
    *first() {
      yield* userStore(x.start, 5);
      see('restored');
    },
    *second() {
      if (other === 'store') return yield* userStore(x.start, 5);
      const value = yield* userLoad(x.start);
      return yield* claim(value === 0 || value === 5, 'DATA', 'the page has other contents');
    },
  }),
  sometimes: ['restored'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'other=store': 'safe',
    'restore.find=rmap-walk': 'safe',
    // The second restore takes away what the first one's store has marked in the entry.
    'restore.pte_same=off': violates('TLB-PERM'),
    'restore.pte_same=off,asked=MAP-SUM': leaks('MAP-SUM'),
    'restore.pte_same=off,asked=MAP-SUM,machine=bcast': leaks('MAP-SUM'),
    'restore.pte_same=off,other=store,asked=MAP-SUM': leaks('MAP-SUM'),
  },
});
