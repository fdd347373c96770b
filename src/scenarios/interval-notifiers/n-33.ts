// SPDX-License-Identifier: GPL-2.0-only
import { claim, deviceAtomicAdd, scenario, see, violates } from '../../litmus/index.js';
import {
  Dmirror,
  DmirrorDevice,
  DmirrorMinOps,
  dup_mmap,
  exclusiveRange,
  HMM_DMIRROR_MEMORY_DEVICE,
  userLoad,
} from '../../linux/index.js';

/**
 * What hmm-tests' exclusive_cow does one after the other, beside each other: a device makes a page of a process exclusive
 * and adds to it, and the process forks. The child has what was there at the fork, and nothing that is added is lost. The
 * page may be in the device's memory at first: then it has to come back to RAM, since exclusive pages are mapped there.
 */
export default scenario({
  id: 'N-33',
  family: 'interval-notifiers',
  title: 'a page is made exclusive beside fork()',
  question: 'Does a device that makes a page exclusive beside fork() keep from the child what it adds later?',
  machine: ({ from }) => ({
    cpus: 2,
    frames: from === 'ram' ? 5 : 4,
    data: true,
    fill: 'demand',
    rcuCallbacks: 0,
    seqModulus: 8,
  }),
  knobs: {
    from: ['ram', 'device'],
    'test_hmm.mmap_lock': ['to-map', 'to-make'],
    'fork.notifier': ['on', 'off'],
  },
  bounds:
    'one page, in RAM or in device memory; one conversion with one atomic, one fork, two loads of the child if the page is in RAM',
  setup(m, { from }) {
    const p = m.process('P', { cpus: [] });
    const x = p.mmap({ pages: 1, touched: true });
    const c = m.child('C', p, { cpus: [1] });
    const gpu = m.device('gpu0', { mirrors: p });
    const mdevice = new DmirrorDevice(m.kernel, 'hmm_dmirror0', 0, {
      zone_device_type: HMM_DMIRROR_MEMORY_DEVICE.PRIVATE,
      chunkPages: 1,
    });
    const dmirror = new Dmirror(m.kernel, gpu, p.mm, mdevice);
    dmirror.notifier = p.intervalNotifier({ start: 0, end: p.mm.space.pages }, new DmirrorMinOps(dmirror));
    if (from === 'device') {
      const { pagemap } = mdevice.devmem_chunks[0]!;
      const page = m.inDeviceMemory(p, x.start, pagemap, gpu, { backed: true });
      page.zone_device_mirror!.init(dmirror.number + 1);
      mdevice.free_pages.init(0);
    }
    m.watchSum(p, x.start);
    return { p, x, c, gpu, dmirror };
  },
  agents: ({ p, x, c, gpu, dmirror }, { from }) => ({
    *device() {
      const err = yield* exclusiveRange(dmirror, x.start, 1);
      if (err !== 0) return see('refused');
      if ((yield* deviceAtomicAdd(gpu, x.start)) !== undefined) see('the device added');
    },
    parent: {
      cpu: 1,
      process: c,
      *run() {
        yield* dup_mmap(c.mm, p.mm);
        if (from === 'device') return see('the child looked');
        const first = yield* userLoad(x.start);
        const second = yield* userLoad(x.start);
        yield* claim(
          first === second,
          'COW-ISO',
          'the child sees what a device of its parent adds after the fork',
        );
        see('the child looked');
      },
    },
  }),
  sometimes: ['the device added', 'the child looked'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'test_hmm.mmap_lock=to-make': violates('EXCL'),
    'fork.notifier=off': violates('EXCL'),
    'from=device': 'safe',
    'from=device,test_hmm.mmap_lock=to-make': violates('EXCL'),
  },
});
