// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import { userAdd } from '../../linux/index.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/**
 * A CPU touches a page that a device has for itself. The entry only becomes valid, and for that nobody need be told as a
 * rule; here the device must be, and in such words that its driver does not take them for its own.
 */
export default scenario({
  id: 'D-12',
  family: 'device-exclusive',
  title: 'the notifier around a restore',
  question: 'Whom must the fault tell that makes a device-exclusive entry present again?',
  machine: { cpus: 2, frames: 2, data: true, rcuCallbacks: 0 },
  knobs: {
    driver: ['single', 'nouveau', 'test_hmm'],
    'restore.event': ['exclusive', 'clear', 'owner', 'none'],
    'nouveau.hold_folio': ['on', 'off'],
    asked: ['all', 'ATOMIC-SUM'],
  },
  bounds: 'one device atomic, whose fault is served twice at most; one atomic of a CPU on the same page',
  judges: ({ asked }) => (asked === 'all' ? undefined : ['ATOMIC-SUM']),
  setup(m, { driver }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    m.watchSum(p, x.start);
    const gpu = m.device('gpu0', { mirrors: p });
    return { p, x, gpu, mirror: mirrorDriver(driver, m, gpu, p, x, { timeout: 2 }) };
  },
  agents: ({ p, x, gpu, mirror }) => ({
    cpu: {
      cpu: 0,
      process: p,
      *run() {
        yield* userAdd(x.start);
        see('the CPU added');
      },
    },
    gpu0: {
      cpu: 1,
      process: p,
      *run() {
        if ((yield* atomicAdd(mirror, gpu, x.start, { faults: 2 })) === 0) see('the device added');
      },
    },
  }),
  sometimes: ['the CPU added', 'the device added'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'driver=nouveau': 'safe',
    'driver=test_hmm': 'safe',
    'restore.event=clear': 'safe',
    'driver=nouveau,restore.event=clear': 'safe',
    'driver=test_hmm,restore.event=clear': 'safe',
    'restore.event=owner': violates('EXCL'),
    'driver=nouveau,restore.event=owner': 'safe',
    'driver=nouveau,restore.event=owner,nouveau.hold_folio=off': violates('EXCL'),
    'driver=test_hmm,restore.event=owner': 'safe',
    'restore.event=none': violates('EXCL'),
    'driver=nouveau,restore.event=none': violates('EXCL'),
    'driver=test_hmm,restore.event=none': violates('EXCL'),
    'restore.event=none,asked=ATOMIC-SUM': violates('ATOMIC-SUM'),
    'driver=nouveau,restore.event=none,asked=ATOMIC-SUM': violates('ATOMIC-SUM'),
  },
});
