// SPDX-License-Identifier: GPL-2.0-only
import {
  awaitValue,
  claim,
  deviceLoad,
  type Path,
  type Process,
  scenario,
  see,
  type Testbed,
  violates,
  write,
} from '../../litmus/index.js';
import {
  type DevPagemap,
  Dmirror,
  dmirror_migrate_to_device,
  DmirrorDevice,
  DmirrorMinOps,
  HMM_DMIRROR_MEMORY_DEVICE,
  mmap_read_lock,
  mmap_read_unlock,
  nouveau_dmem_migrate_vma,
  NouveauDmem,
  NouveauMnOps,
  NouveauSvmm,
  userLoad,
  type Vma,
} from '../../linux/index.js';
import type { Device } from '../../machine/machine.js';
import { PrivateMemory } from './private-memory.js';

/** Of the page at address 0. */
const CONTENTS = 6;

/** A device with memory for two pages, and what brings a page there. */
interface Driver {
  readonly gpu: Device;
  readonly pagemap: DevPagemap;
  /** The file of test_hmm that has brought a page to the memory. */
  readonly mirror?: number;
  /** Set-up: the list of the pages that are free, after one was put into use. */
  link(): void;
  /** Returns whether it has come there. */
  migrate(vma: Vma, addr: number): Path<boolean>;
}

function nouveau(m: Testbed, p: Process): Driver {
  const gpu = m.device('gpu0', { mirrors: p });
  const svmm = new NouveauSvmm(m.kernel, gpu, p.mm);
  const dmem = new NouveauDmem(m.kernel, svmm, 2);
  p.mmuNotifier(new NouveauMnOps(svmm));
  const { pagemap } = dmem;
  return {
    gpu,
    pagemap,
    link: () => pagemap.pages[1]!.zone_device_data!.init(0),
    *migrate(vma, addr) {
      yield* mmap_read_lock(p.mm);
      yield* nouveau_dmem_migrate_vma(dmem, vma, addr, addr + 1);
      yield* mmap_read_unlock(p.mm);
      return (yield* deviceLoad(gpu, addr)) === CONTENTS + addr;
    },
  };
}

function testHmm(m: Testbed, p: Process): Driver {
  const gpu = m.device('gpu0', { mirrors: p });
  const mdevice = new DmirrorDevice(m.kernel, 'hmm_dmirror0', 0, {
    zone_device_type: HMM_DMIRROR_MEMORY_DEVICE.PRIVATE,
    chunkPages: 2,
  });
  const dmirror = new Dmirror(m.kernel, gpu, p.mm, mdevice);
  dmirror.notifier = p.intervalNotifier({ start: 0, end: p.mm.space.pages }, new DmirrorMinOps(dmirror));
  const { pagemap } = mdevice.devmem_chunks[0]!;
  return {
    gpu,
    pagemap,
    mirror: dmirror.number + 1,
    link: () => pagemap.pages[1]!.zone_device_data!.init(0),
    *migrate(_vma, addr) {
      const cmd = { addr, npages: 1, ptr: [0], cpages: 0, faults: 0 };
      yield* dmirror_migrate_to_device(dmirror, cmd);
      return cmd.ptr[0] === CONTENTS + addr;
    },
  };
}

function own(m: Testbed, p: Process, listLock: boolean): Driver {
  const gpu = m.device('gpu0', { mirrors: p });
  const memory = new PrivateMemory(m, 'gpu0', gpu, p, { nr: 2, listLock });
  return {
    gpu,
    pagemap: memory.pgmap,
    link: () => memory.link(),
    *migrate(vma, addr) {
      return (yield* memory.toDevice(vma, addr, addr + 1)) === 1;
    },
  };
}

/**
 * Two threads of a process bring a page each to the memory of one device, or one does while a fault of a CPU gives a page
 * of it back. mmap_lock keeps neither from the other, being held for read: what the driver knows of its memory has a lock
 * of its own.
 */
export default scenario({
  id: 'N-32f',
  family: 'interval-notifiers',
  title: "two migrations beside each other in one device's memory",
  question: "What does a driver's list of free pages need a lock for?",
  machine: ({ driver }) => ({
    cpus: 2,
    frames: driver === 'test_hmm' ? 6 : 4,
    ptrsPerPte: 2,
    data: true,
    fill: 'demand',
    rcuCallbacks: 0,
    seqModulus: 8,
  }),
  knobs: {
    driver: ['own', 'nouveau', 'test_hmm'],
    list: ['locked', 'unlocked'],
    beside: ['migration', 'fault'],
  },
  bounds:
    'two pages and memory for two; a migration of each to the device; or of one, beside a load of a CPU that brings the other back, and goes to the device after that',
  setup(m, { driver, list, beside }) {
    const p = m.process('P', { cpus: [0, 1], pages: 2 });
    const x = p.mmap({ pages: 2, touched: true });
    m.pages(x).forEach(({ frame }, i) => frame.data!.init(CONTENTS + x.start + i));
    const has =
      driver === 'nouveau'
        ? nouveau(m, p)
        : driver === 'test_hmm'
          ? testHmm(m, p)
          : own(m, p, list === 'locked');
    if (beside === 'fault') {
      const page = m.inDeviceMemory(p, x.start + 1, has.pagemap, has.gpu, { backed: driver === 'test_hmm' });
      if (has.mirror !== undefined) page.zone_device_mirror!.init(has.mirror);
      has.link();
    }
    return { x, migrate: has.migrate, done: m.flag('the left one has come') };
  },
  agents: ({ x, migrate, done }, { beside }) => ({
    *left() {
      const moved = yield* migrate(x.vma, x.start);
      yield* claim(moved, 'DATA', 'a page has not come to the device, which has memory for it');
      see('moved');
      yield* write(done, 1);
    },
    *right() {
      if (beside === 'fault') {
        const seen = yield* userLoad(x.start + 1);
        yield* claim(seen === CONTENTS + x.start + 1, 'DATA', 'a CPU loads what is not in its page');
        yield* awaitValue(done, 1);
      }
      const moved = yield* migrate(x.vma, x.start + 1);
      yield* claim(moved, 'DATA', 'a page has not come to the device, which has memory for it');
    },
  }),
  sometimes: ['moved'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'beside=fault': 'safe',
    'list=unlocked': violates('POOL-ONCE'),
    'list=unlocked,beside=fault': violates('DATA'),
    'driver=nouveau': 'safe',
    'driver=nouveau,beside=fault': 'safe',
    'driver=test_hmm': 'safe',
    'driver=test_hmm,beside=fault': 'safe',
  },
});
