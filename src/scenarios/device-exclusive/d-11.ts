// SPDX-License-Identifier: GPL-2.0-only
import { deviceAtomicAdd, PTE, scenario, see, violates } from '../../litmus/index.js';
import { madvise_dontneed, PG, userAdd, VM } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * If shared mappings could be exclusive: the page is one, the mms that map it are many. A restore that tells only the mm
 * that faulted leaves the device of another one on the page; the entries have to go back as a group, or at least everybody
 * has to be told. No release allows it; the entries here have their rmap through one anon_vma.
 */
export default scenario({
  id: 'D-11',
  family: 'device-exclusive',
  title: 'an exclusive page of a shared mapping',
  question: 'Whom must a restore tell if the page is in the mappings of several processes?',
  machine: { cpus: 3, frames: 5, data: true },
  knobs: {
    'restore.sharers': ['revert-all', 'notify-all', 'this-entry'],
    faults: ['in-other', 'in-mirrored'],
    beside: ['nothing', 'dontneed'],
  },
  bounds:
    'one page of a shared mapping with exclusive entries in two processes, mapped by a device of the first; one atomic of the device, one add of one process; beside it, one MADV_DONTNEED of the mirrored one',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const c = m.child('C', p, { cpus: [1], forked: true });
    const page = p.page(x.start);
    page.flags.init(PG.swapbacked | PG.lru);
    for (const process of [p, c]) {
      process.mm.vmas[0]!.vm_flags.init(VM.READ | VM.WRITE | VM.SHARED);
      process.setPte(x.start, (page.pfn << PTE.PFN_SHIFT) | PTE.PRESENT | PTE.USER | PTE.RW | PTE.DIRTY);
    }
    const gpu = m.device('gpu0', { mirrors: p });
    mirrorDriver('single', m, gpu, p, x);
    m.exclusive(p, x.start, gpu, { sharers: [c] });
    m.watchSum(p, x.start, [c]);
    return { p, x, c, gpu };
  },
  agents: ({ p, x, c, gpu }, { faults, beside }) => ({
    cpu: {
      cpu: faults === 'in-other' ? 1 : 0,
      process: faults === 'in-other' ? c : p,
      *run() {
        yield* userAdd(x.start, 1);
        see('restored');
      },
    },
    ...(beside === 'dontneed' && {
      zapper: {
        cpu: 0,
        process: p,
        *run() {
          yield* madvise_dontneed(p.mm.vmas[0]!, x.start, x.end);
        },
      },
    }),
    gpu0: {
      cpu: 2,
      process: p,
      *run() {
        const old = yield* deviceAtomicAdd(gpu, x.start);
        see(old === undefined ? 'device was told' : 'device added');
      },
    },
  }),
  sometimes: ['restored', 'device was told', 'device added'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'beside=dontneed': 'safe',
    'restore.sharers=notify-all,beside=dontneed': 'safe',
    'restore.sharers=notify-all': 'safe',
    'restore.sharers=notify-all,faults=in-mirrored': 'safe',
    'restore.sharers=this-entry': violates('EXCL'),
    'restore.sharers=this-entry,machine=bcast': violates('EXCL'),
    'restore.sharers=this-entry,faults=in-mirrored': 'safe',
  },
});
