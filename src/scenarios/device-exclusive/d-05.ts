// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, scenario, see, violates, write } from '../../litmus/index.js';
import { dup_mmap, userLoad, userStore } from '../../linux/index.js';
import { atomicAddOnce, mirrorDriver } from './drivers.js';

/**
 * fork() shares the page, so the device must lose it, and must not have it again until P has a page of its own. What
 * does that is the notifier around the copy, and the driver that asks whether one has come between.
 */
export default scenario({
  id: 'D-05',
  family: 'device-exclusive',
  title: 'write protection of an exclusive page by fork',
  question: 'Can a page be write-protected for fork while a device has it for itself?',
  machine: { cpus: 3, frames: 5, data: true, rcuCallbacks: 0, fill: 'demand' },
  knobs: { driver: ['single', 'nouveau'], after: ['load', 'store'], 'fork.notifier': ['on', 'off'] },
  bounds: 'a page that is exclusive; one device atomic, one fork, then a store of P and two loads of C',
  setup(m, { driver }) {
    const p = m.process('P', { cpus: [1] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const c = m.child('C', p, { cpus: [2] });
    const gpu = m.device('gpu0', { mirrors: p });
    const mirror = mirrorDriver(driver, m, gpu, p, x, { timeout: 1 });
    m.exclusive(p, x.start, gpu);
    return { p, x, c, gpu, mirror, forked: m.flag('forked') };
  },
  agents: ({ p, x, c, gpu, mirror, forked }, { after }) => ({
    *gpu0() {
      if ((yield* atomicAddOnce(mirror, gpu, x.start)) === 0) see('the device added');
    },
    *parent() {
      const err = yield* dup_mmap(c.mm, p.mm);
      if (err !== 0) return see('fork failed');
      if (after === 'store') yield* userStore(x.start, 5);
      yield* write(forked, 1);
    },
    child: {
      cpu: 2,
      process: c,
      *run() {
        yield* awaitValue(forked, 1);
        const first = yield* userLoad(x.start);
        const second = yield* userLoad(x.start);
        yield* claim(first === second, 'COW-ISO', 'the child sees a store of its parent, or of the device');
        see('the child looked');
      },
    },
  }),
  sometimes: ['the device added', 'the child looked'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'after=store': 'safe',
    'driver=nouveau': 'safe',
    'driver=nouveau,after=store': 'safe',
    'fork.notifier=off': violates('EXCL'),
    'driver=nouveau,fork.notifier=off': violates('EXCL'),
  },
});
