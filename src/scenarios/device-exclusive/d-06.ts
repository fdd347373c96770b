// SPDX-License-Identifier: GPL-2.0-only
import { claim, livelocks, scenario, see, violates } from '../../litmus/index.js';
import { userLoad } from '../../linux/index.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/**
 * The page was shared by a fork before a device of the parent asks for it. GUP breaks COW, so what becomes exclusive is
 * the parent's own. Without that, the write test refuses the page; without both, the child reads what the device stores.
 */
export default scenario({
  id: 'D-06',
  family: 'device-exclusive',
  title: 'make after fork',
  question: 'What keeps the stores of a device out of a child that was forked before?',
  machine: { cpus: 2, frames: 5, data: true, rcuCallbacks: 0, seqModulus: 8, fill: 'demand' },
  kernels: ['6.12', '6.15'],
  knobs: {
    driver: ['test_hmm', 'nouveau'],
    'nouveau.begin': ['before-make', 'after-gup'],
    'make.gup': ['write', 'read'],
    'make.write_check': ['on', 'off'],
    asked: ['all', 'COW-ISO'],
  },
  bounds: 'a page that P and C share; one device atomic of P, two loads of C',
  judges: ({ asked }) => (asked === 'all' ? undefined : ['COW-ISO']),
  setup(m, { driver }) {
    const p = m.process('P', { cpus: [] });
    const x = p.mmap({ pages: 1, touched: true });
    const c = m.child('C', p, { cpus: [1], forked: true });
    const gpu = m.device('gpu0', { mirrors: p });
    return { p, x, c, gpu, mirror: mirrorDriver(driver, m, gpu, p, x, { timeout: 2 }) };
  },
  agents: ({ x, c, gpu, mirror }) => ({
    *gpu0() {
      const err = yield* atomicAdd(mirror, gpu, x.start);
      see(err === 0 ? 'the device added' : 'the page was refused');
    },
    child: {
      cpu: 1,
      process: c,
      *run() {
        const first = yield* userLoad(x.start);
        const second = yield* userLoad(x.start);
        yield* claim(first === second, 'COW-ISO', 'the child sees a store of a device of its parent');
        see('the child looked');
      },
    },
  }),
  sometimes: ['the child looked'],
  expect: {
    base: 'safe',
    'driver=nouveau': 'safe',
    'driver=nouveau,nouveau.begin=after-gup': 'safe',
    'kernel=6.15': 'safe',
    'make.gup=read': 'safe',
    'driver=nouveau,make.gup=read': 'safe',
    'make.gup=read,kernel=6.15': livelocks(),
    'make.gup=read,make.write_check=off': violates('SPTE-COHERENT'),
    'make.gup=read,make.write_check=off,asked=COW-ISO': violates('COW-ISO'),
    'driver=nouveau,make.gup=read,make.write_check=off,asked=COW-ISO': violates('COW-ISO'),
  },
});
