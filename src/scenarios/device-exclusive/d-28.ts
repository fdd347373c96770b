// SPDX-License-Identifier: GPL-2.0-only
import { livelocks, progress, scenario, see, violates } from '../../litmus/index.js';
import { userAdd, userLoad } from '../../linux/index.js';
import { deviceAtomicAdd } from '../../machine/machine.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/**
 * The folio lock is held from make until the device has its mapping. For a driver that does not ask whether something came
 * between, that alone keeps the fault of a CPU out; one that asks does not need it.
 */
export const d28 = scenario({
  id: 'D-28',
  family: 'device-exclusive',
  title: 'the folio lock from make to map',
  question: 'What is the folio lock for that make_device_exclusive_range() returns with?',
  machine: { cpus: 2, frames: 2, data: true, rcuCallbacks: 0 },
  knobs: { driver: ['test_hmm', 'nouveau', 'single'], held: ['to-map', 'to-make'] },
  kernelKnobs: ({ held }) => {
    const value = held === 'to-map' ? 'on' : 'off';
    return { 'nouveau.hold_folio': value, 'test_hmm.hold_folio': value };
  },
  bounds: 'one atomic of a device, whose fault is served in two rounds at most; two atomics of a CPU',
  setup(m, { driver, held }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    m.watchSum(p, x.start);
    const gpu = m.device('gpu0', { mirrors: p });
    const hold = held === 'to-map' ? 'map' : 'make';
    return { x, gpu, mirror: mirrorDriver(driver, m, gpu, p, x, { hold, timeout: 2 }) };
  },
  agents: ({ x, gpu, mirror }) => ({
    *cpu() {
      yield* userAdd(x.start);
      yield* userAdd(x.start);
    },
    *gpu0() {
      if ((yield* atomicAdd(mirror, gpu, x.start, { faults: 1 })) === 0) see('the device added');
    },
  }),
  sometimes: ['the device added'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'held=to-make': violates('EXCL'),
    'driver=nouveau': 'safe',
    'driver=nouveau,held=to-make': 'safe',
    'driver=single': 'safe',
    'driver=single,held=to-make': 'safe',
  },
});

/**
 * A CPU and a device that both want the page for ever. With the folio lock held until the device has its mapping, each
 * fault of the device is served. But who has the page back from the other has still to make the access that it wanted it
 * for, and nothing keeps the page until then.
 */
export const d28b = scenario({
  id: 'D-28b',
  family: 'device-exclusive',
  title: 'progress of a CPU and a device',
  question: 'Does anybody get on while a CPU and a device take a page from each other?',
  machine: { cpus: 2, frames: 2, rcuCallbacks: 0, seqModulus: 8, fill: 'demand' },
  knobs: {
    held: ['to-map', 'to-make'],
    /** Whose operations count. */
    asked: ['system', 'device', 'cpu'],
    /** What an operation of the device is. */
    counts: ['served faults', 'accesses'],
    driver: ['nouveau', 'test_hmm'],
    cpu: ['loops', 'none'],
    page: ['present', 'exclusive'],
  },
  kernelKnobs: ({ held }) => {
    const value = held === 'to-map' ? 'on' : 'off';
    return { 'nouveau.hold_folio': value, 'test_hmm.hold_folio': value };
  },
  bounds: 'a device that does atomics for ever; a CPU that loads for ever, or none',
  setup(m, { driver, page }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true });
    const gpu = m.device('gpu0', { mirrors: p });
    if (page === 'exclusive') m.exclusive(p, x.start);
    return { x, gpu, mirror: mirrorDriver(driver, m, gpu, p, x) };
  },
  agents: ({ x, gpu, mirror }, { asked, counts, cpu }) => ({
    ...(cpu === 'loops' && {
      *cpu() {
        for (;;) {
          yield* userLoad(x.start);
          if (asked !== 'device') progress('load');
        }
      },
    }),
    gpu0: {
      cpu: 1,
      *run() {
        for (;;) {
          const old = yield* deviceAtomicAdd(gpu, x.start);
          const served = old === undefined && (yield* mirror.fault(x.start)) === 0;
          if (old !== undefined) see('the device added');
          if (asked !== 'cpu' && (old !== undefined || (served && counts === 'served faults')))
            progress('device');
        }
      },
    },
  }),
  sometimes: ['the device added'],
  expect: {
    base: 'safe',
    'held=to-make': livelocks(),
    'asked=device': 'safe',
    'held=to-make,asked=device': livelocks(),
    'asked=cpu': livelocks(),
    'counts=accesses': livelocks(),
    'held=to-make,counts=accesses': livelocks(),
    'asked=device,counts=accesses': livelocks(),
    'held=to-make,asked=device,counts=accesses': livelocks(),
    'driver=test_hmm': 'safe',
    'counts=accesses,driver=test_hmm': livelocks(),
    'cpu=none': 'safe',
    'counts=accesses,cpu=none': 'safe',
    'cpu=none,page=exclusive': livelocks(),
    'page=exclusive': livelocks(),
  },
  differs: {
    'held=to-make': 'SAFE',
    'asked=device': 'LIVELOCK',
    'counts=accesses': 'SAFE',
    'held=to-make,counts=accesses': 'SAFE',
  },
});
