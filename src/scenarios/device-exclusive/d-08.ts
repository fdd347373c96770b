// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, scenario, see, violates, write } from '../../litmus/index.js';
import { dup_mmap, userLoad, VM } from '../../linux/index.js';
import { atomicAddOnce, mirrorDriver } from './drivers.js';

/**
 * A proposal of the thread: only pages of VMAs that fork leaves out (MADV_DONTFORK), and that are mapped once, can be made
 * exclusive. Then fork never meets an exclusive entry. A page that was shared before madvise() is copied by GUP.
 */
export default scenario({
  id: 'D-08',
  family: 'device-exclusive',
  title: 'only what fork leaves out',
  question: 'Is it enough to make only pages exclusive that fork does not copy and nobody else maps?',
  machine: { cpus: 3, frames: 6, data: true, rcuCallbacks: 0, fill: 'demand' },
  knobs: {
    shared: ['no', 'yes'],
    'make.sharing': ['dontcopy', 'cow'],
    'make.gup': ['write', 'read'],
    'make.write_check': ['on', 'off'],
  },
  bounds:
    'a VMA with VM_DONTCOPY, its page forked before or not; one device atomic, one fork, one load of the child',
  setup(m, { shared }) {
    const p = m.process('P', { cpus: [1] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    if (shared === 'yes') m.child('D', p, { forked: true });
    x.vma.vm_flags.init(x.vma.vm_flags.value | VM.DONTCOPY);
    const c = m.child('C', p, { cpus: [2] });
    const gpu = m.device('gpu0', { mirrors: p });
    return { p, x, c, gpu, mirror: mirrorDriver('test_hmm', m, gpu, p, x), forked: m.flag('forked') };
  },
  agents: ({ p, x, c, gpu, mirror, forked }) => ({
    *gpu0() {
      const err = yield* atomicAddOnce(mirror, gpu, x.start);
      see(err === 0 ? 'the device added' : 'the page was refused');
    },
    *parent() {
      yield* dup_mmap(c.mm, p.mm);
      yield* write(forked, 1);
    },
    child: {
      cpu: 2,
      process: c,
      *run() {
        yield* awaitValue(forked, 1);
        const got = yield* userLoad(x.start);
        if (got === 'SIGSEGV') see('the child has nothing there');
      },
    },
  }),
  sometimes: ['the child has nothing there'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'shared=yes': 'safe',
    'make.gup=read': 'safe',
    'shared=yes,make.gup=read': 'safe',
    'shared=yes,make.gup=read,make.write_check=off': 'safe',
    'shared=yes,make.sharing=cow,make.gup=read,make.write_check=off': violates('SPTE-COHERENT'),
  },
});
