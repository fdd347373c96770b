// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import {
  Dmirror,
  dmirror_migrate_to_device,
  dmirror_read,
  dmirror_write,
  DmirrorDevice,
  DmirrorMinOps,
  HMM_DMIRROR_MEMORY_DEVICE,
  type HmmDmirrorCmd,
  userLoad,
} from '../../linux/index.js';

const command = (addr: number, value = 0): HmmDmirrorCmd => ({
  addr,
  npages: 1,
  ptr: [value],
  cpages: 0,
  faults: 0,
});

/**
 * test_hmm leaves the events of its own migrations alone, since it knows where the pages go. But a fault of the device
 * that is under way does not know: it takes its number before the migration, and nothing has changed that number when it
 * maps the page that is not there any more. And what the mirror has mapped of RAM stays mapped while that is copied.
 * A fault that finds a page in the device's own memory is asked about with a driver that enters what stands for it: 6.12's
 * enters the device-private page, for which the kernel has no mapping to read it by, so that it ends there at once.
 */
export default scenario({
  id: 'N-32b',
  family: 'interval-notifiers',
  title: "events of a driver's own migrations",
  question: 'May a driver leave the events of its own migrations alone, as test_hmm does?',
  machine: { cpus: 2, frames: 5, data: true, fill: 'demand', rcuCallbacks: 0, seqModulus: 8 },
  knobs: {
    'test_hmm.migrate_event': ['ignored', 'obeyed'],
    by: ['to-device', 'cpu-fault'],
    does: ['read', 'write'],
    'test_hmm.backing_page': ['entered', 'not-entered'],
  },
  bounds:
    'one page, one page of device memory; one read or write of the device beside one migration to it, or one load of a CPU that brings the page back',
  setup(m, { by }) {
    const p = m.process('P', { cpus: [0, 1] });
    const x = p.mmap({ pages: 1, touched: true });
    m.pages(x)[0]!.frame.data!.init(7);
    const gpu = m.device('gpu0', { mirrors: p });
    const mdevice = new DmirrorDevice(m.kernel, 'hmm_dmirror0', 0, {
      zone_device_type: HMM_DMIRROR_MEMORY_DEVICE.PRIVATE,
      chunkPages: 1,
    });
    const dmirror = new Dmirror(m.kernel, gpu, p.mm, mdevice);
    dmirror.notifier = p.intervalNotifier({ start: 0, end: p.mm.space.pages }, new DmirrorMinOps(dmirror));
    if (by === 'cpu-fault') {
      const { pagemap } = mdevice.devmem_chunks[0]!;
      const page = m.inDeviceMemory(p, x.start, pagemap, undefined, { backed: true });
      page.zone_device_mirror!.init(dmirror.number + 1);
      mdevice.free_pages.init(0);
    }
    return { x, dmirror };
  },
  agents: ({ x, dmirror }, { by, does }) => ({
    *device() {
      const cmd = command(x.start, 5);
      if (does === 'write') yield* dmirror_write(dmirror, cmd);
      yield* dmirror_read(dmirror, cmd);
      yield* claim(
        cmd.ptr[0] === (does === 'write' ? 5 : 7),
        'DATA',
        'the device loads what was not stored last',
      );
      see('answered');
    },
    *mover() {
      if (by === 'to-device') yield* dmirror_migrate_to_device(dmirror, command(x.start));
      else yield* userLoad(x.start);
      see('moved');
    },
  }),
  sometimes: ['answered', 'moved'],
  expect: {
    base: violates('FRAME-REUSE'),
    'does=write': violates('DATA'),
    'by=cpu-fault': violates('SPTE-COHERENT', { reports: ['DATA-RACE'] }),
    'by=cpu-fault,test_hmm.backing_page=not-entered': violates('SPTE-COHERENT'),
    'test_hmm.migrate_event=obeyed': 'safe',
    'test_hmm.migrate_event=obeyed,machine=bcast': 'safe',
    'test_hmm.migrate_event=obeyed,does=write': 'safe',
    'test_hmm.migrate_event=obeyed,by=cpu-fault': 'safe',
  },
});
