// SPDX-License-Identifier: GPL-2.0-only
import { deviceAtomicAdd, scenario, see, violates } from '../../litmus/index.js';
import {
  madvise_dontneed,
  mmput,
  mmu_notifier_unregister,
  NouveauMnOps,
  NouveauSvmm,
} from '../../linux/index.js';

/**
 * The driver lets go of a process: mmu_notifier_unregister() calls its release() unless exit does, and returns when no
 * method runs any more, of its own or of an invalidation that is under way. Then the subscription may be freed.
 */
export default scenario({
  id: 'D-45b',
  family: 'device-exclusive',
  title: 'a driver lets go of a process',
  question: 'Is a subscription its driver’s again when mmu_notifier_unregister() returns?',
  machine: { cpus: 3, frames: 2, data: true, rcuCallbacks: 0, fill: 'demand' },
  knobs: { other: ['exit', 'dontneed'], 'nouveau.release': ['unmaps', 'none'] },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  bounds:
    'one page that a device has, with one atomic; one mmu_notifier_unregister(), beside it the exit of the process or one MADV_DONTNEED',
  setup(m) {
    const p = m.process('P', { cpus: [1] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    p.users(1);
    const gpu = m.device('gpu0', { mirrors: p });
    const sub = p.mmuNotifier(new NouveauMnOps(new NouveauSvmm(m.kernel, gpu, p.mm)));
    m.exclusive(p, x.start, gpu);
    return { p, x, gpu, sub };
  },
  agents: ({ p, x, gpu, sub }, { other }) => ({
    *driver() {
      yield* mmu_notifier_unregister(sub, p.mm);
      see('unregistered');
    },
    *other() {
      if (other === 'exit') yield* mmput(p.mm);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
    },
    *gpu0() {
      if ((yield* deviceAtomicAdd(gpu, x.start)) !== undefined) see('the device added');
    },
  }),
  sometimes: ['unregistered', 'the device added'],
  expect: {
    base: 'safe',
    'other=dontneed': 'safe',
    'nouveau.release=none': violates('FRAME-REUSE'),
    'other=dontneed,nouveau.release=none': violates('FRAME-REUSE'),
  },
});
