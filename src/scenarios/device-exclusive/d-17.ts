// SPDX-License-Identifier: GPL-2.0-only
import { add, awaitValue, claim, dmaRead, dmaWrite, scenario, see, violates } from '../../litmus/index.js';
import { FOLL, GUP_PIN_COUNTING_BIAS, pin_user_pages_fast, unpin_user_page } from '../../linux/index.js';
import { deviceAtomicAdd } from '../../machine/machine.js';
import { atomicAddOnce, mirrorDriver } from './drivers.js';

/**
 * A page that is pinned for DMA can be made exclusive all the same: exclusivity is about CPUs. A pin that comes later
 * goes through a fault, which takes the page away from the device; it does not keep the device from having it again.
 */
export default scenario({
  id: 'D-17',
  family: 'device-exclusive',
  title: 'DMA to an exclusive page',
  question: 'Does exclusive access keep the DMA of a third party out?',
  machine: { cpus: 3, frames: 3, data: true, rcuCallbacks: 0, fill: 'demand' },
  knobs: { pinned: ['after', 'before'], device: ['keeps', 'asks-again'] },
  bounds: 'a page that is exclusive; one device atomic, one DMA store through a pin',
  setup(m, { pinned }) {
    const p = m.process('P', { cpus: [1] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const page = p.page(x.start);
    const gpu = m.device('gpu0', { mirrors: p });
    const mirror = mirrorDriver('test_hmm', m, gpu, p, x);
    m.exclusive(p, x.start, gpu);
    if (pinned === 'before') {
      page._refcount.init(page._refcount.value + GUP_PIN_COUNTING_BIAS);
      m.kernel.hold(page.pfn, GUP_PIN_COUNTING_BIAS);
    }
    return { x, page, gpu, mirror, done: m.flag('done') };
  },
  agents: ({ x, page, gpu, mirror, done }, { pinned, device }) => ({
    *gpu0() {
      if (device === 'keeps') {
        if ((yield* deviceAtomicAdd(gpu, x.start)) !== undefined) see('the device added');
      } else yield* atomicAddOnce(mirror, gpu, x.start);
      yield* add(done, 1);
    },
    *rdma() {
      if (pinned === 'before') yield* dmaWrite(page, 7);
      else {
        const { pages } = yield* pin_user_pages_fast(x.start, 1, FOLL.WRITE);
        const got = pages[0]!;
        yield* dmaWrite(got, 7);
        yield* unpin_user_page(got);
      }
      yield* add(done, 1);
    },
    *judge() {
      yield* awaitValue(done, 2);
      const value = yield* dmaRead(page);
      yield* claim(value === 7 || value === 8, 'ATOMIC-SUM', 'the atomic has overwritten what DMA stored');
    },
  }),
  sometimes: ['the device added'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'device=asks-again': violates('ATOMIC-SUM'),
    'pinned=before': violates('ATOMIC-SUM'),
    'pinned=before,machine=bcast': violates('ATOMIC-SUM'),
  },
});
