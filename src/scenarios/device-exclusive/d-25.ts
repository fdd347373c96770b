// SPDX-License-Identifier: GPL-2.0-only
import { claim, leaks, scenario, see, violates } from '../../litmus/index.js';
import { userAdd, userLoad, userStore } from '../../linux/index.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/**
 * Two threads touch one device-exclusive page. Both have read the entry without a lock; the second one to get the folio
 * lock must find out that there is nothing left to restore.
 */
export const d25 = scenario({
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

/**
 * The order of the two: a fault that tells first and takes the folio lock afterwards tells a driver that has not mapped the
 * page yet. One that asks for a retry is told all the same, since the range is still open or has been counted.
 */
export const d25b = scenario({
  id: 'D-25b',
  family: 'device-exclusive',
  title: 'the folio lock and the notifier of a restore',
  question: 'Must a restore take the folio lock before it tells the device?',
  machine: { cpus: 2, frames: 3, data: true },
  kernels: ['6.12', 'v2'],
  knobs: {
    'restore.order': ['lock-notify', 'notify-lock'],
    driver: ['single', 'nouveau', 'test_hmm'],
  },
  bounds: 'one page; one device atomic with at most one fault, one round; one add of a CPU',
  setup(m, { driver }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const gpu = m.device('gpu0', { mirrors: p });
    const mirror = mirrorDriver(driver, m, gpu, p, x, { timeout: 1 });
    m.watchSum(p, x.start);
    return { p, x, gpu, mirror };
  },
  agents: ({ p, x, gpu, mirror }) => ({
    cpu: {
      cpu: 0,
      process: p,
      *run() {
        yield* userAdd(x.start, 1);
        see('CPU added');
      },
    },
    gpu0: {
      cpu: 1,
      process: p,
      *run() {
        const err = yield* atomicAdd(mirror, gpu, x.start, { faults: 1 });
        if (err === 0) see('device added');
      },
    },
  }),
  sometimes: ['CPU added', 'device added'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'driver=nouveau': 'safe',
    'driver=test_hmm': 'safe',
    // v2 makes the entry exclusive under the PTL, and the folio lock keeps the CPU out until the device has it.
    'driver=test_hmm,kernel=v2': 'safe',
    'restore.order=notify-lock': 'safe',
    'restore.order=notify-lock,driver=nouveau': 'safe',
    'restore.order=notify-lock,driver=test_hmm': violates('EXCL'),
  },
});
