// SPDX-License-Identifier: GPL-2.0-only
import {
  awaitValue,
  claim,
  deviceAtomicAdd,
  deviceStore,
  equals,
  scenario,
  see,
  violates,
  write,
} from '../../litmus/index.js';
import { dup_mmap, ENOMEM, userAdd, userLoad } from '../../linux/index.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/**
 * What fork may do with a page that a device has for itself, while the device works on it. The merged kernel has the
 * device told, restores the entry and copies it as a present one; the thread discussed to copy the page at once, to copy the
 * entry, and to sleep for a page that is locked.
 */
export default scenario({
  id: 'D-01',
  family: 'device-exclusive',
  title: 'what fork does with a device-exclusive page',
  question: 'What may fork() do with a page that a device has for itself?',
  machine: ({ asked }) => ({ cpus: 3, frames: 6, data: asked === 'SNAPSHOT' ? 2 : true }),
  knobs: {
    fork: ['restore', 'restore-sleep', 'copy', 'early-copy', 'early-copy-exclusive'],
    asked: ['DEVICE', 'COW-ISO', 'SNAPSHOT', 'FORK-SUCCEEDS'],
  },
  // A copy that is taken at once leaves the device alone, so nobody need be told.
  kernelKnobs: ({ fork }) => ({
    'fork.exclusive': fork,
    'fork.notifier': fork.startsWith('early') ? 'off' : 'on',
    'cow.reuse': fork === 'copy' ? 'page-count' : 'anon-exclusive',
  }),
  judges: ({ asked }) => (asked === 'DEVICE' ? undefined : [asked]),
  bounds:
    'one page that a device has mapped for itself (FORK-SUCCEEDS: that it takes a fault for); one atomic of the device (SNAPSHOT: two stores), with at most one fault (COW-ISO: none), one fork, one add of the parent after it (COW-ISO, SNAPSHOT: and two loads of the child)',
  setup(m, { asked }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const c = m.child('C', p, { cpus: [1] });
    const gpu = m.device('gpu0', { mirrors: p });
    const driver = mirrorDriver('single', m, gpu, p, x, { timeout: 1 });
    if (asked !== 'FORK-SUCCEEDS') m.exclusive(p, x.start, gpu);
    if (asked === 'DEVICE') m.watchSum(p, x.start);
    return {
      p,
      x,
      c,
      gpu,
      driver,
      forking: m.flag('forking').init(1),
      forked: m.flag('forked'),
      done: m.flag('done'),
    };
  },
  agents: ({ p, x, c, gpu, driver, forking, forked, done }, { asked }) => ({
    parent: {
      cpu: 0,
      process: p,
      *run() {
        const err = yield* dup_mmap(c.mm, p.mm);
        if (asked === 'FORK-SUCCEEDS')
          yield* claim(err !== -ENOMEM, 'FORK-SUCCEEDS', 'fork() fails with ENOMEM, and memory is free');
        if (err === 0) {
          see('forked');
          yield* write(forked, 1);
        }
        yield* write(forking, 0);
        if (asked !== 'SNAPSHOT' && asked !== 'FORK-SUCCEEDS') yield* userAdd(x.start, 1);
        yield* write(done, 1);
      },
    },
    child: {
      cpu: 1,
      process: c,
      *run() {
        const reads = asked === 'COW-ISO' || asked === 'SNAPSHOT';
        yield* awaitValue(forking, 0);
        if (!reads || !(yield* equals(forked, 1))) return;
        const first = yield* userLoad(x.start, 0);
        if (asked === 'SNAPSHOT') {
          const second = yield* userLoad(x.start, 1);
          yield* claim(
            first === 1 || second === 0,
            'SNAPSHOT',
            'the child has the second store of the device, and not the first',
          );
        }
        if (asked !== 'COW-ISO') return;
        yield* awaitValue(done, 1);
        const again = yield* userLoad(x.start, 0);
        yield* claim(again === first, 'COW-ISO', "the child's page changes under it");
      },
    },
    gpu0: {
      cpu: 2,
      process: p,
      *run() {
        if (asked === 'COW-ISO') return yield* deviceAtomicAdd(gpu, x.start);
        if (asked !== 'SNAPSHOT') {
          const err = yield* atomicAdd(driver, gpu, x.start, { faults: 1 });
          if (err === 0) see('device added');
          return err;
        }
        yield* deviceStore(gpu, x.start, 1, 0);
        return yield* deviceStore(gpu, x.start, 1, 1);
      },
    },
  }),
  sometimes: ['forked'],
  matrix: { rows: 'fork', columns: 'asked' },
  expect: {
    base: 'safe',
    'asked=COW-ISO': 'safe',
    'asked=SNAPSHOT': 'safe',
    'asked=FORK-SUCCEEDS': violates('FORK-SUCCEEDS'),
    'fork=restore-sleep': 'safe',
    'fork=restore-sleep,asked=COW-ISO': 'safe',
    'fork=restore-sleep,asked=SNAPSHOT': 'safe',
    'fork=restore-sleep,asked=FORK-SUCCEEDS': 'safe',
    'fork=copy': 'safe',
    'fork=copy,asked=COW-ISO': 'safe',
    'fork=copy,asked=SNAPSHOT': 'safe',
    'fork=copy,asked=FORK-SUCCEEDS': 'safe',
    'fork=early-copy': 'safe',
    'fork=early-copy,asked=COW-ISO': 'safe',
    'fork=early-copy,asked=SNAPSHOT': violates('SNAPSHOT'),
    'fork=early-copy,asked=FORK-SUCCEEDS': 'safe',
    'fork=early-copy-exclusive': 'safe',
    'fork=early-copy-exclusive,asked=COW-ISO': 'safe',
    'fork=early-copy-exclusive,asked=SNAPSHOT': violates('SNAPSHOT'),
    'fork=early-copy-exclusive,asked=FORK-SUCCEEDS': 'safe',
  },
});
