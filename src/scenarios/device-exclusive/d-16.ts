// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, scenario, see, violates, write } from '../../litmus/index.js';
import {
  EFAULT,
  EPERM,
  HMM_PFN,
  hmm_range_fault,
  make_device_exclusive_range,
  mmap_read_lock,
  mmap_read_unlock,
  mmu_interval_read_begin,
  mprotect,
  PROT_READ,
} from '../../linux/index.js';
import { deviceAtomicAdd } from '../../machine/machine.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/**
 * mprotect() takes no folio lock either. It makes the entry readable, which the device does not look at; what takes the
 * device's mapping away is the notifier, and what keeps it away is the retry. From then on every way to it ends in an error.
 */
export default scenario({
  id: 'D-16',
  family: 'device-exclusive',
  title: 'mprotect(PROT_READ) between make and map',
  question: 'Can a device store to a page that mprotect() has made read-only?',
  machine: { cpus: 2, frames: 2, data: true, rcuCallbacks: 0, fill: 'demand' },
  knobs: {
    driver: ['nouveau', 'single', 'test_hmm'],
    retry: ['locked', 'none'],
    mmap_lock: ['as is', 'to-make'],
    asked: ['all', 'ERRNO'],
  },
  kernelKnobs: ({ retry, mmap_lock }) => ({
    'nouveau.read_retry': retry,
    ...(mmap_lock === 'to-make' && { 'test_hmm.mmap_lock': mmap_lock }),
  }),
  judges: ({ asked }) => (asked === 'all' ? undefined : []),
  bounds:
    'one atomic of a device, whose fault is served in two rounds at most; one mprotect(PROT_READ), and after it an atomic, a fault through hmm_range_fault() and a make',
  setup(m, { driver, retry }) {
    const p = m.process('P', { cpus: [] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const gpu = m.device('gpu0', { mirrors: p });
    const mirror = mirrorDriver(driver, m, gpu, p, x, { retry, timeout: 2 });
    return {
      p,
      x,
      gpu,
      mirror,
      notifier: p.intervalNotifier(x, {
        *invalidate() {
          return true;
        },
      }),
      done: m.flag('mprotect_done'),
    };
  },
  agents: ({ p, x, gpu, mirror, notifier, done }) => ({
    *gpu0() {
      if ((yield* atomicAdd(mirror, gpu, x.start, { faults: 1 })) === 0) see('the device added before');
      yield* awaitValue(done, 1);
      const old = yield* deviceAtomicAdd(gpu, x.start);
      yield* claim(
        old === undefined,
        'ERRNO',
        'a device stores to a page after mprotect(PROT_READ) has returned',
      );
      const range = {
        notifier,
        notifier_seq: yield* mmu_interval_read_begin(notifier),
        start: x.start,
        end: x.end,
        hmm_pfns: [0],
        default_flags: HMM_PFN.REQ_FAULT | HMM_PFN.REQ_WRITE,
        pfn_flags_mask: 0,
      };
      yield* mmap_read_lock(p.mm);
      const faulted = yield* hmm_range_fault(range);
      const { ret } = yield* make_device_exclusive_range(p.mm, x.start, x.end, 1);
      yield* mmap_read_unlock(p.mm);
      yield* claim(
        faulted === -EPERM,
        'ERRNO',
        'hmm_range_fault() for a store to a read-only VMA is not -EPERM',
      );
      yield* claim(
        ret === -EFAULT,
        'ERRNO',
        'make_device_exclusive_range() of a read-only VMA is not -EFAULT',
      );
      see('refused after');
    },
    *protector() {
      yield* mprotect(p.mm, x.vma, PROT_READ);
      yield* write(done, 1);
    },
  }),
  sometimes: ['the device added before', 'refused after'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'driver=single': 'safe',
    'driver=test_hmm': 'safe',
    'retry=none': violates('SPTE-COHERENT'),
    'retry=none,asked=ERRNO': violates('ERRNO'),
    'driver=single,retry=none': violates('SPTE-COHERENT'),
    'driver=single,retry=none,asked=ERRNO': violates('ERRNO'),
    'driver=test_hmm,mmap_lock=to-make': violates('SPTE-COHERENT'),
    'driver=test_hmm,mmap_lock=to-make,asked=ERRNO': violates('ERRNO'),
  },
});
