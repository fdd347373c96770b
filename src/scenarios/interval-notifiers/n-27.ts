// SPDX-License-Identifier: GPL-2.0-only
import {
  type Device,
  deviceStore,
  type Path,
  type Process,
  type Region,
  scenario,
  see,
  type Testbed,
  violates,
} from '../../litmus/index.js';
import {
  Dmirror,
  dmirror_fault,
  DmirrorMinOps,
  FAULT_ACCESS,
  madvise_dontneed,
  mmget_not_zero,
  mmput,
  mprotect,
  munmap,
  NouveauMnOps,
  nouveau_svm_fault,
  NouveauSvmm,
  NouveauSvmMniOps,
  VM,
} from '../../linux/index.js';

/** A GPU, and what serves its fault at an address: returns whether it may try again. */
interface Driver {
  readonly gpu: Device;
  fault(addr: number): Path<boolean>;
}

/** nouveau: a subscription for the time of a fault, and perhaps a classic one for good. */
function nouveau(m: Testbed, p: Process, x: Region, registered: boolean): Driver {
  const gpu = m.device('gpu0', { mirrors: p });
  const svmm = new NouveauSvmm(m.kernel, gpu, p.mm);
  p.mmuNotifier(new NouveauMnOps(svmm), { registered });
  const notifier = p.intervalNotifier(x, new NouveauSvmMniOps(svmm), { inserted: false, ready: true });
  return { gpu, fault: (addr) => nouveau_svm_fault(svmm, addr, FAULT_ACCESS.WRITE, notifier) };
}

/** test_hmm: one subscription to the whole mm. */
function testHmm(m: Testbed, p: Process): Driver {
  const gpu = m.device('gpu0', { mirrors: p });
  const dmirror = new Dmirror(m.kernel, gpu, p.mm);
  const all = { start: 0, end: p.mm.space.pages };
  dmirror.notifier = p.intervalNotifier(all, new DmirrorMinOps(dmirror));
  return {
    gpu,
    *fault(addr) {
      const counted = p.mm.mm_users !== undefined;
      if (counted && !(yield* mmget_not_zero(p.mm))) return false;
      const err = yield* dmirror_fault(dmirror, addr, addr + 1, true);
      if (counted) yield* mmput(p.mm);
      return err === 0;
    },
  };
}

const stale = violates('SPTE-COHERENT');

/**
 * Two ways to keep a device in step. test_hmm subscribes to the whole mm, and its callback takes entries away. nouveau's
 * callback takes nothing away: it only counts, for the fault that is being served. What takes entries away, then and
 * later, is a classic notifier, and that works since it is called last: by then no fault can pass its retry any more.
 */
export default scenario({
  id: 'N-27',
  family: 'interval-notifiers',
  title: 'a notifier for each fault, or one for all of the mm',
  question: 'What does nouveau rely on, whose subscription is gone when its fault is served?',
  machine: { cpus: 2, frames: 3, fill: 'demand' },
  knobs: {
    driver: ['nouveau', 'test_hmm'],
    classic: ['registered', 'none'],
    '__mmu_notifier_invalidate_range_start.order': ['interval-first', 'classic-first'],
    'nouveau.read_retry': ['locked', 'none'],
    'nouveau.release': ['none', 'unmaps'],
    by: ['dontneed', 'munmap', 'mprotect', 'exit'],
  },
  kernelKnobs: ({ by }) => (by === 'exit' ? { 'mmu_gather.table_free': 'with-flush' } : {}),
  bounds:
    'two faults of the GPU for a store, one after the other, and the store; one MADV_DONTNEED, munmap or mprotect of the page, or the exit of the process',
  setup(m, { driver, classic, by }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    if (by === 'exit') p.users(1);
    return { p, x, ...(driver === 'nouveau' ? nouveau(m, p, x, classic === 'registered') : testHmm(m, p)) };
  },
  agents: ({ p, x, gpu, fault }, { by }) => ({
    *worker() {
      for (let round = 0; round < 2; round++) if (!(yield* fault(x.start))) return;
      if ((yield* deviceStore(gpu, x.start, 1)) !== undefined) see('the GPU stored');
    },
    *unmapper() {
      if (by === 'exit') yield* mmput(p.mm);
      else if (by === 'munmap') yield* munmap(p.mm, x.vma);
      else if (by === 'mprotect') yield* mprotect(p.mm, x.vma, VM.READ);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['the GPU stored'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'by=munmap': 'safe',
    'by=mprotect': 'safe',
    'driver=test_hmm': 'safe',
    'driver=test_hmm,machine=bcast': 'safe',
    'driver=test_hmm,by=munmap': 'safe',
    'driver=test_hmm,by=mprotect': 'safe',
    'classic=none': stale,
    'classic=none,by=munmap': stale,
    'classic=none,by=mprotect': stale,
    '__mmu_notifier_invalidate_range_start.order=classic-first': stale,
    '__mmu_notifier_invalidate_range_start.order=classic-first,by=munmap': stale,
    '__mmu_notifier_invalidate_range_start.order=classic-first,by=mprotect': stale,
    'driver=test_hmm,__mmu_notifier_invalidate_range_start.order=classic-first': 'safe',
    'nouveau.read_retry=none': stale,
    // exit_mmap() takes the classic subscription off the list before it unmaps, and nouveau has no release(): D-45.
    'by=exit': stale,
    'nouveau.release=unmaps,by=exit': 'safe',
    'driver=test_hmm,by=exit': 'safe',
  },
});
