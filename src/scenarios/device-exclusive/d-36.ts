// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, scenario, see, violates, write } from '../../litmus/index.js';
import { memory_failure, userLoad } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * memory_failure() puts poison entries where the broken page is mapped, if it is mapped. Up to 6.14 a device-exclusive
 * entry is no mapping, so nothing is done to it, and the next CPU fault restores it: the process gets the broken page.
 */
export default scenario({
  id: 'D-36',
  family: 'device-exclusive',
  title: 'memory failure of a device-exclusive page',
  question: 'Does a process get a page back that was found broken while a device had it?',
  machine: { cpus: 2, frames: 2 },
  kernels: ['6.12', '6.15'],
  knobs: { entry: ['exclusive', 'present'] },
  bounds:
    'one page, for a device or mapped, one memory_failure(), one load of the process at any time and one after it',
  setup(m, { entry }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const gpu = m.device('gpu0', { mirrors: p });
    mirrorDriver('single', m, gpu, p, x);
    const page = p.page(x.start);
    if (entry === 'exclusive') m.exclusive(p, x.start, gpu);
    return { x, gpu, page, handled: m.flag('handled') };
  },
  agents: ({ x, page, handled }) => ({
    *user() {
      const early = yield* userLoad(x.start);
      if (early === 'SIGBUS') see('killed at once');
      yield* awaitValue(handled, 1);
      const late = yield* userLoad(x.start);
      yield* claim(late === 'SIGBUS', 'HWPOISON', 'the process reads a page that is known to be broken');
      see('killed');
    },
    *poisoner() {
      yield* memory_failure(page.pfn);
      yield* write(handled, 1);
    },
  }),
  sometimes: ['killed', 'killed at once'],
  expect: {
    base: violates('HWPOISON'),
    'kernel=6.15': 'safe',
    'entry=present': 'safe',
    'entry=present,kernel=6.15': 'safe',
  },
});
