// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, deviceAtomicAdd, scenario, see, violates, write } from '../../litmus/index.js';
import { userLoad } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * A page that parent and child share since fork was made exclusive without breaking COW: both have entries for it, and the
 * device mirrors the parent. The retraction in the thread says that the first restore by any of them revokes the device;
 * but a fault of the child tells the child's mm.
 */
export default scenario({
  id: 'D-51',
  family: 'device-exclusive',
  title: 'the child restores what the device of the parent has',
  question: 'Does the first restore by any process that has the page revoke the device?',
  machine: { cpus: 3, frames: 5, data: true },
  knobs: {
    'restore.sharers': ['notify-all', 'this-entry'],
    asked: ['EXCL', 'COW-ISO'],
  },
  judges: ({ asked }) => [asked],
  bounds:
    'one page with exclusive entries in two processes, mapped by a device; one atomic of the device, two loads of the child',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const c = m.child('C', p, { cpus: [1], forked: true });
    const gpu = m.device('gpu0', { mirrors: p });
    mirrorDriver('single', m, gpu, p, x);
    m.exclusive(p, x.start, gpu, { sharers: [c] });
    return { p, x, c, gpu, tried: m.flag('tried') };
  },
  agents: ({ p, x, c, gpu, tried }) => ({
    child: {
      cpu: 1,
      process: c,
      *run() {
        const first = yield* userLoad(x.start);
        see('child restored');
        yield* awaitValue(tried, 1);
        const again = yield* userLoad(x.start);
        yield* claim(again === first, 'COW-ISO', "the child sees what the parent's device has stored");
      },
    },
    gpu0: {
      cpu: 2,
      process: p,
      *run() {
        const old = yield* deviceAtomicAdd(gpu, x.start);
        see(old === undefined ? 'device was told' : 'device added');
        yield* write(tried, 1);
      },
    },
  }),
  sometimes: ['child restored', 'device was told', 'device added'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'asked=COW-ISO': 'safe',
    'restore.sharers=this-entry': violates('EXCL'),
    'restore.sharers=this-entry,machine=bcast': violates('EXCL'),
    'restore.sharers=this-entry,asked=COW-ISO': violates('COW-ISO'),
  },
});
