// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import { mmget_not_zero, mmput } from '../../linux/index.js';
import { atomicAddOnce, mirrorDriver } from './drivers.js';

/**
 * The process exits while its device has pages, or asks for one. Subscribers hear RELEASE before the page tables go, and
 * UNMAP around that. A driver that serves a fault holds mm_users: so exit begins after it, or the fault is refused.
 */
export default scenario({
  id: 'D-45',
  family: 'device-exclusive',
  title: 'exit',
  question: 'Can a device keep a page, or get one, of a process that exits?',
  machine: { cpus: 2, frames: 3, data: true, rcuCallbacks: 0, fill: 'demand' },
  kernels: ['6.12', '6.15'],
  knobs: {
    driver: ['single', 'nouveau', 'test_hmm'],
    page: ['exclusive', 'present'],
    mm_users: ['held', 'not-held'],
    'nouveau.release': ['none', 'unmaps'],
  },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  bounds: 'one device atomic with at most one fault of it, the exit of the process',
  setup(m, { driver, page }) {
    const p = m.process('P', { cpus: [1] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    p.users(1);
    const gpu = m.device('gpu0', { mirrors: p });
    const mirror = mirrorDriver(driver, m, gpu, p, x, { timeout: 1 });
    if (page === 'exclusive') m.exclusive(p, x.start, gpu);
    return { p, x, gpu, mirror };
  },
  agents: ({ p, x, gpu, mirror }, { mm_users }) => ({
    *gpu0() {
      const held = mm_users === 'held';
      if (held && !(yield* mmget_not_zero(p.mm))) return see('the mm has gone');
      const err = yield* atomicAddOnce(mirror, gpu, x.start);
      if (err === 0) see('the device added');
      if (held) yield* mmput(p.mm);
    },
    *exit() {
      yield* mmput(p.mm);
    },
  }),
  sometimes: ['the device added'],
  // Without mm_users free_pgtables() meets an entry as well, after the last range (NOTIFY-ORDER); asked is about the device.
  judges: ({ mm_users }) => (mm_users === 'held' ? undefined : ['SPTE-COHERENT']),
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'page=present': 'safe',
    'driver=test_hmm': 'safe',
    'driver=test_hmm,page=present': 'safe',
    'page=present,kernel=6.15': 'safe',
    // exit_mmap() takes the classic subscription off the list before it unmaps, and nouveau has no release().
    'driver=nouveau': violates('FRAME-REUSE'),
    'driver=nouveau,machine=bcast': violates('FRAME-REUSE'),
    'driver=nouveau,page=present': violates('FRAME-REUSE'),
    'driver=nouveau,nouveau.release=unmaps': 'safe',
    'driver=nouveau,page=present,nouveau.release=unmaps': 'safe',
    'mm_users=not-held': violates('SPTE-COHERENT'),
    'driver=nouveau,page=present,mm_users=not-held,nouveau.release=unmaps': violates('SPTE-COHERENT'),
    'driver=test_hmm,mm_users=not-held': violates('SPTE-COHERENT'),
    'page=present,mm_users=not-held,kernel=6.15': violates('SPTE-COHERENT'),
  },
  differs: {
    'driver=nouveau': 'SAFE',
    'driver=nouveau,machine=bcast': 'SAFE',
    'driver=nouveau,page=present': 'SAFE',
  },
});
