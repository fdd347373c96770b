// SPDX-License-Identifier: GPL-2.0-only
import { livelocks, scenario, see } from '../../litmus/index.js';
import { EBUSY, userLoad } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';
import { SingleDriver } from './single.js';

/**
 * The page is exclusive already when the driver begins a round, and the device has no mapping of it: as after a NUMA
 * scan, or after somebody else's fault. The GUP in make_device_exclusive_range() is a CPU access like any other, and
 * restores the entry; that is told without an owner, so the driver's own callback counts it, and the round has failed.
 * It leaves an exclusive entry behind for the next one.
 */
export default scenario({
  id: 'D-49',
  family: 'device-exclusive',
  title: 'make of a page that is exclusive already',
  question: 'Does the retry loop of a driver end that finds the page exclusive?',
  machine: { cpus: 2, frames: 2, rcuCallbacks: 0, seqModulus: 8, fill: 'demand' },
  kernels: ['6.12', '6.15'],
  knobs: {
    'nouveau.own_restore': ['counted', 'filtered'],
    'nouveau.begin': ['before-make', 'after-gup'],
    'nouveau.owner_filter': ['on', 'any-owner'],
    driver: ['nouveau', 'single', 'test_hmm'],
    cpu: ['none', 'load'],
    entry: ['own', 'foreign'],
    time: ['unlimited', 'two rounds'],
  },
  bounds:
    'a page that is exclusive, and of which the device has no mapping, or another one has; one fault of the device, and none or one load of a CPU',
  setup(m, { driver, entry, time }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true });
    const gpu = m.device('gpu0', { mirrors: p });
    if (entry === 'foreign') {
      const gpu1 = m.device('gpu1', { mirrors: p });
      new SingleDriver(m, gpu1, p, x);
      m.exclusive(p, x.start, gpu1);
    } else m.exclusive(p, x.start);
    const timeout = time === 'unlimited' ? 'never' : 2;
    return { p, x, gpu, mirror: mirrorDriver(driver, m, gpu, p, x, { timeout }) };
  },
  agents: ({ x, mirror }, { cpu }) => ({
    gpu0: {
      cpu: 1,
      *run() {
        const err = yield* mirror.fault(x.start);
        if (err === 0 || err === -EBUSY) see('the fault was answered');
      },
    },
    ...(cpu === 'load' && {
      cpu: {
        cpu: 0,
        *run() {
          yield* userLoad(x.start);
        },
      },
    }),
  }),
  sometimes: ['the fault was answered'],
  expect: {
    base: livelocks(),
    'machine=bcast': livelocks(),
    'kernel=6.15': livelocks(),
    'driver=single': livelocks(),
    'driver=test_hmm': 'safe',
    'cpu=load': livelocks(),
    'entry=foreign': livelocks(),
    'nouveau.own_restore=filtered,entry=foreign': 'safe',
    'time=two rounds': 'safe',
    'nouveau.own_restore=filtered': 'safe',
    'nouveau.own_restore=filtered,cpu=load': livelocks(),
    'nouveau.begin=after-gup': 'safe',
    'nouveau.owner_filter=any-owner': 'safe',
    'nouveau.owner_filter=any-owner,cpu=load': 'safe',
    'nouveau.owner_filter=any-owner,kernel=6.15': livelocks(),
    'nouveau.begin=after-gup,cpu=load': livelocks(),
    'nouveau.own_restore=filtered,kernel=6.15': 'safe',
  },
});
