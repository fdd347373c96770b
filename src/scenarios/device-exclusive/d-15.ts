// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import { madvise_dontneed, mprotect, mremap, munmap, PROT_READ } from '../../linux/index.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/**
 * Between make and map the page is locked and referenced, and the entry goes all the same: zapping takes no folio lock.
 * The callback finds nothing to take from the device. Only a driver that asks afterwards, under the lock of its
 * callback, knows.
 */
export default scenario({
  id: 'D-15',
  family: 'device-exclusive',
  title: 'the entry goes between make and map',
  question: 'What keeps a driver from mapping a page that has been unmapped since it was made exclusive?',
  machine: ({ by }) => ({
    cpus: 2,
    ptrsPerPte: by === 'mremap' ? 2 : 1,
    frames: by === 'dontneed' ? 3 : 2,
    rcuCallbacks: by === 'munmap' ? 1 : 0,
    fill: 'demand',
  }),
  knobs: {
    by: ['dontneed', 'munmap', 'mprotect', 'mremap'],
    driver: ['nouveau', 'test_hmm'],
    'nouveau.read_retry': ['locked', 'none'],
    'test_hmm.read_retry': ['none', 'locked'],
    'test_hmm.mmap_lock': ['to-map', 'to-make'],
    asked: ['all', 'FRAME-REUSE'],
  },
  bounds:
    'one atomic of a device, whose fault is served once; one MADV_DONTNEED, munmap, mprotect or mremap of the page',
  // Who asks counts, and must not count its own event.
  kernelKnobs: (k) => (k['test_hmm.read_retry'] === 'locked' ? { 'test_hmm.owner_filter': 'on' } : {}),
  judges: ({ asked }) => (asked === 'all' ? undefined : [asked]),
  setup(m, { driver, by }) {
    const p = m.process('P', { cpus: [] });
    const x = p.mmap({ pages: 1, touched: true });
    if (by === 'mremap') m.kernel.addVma(p.mm); // for the new place
    const gpu = m.device('gpu0', { mirrors: p });
    return { p, x, gpu, mirror: mirrorDriver(driver, m, gpu, p, x, { timeout: 2 }) };
  },
  agents: ({ p, x, gpu, mirror }, { by }) => ({
    *gpu0() {
      if ((yield* atomicAdd(mirror, gpu, x.start, { faults: 1 })) === 0) see('the device added');
    },
    *other() {
      if (by === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
      else if (by === 'munmap') yield* munmap(p.mm, x.vma);
      else if (by === 'mremap') yield* mremap(p.mm, x.start, 1, x.end);
      else yield* mprotect(p.mm, x.vma, PROT_READ);
    },
  }),
  sometimes: ['the device added'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'nouveau.read_retry=none': violates('OWNER'),
    'nouveau.read_retry=none,asked=FRAME-REUSE': violates('FRAME-REUSE'),
    'by=munmap': 'safe',
    'by=munmap,nouveau.read_retry=none': violates('OWNER'),
    'by=munmap,nouveau.read_retry=none,asked=FRAME-REUSE': violates('FRAME-REUSE'),
    'by=mprotect': 'safe',
    'by=mprotect,nouveau.read_retry=none': violates('SPTE-COHERENT'),
    'by=mremap': 'safe',
    'by=mremap,nouveau.read_retry=none': violates('OWNER'),
    'driver=test_hmm': violates('OWNER'),
    'driver=test_hmm,asked=FRAME-REUSE': violates('FRAME-REUSE'),
    'driver=test_hmm,test_hmm.read_retry=locked': 'safe',
    'by=munmap,driver=test_hmm': 'safe',
    'by=munmap,driver=test_hmm,test_hmm.mmap_lock=to-make': violates('OWNER'),
    'by=mremap,driver=test_hmm': 'safe',
    'by=mremap,driver=test_hmm,test_hmm.mmap_lock=to-make': violates('OWNER'),
    'by=mprotect,driver=test_hmm': 'safe',
    'by=mprotect,driver=test_hmm,test_hmm.mmap_lock=to-make': violates('SPTE-COHERENT'),
  },
});
