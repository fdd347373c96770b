// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import { madvise_dontneed, userStore } from '../../linux/index.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/**
 * Instead of GUP and an rmap walk that may find something else: one walk that looks the entry up and converts it before
 * it lets the PTL go, as v2 did and as 6.15 does again after GUP. What was looked up can't change under the lock.
 */
export default scenario({
  id: 'D-20',
  family: 'device-exclusive',
  title: 'one walk that finds and converts',
  question: 'Is it enough to look the entry up and convert it under one hold of its lock?',
  machine: { cpus: 2, frames: 5, data: true },
  kernels: ['6.12', 'v2', '6.15'],
  knobs: {
    'make.walk': ['folio-walk', 'own-walk', 'two-holds'],
    other: ['dontneed', 'refault'],
  },
  bounds: 'one driver that maps one page for one device atomic; one MADV_DONTNEED, with a store after it',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const gpu = m.device('gpu0', { mirrors: p });
    return { p, x, gpu, driver: mirrorDriver('single', m, gpu, p, x, { timeout: 1 }) };
  },
  agents: ({ p, x, gpu, driver }, { other }) => ({
    cpu: {
      cpu: 0,
      process: p,
      *run() {
        yield* madvise_dontneed(x.vma, x.start, x.end);
        if (other === 'refault') yield* userStore(x.start, 5);
      },
    },
    gpu0: {
      cpu: 1,
      process: p,
      *run() {
        const err = yield* atomicAdd(driver, gpu, x.start, { faults: 1 });
        if (err === 0) see('device added');
      },
    },
  }),
  sometimes: ['device added'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'other=refault': 'safe',
    'make.walk=own-walk': 'safe',
    'kernel=v2': 'safe',
    'other=refault,kernel=v2': 'safe',
    'other=refault,kernel=6.15': 'safe',
    'make.walk=own-walk,other=refault': 'safe',
    // What was zapped in between is counted as a mapping that the conversion takes away again.
    'make.walk=two-holds': violates('MAP-SUM'),
    'make.walk=two-holds,other=refault': violates('MAP-SUM'),
  },
});
