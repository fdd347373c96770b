// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import { setup_arg_pages } from '../../linux/index.js';
import { atomicAddOnce, mirrorDriver } from './drivers.js';

/**
 * exec() moves its temporary stack without the rmap locks, so an rmap walk may look for an entry where it is not yet.
 * Migration leaves such VMAs out, since an entry that it misses is never taken back. Here the entry keeps the page
 * mapped, and a page that is still mapped is refused.
 */
export default scenario({
  id: 'D-37',
  family: 'device-exclusive',
  title: "exec()'s temporary stack",
  question: 'Must the conversion leave the temporary stack of exec() out?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 2, rcuCallbacks: 0, fill: 'demand' },
  knobs: {
    'make.mmap_lock': ['held', 'not-for-walk'],
    'make.mapped_check': ['mm-and-address', 'none'],
    'make.mapcount_check': ['on', 'off'],
  },
  bounds: 'one device atomic with at most one fault of it, one relocation of the stack that it is in',
  setup(m) {
    const p = m.process('P', { cpus: [1] });
    const x = p.mmap({ pages: 1, at: 1, touched: true, dirty: true });
    const gpu = m.device('gpu0', { mirrors: p });
    return { x, gpu, mirror: mirrorDriver('test_hmm', m, gpu, p, x) };
  },
  agents: ({ x, gpu, mirror }) => ({
    *gpu0() {
      const err = yield* atomicAddOnce(mirror, gpu, x.start);
      see(err === 0 ? 'the device added' : 'refused');
    },
    *exec() {
      yield* setup_arg_pages(x.vma, 1);
    },
  }),
  // A driver that does not ask again maps the page where it was before; asked is whether a CPU still has it.
  judges: (k) => (k['make.mmap_lock'] === 'held' ? undefined : ['EXCL']),
  sometimes: ['the device added', 'refused'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'make.mmap_lock=not-for-walk': 'safe',
    'make.mmap_lock=not-for-walk,make.mapped_check=none': 'safe',
    'make.mmap_lock=not-for-walk,make.mapcount_check=off': 'safe',
    'make.mmap_lock=not-for-walk,make.mapped_check=none,make.mapcount_check=off': violates('EXCL'),
    'make.mapped_check=none,make.mapcount_check=off': 'safe',
  },
});
