// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, scenario, see, violates, write } from '../../litmus/index.js';
import { userAdd } from '../../linux/index.js';
import { deviceAtomicAdd, deviceErase } from '../../machine/machine.js';
import { SingleDriver } from './single.js';

/**
 * The driver goes away and leaves entries in the page tables. They name no driver; the next fault restores them, and finds
 * nobody to tell. So what the device has must be gone before the driver stops listening.
 */
export default scenario({
  id: 'D-46',
  family: 'device-exclusive',
  title: 'the driver goes away',
  question: 'Must a driver restore the entries that it has made exclusive before it goes away?',
  machine: { cpus: 2, frames: 2, data: true, rcuCallbacks: 0 },
  knobs: {
    close: ['unmap first', 'unregister first', 'unregister only'],
    device: ['runs', 'has stopped'],
    asked: ['all', 'ATOMIC-SUM'],
  },
  bounds:
    'a page that a device has for itself; one atomic of the device or none, the driver going away, one atomic of a CPU',
  judges: ({ asked }) => (asked === 'all' ? undefined : ['ATOMIC-SUM']),
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    m.watchSum(p, x.start);
    const gpu = m.device('gpu0', { mirrors: p });
    m.exclusive(p, x.start, gpu);
    return { x, gpu, driver: new SingleDriver(m, gpu, p, x), closed: m.flag('closed') };
  },
  agents: ({ x, gpu, driver, closed }, { close, device }) => ({
    *cpu() {
      yield* userAdd(x.start);
      yield* awaitValue(closed, 1);
      yield* userAdd(x.start);
      see('the CPU added');
    },
    ...(device === 'runs' && {
      gpu0: {
        cpu: 1,
        *run() {
          yield* deviceAtomicAdd(gpu, x.start);
        },
      },
    }),
    driver: {
      cpu: 1,
      *run() {
        if (close === 'unmap first') yield* deviceErase(gpu, x.start, x.end);
        yield* driver.unregister();
        if (close === 'unregister first') yield* deviceErase(gpu, x.start, x.end);
        yield* write(closed, 1);
      },
    },
  }),
  sometimes: ['the CPU added'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'device=has stopped': 'safe',
    'close=unregister first': violates('EXCL'),
    'close=unregister first,asked=ATOMIC-SUM': violates('ATOMIC-SUM'),
    'close=unregister first,device=has stopped,asked=ATOMIC-SUM': 'safe',
    'close=unregister only': violates('EXCL'),
    'close=unregister only,asked=ATOMIC-SUM': violates('ATOMIC-SUM'),
  },
});
