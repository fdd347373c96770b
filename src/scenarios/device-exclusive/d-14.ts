// SPDX-License-Identifier: GPL-2.0-only
import { claim, livelocks, scenario, see, type Testbed, violates } from '../../litmus/index.js';
import { EINVAL, madvise_dontneed } from '../../linux/index.js';
import { atomicAdd, type DriverKind, mirrorDriver } from './drivers.js';

function twoDevices(
  m: Testbed,
  driver: DriverKind,
  options: { readonly retry: 'locked' | 'none'; readonly timeout?: number },
) {
  const p = m.process('P', { cpus: [] });
  const x = p.mmap({ pages: 1, touched: true, dirty: true });
  const devices = ['gpu0', 'gpu1'].map((name) => {
    const gpu = m.device(name, { mirrors: p });
    return { gpu, mirror: mirrorDriver(driver, m, gpu, p, x, options) };
  });
  return { p, x, devices };
}

/** Each device has the page from the other when it makes it exclusive: through the fault, or through the notifier. */
export const d14 = scenario({
  id: 'D-14',
  family: 'device-exclusive',
  title: 'two devices, one page',
  question: 'Can two devices have the same page for themselves?',
  machine: { cpus: 2, frames: 2, data: true, rcuCallbacks: 0, fill: 'demand' },
  kernels: ['6.12', '6.15', '2025-v1'],
  knobs: {
    driver: ['single', 'test_hmm', 'nouveau'],
    'make.notifier': ['exclusive', 'none'],
    'restore.event': ['exclusive', 'none'],
    'nouveau.owner_filter': ['on', 'any-owner'],
    'nouveau.hold_folio': ['on', 'off'],
  },
  bounds: 'one atomic of each of two devices, with one fault each, served in one round',
  setup(m, { driver }) {
    const two = twoDevices(m, driver, { retry: 'locked', timeout: 1 });
    m.watchSum(two.p, two.x.start);
    return two;
  },
  agents: ({ x, devices }, { kernel }) =>
    Object.fromEntries(
      devices.map(({ gpu, mirror }, cpu) => [
        gpu.name,
        {
          cpu,
          *run() {
            const err = yield* atomicAdd(mirror, gpu, x.start, { faults: 1 });
            yield* claim(
              kernel !== '6.15' || err !== -EINVAL,
              'ERRNO',
              'make refuses a page whose lock the other device holds',
            );
            see(err === 0 ? `${gpu.name} added` : `${gpu.name} did not`);
          },
        },
      ]),
    ),
  sometimes: ['gpu0 added', 'gpu1 added', 'gpu0 did not'],
  expect: {
    base: 'safe',
    'kernel=6.15': 'safe',
    'driver=test_hmm': 'safe',
    'driver=test_hmm,kernel=6.15': 'safe',
    'kernel=2025-v1': 'safe',
    'driver=test_hmm,kernel=2025-v1': 'safe',
    'driver=nouveau': 'safe',
    'driver=nouveau,nouveau.owner_filter=any-owner': 'safe',
    'driver=nouveau,nouveau.hold_folio=off': 'safe',
    'driver=nouveau,nouveau.owner_filter=any-owner,nouveau.hold_folio=off': violates('EXCL'),
    'make.notifier=none': 'safe',
    'restore.event=none': violates('EXCL'),
    'restore.event=none,kernel=6.15': violates('EXCL'),
    'driver=test_hmm,restore.event=none': violates('EXCL'),
    'driver=nouveau,restore.event=none': violates('EXCL'),
    'make.notifier=none,restore.event=none': violates('EXCL'),
  },
});

/**
 * Who makes the page exclusive second finds the first one's entry, and the fault in its own make has its round fail: with
 * a driver that counts what its own make causes, at most one of the two is ever served. And a fault that was served is
 * not yet an access: the other device may have the page back before the first one tries again.
 */
export const d14b = scenario({
  id: 'D-14b',
  family: 'device-exclusive',
  title: 'two devices, one page: progress',
  question: 'Do two devices end that want the same page?',
  machine: { cpus: 2, frames: 2, rcuCallbacks: 0, seqModulus: 8, fill: 'demand' },
  kernels: ['6.12', '6.15'],
  knobs: {
    driver: ['test_hmm', 'single', 'nouveau'],
    retry: ['none', 'locked'],
    until: ['served', 'added'],
    'nouveau.owner_filter': ['on', 'any-owner'],
  },
  kernelKnobs: ({ retry }) => ({ 'nouveau.read_retry': retry }),
  bounds: 'one fault of each of two devices, or one atomic with as many faults as it takes',
  setup: (m, { driver, retry }) => twoDevices(m, driver, { retry }),
  agents: ({ x, devices }, { until }) =>
    Object.fromEntries(
      devices.map(({ gpu, mirror }, cpu) => [
        gpu.name,
        {
          cpu,
          *run() {
            const err =
              until === 'served' ? yield* mirror.fault(x.start) : yield* atomicAdd(mirror, gpu, x.start);
            if (err === 0) see(`${gpu.name} ${until}`);
          },
        },
      ]),
    ),
  sometimes: ['gpu0 served', 'gpu1 served'],
  expect: {
    base: 'safe',
    'kernel=6.15': 'safe',
    'driver=single': 'safe',
    'driver=single,retry=locked': livelocks(),
    'driver=nouveau': 'safe',
    'driver=nouveau,retry=locked': livelocks(),
    'driver=nouveau,retry=locked,kernel=6.15': livelocks(),
    'driver=nouveau,retry=locked,nouveau.owner_filter=any-owner': 'safe',
    'until=added': livelocks(),
    'driver=single,until=added': livelocks(),
  },
  differs: { 'until=added': 'SAFE', 'driver=single,until=added': 'SAFE' },
});

/** make of 6.15 goes back to GUP if the entry is another by the time it has the lock of the page. */
export const d14c = scenario({
  id: 'D-14c',
  family: 'device-exclusive',
  title: 'a page that is replaced again and again',
  question: 'Does make_device_exclusive() end while somebody replaces the page for ever?',
  machine: { cpus: 2, frames: 3, rcuCallbacks: 0, seqModulus: 8, fill: 'demand' },
  kernels: ['6.15', '6.12'],
  knobs: { adversary: ['once', 'endless'] },
  bounds: 'one fault of a device, whose driver does not retry; MADV_DONTNEED of the page, once or for ever',
  setup(m) {
    const p = m.process('P', { cpus: [] });
    const x = p.mmap({ pages: 1, touched: true });
    const gpu = m.device('gpu0', { mirrors: p });
    return { x, mirror: mirrorDriver('test_hmm', m, gpu, p, x) };
  },
  agents: ({ x, mirror }, { adversary }) => ({
    *gpu0() {
      yield* mirror.fault(x.start);
      see('returned');
    },
    adversary: {
      cpu: 1,
      daemon: adversary === 'endless',
      *run() {
        for (;;) {
          yield* madvise_dontneed(x.vma, x.start, x.end);
          if (adversary === 'once') return;
        }
      },
    },
  }),
  judges: () => ['REF-SUM'],
  sometimes: ['returned'],
  expect: {
    base: 'safe',
    'adversary=endless': livelocks(),
    'kernel=6.12': 'safe',
    'adversary=endless,kernel=6.12': livelocks(),
  },
});
