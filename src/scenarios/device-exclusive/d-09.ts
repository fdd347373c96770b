// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import { dup_mmap, mprotect, PG, PROT_READ, VM } from '../../linux/index.js';
import { atomicAddOnce, mirrorDriver } from './drivers.js';

/**
 * v8 kept a branch of copy_nonpresent_pte() for exclusive entries in mappings that are not copied on write. While only
 * anonymous pages are made exclusive there is no such entry.
 */
export default scenario({
  id: 'D-09',
  family: 'device-exclusive',
  title: 'where exclusive entries can stand',
  question: 'Can fork meet an exclusive entry in a mapping that is not copied on write?',
  machine: { cpus: 2, frames: 4, rcuCallbacks: 0, fill: 'demand' },
  kernels: ['6.12', 'v5', 'v8', '6.15'],
  knobs: {
    mapping: ['private', 'shared'],
    beside: ['fork', 'mprotect'],
    'make.anon_only': ['on', 'off'],
  },
  bounds:
    'one make_device_exclusive_range() beside one fork or mprotect(PROT_READ); the rmap of the shared page is that of an anonymous one',
  setup(m, { mapping }) {
    const p = m.process('P', { cpus: [1] });
    const x = p.mmap({ pages: 1, touched: true, vm_flags: mapping === 'shared' ? VM.SHARED : 0 });
    if (mapping === 'shared') {
      const { flags } = p.page(x.start);
      flags.init(flags.value & ~(PG.anon | PG.anon_exclusive | PG.swapbacked));
    }
    const c = m.child('C', p);
    const gpu = m.device('gpu0', { mirrors: p });
    m.watchExclusivePrivate();
    return { p, x, c, gpu, mirror: mirrorDriver('test_hmm', m, gpu, p, x) };
  },
  agents: ({ p, x, c, gpu, mirror }, { mapping, beside }) => ({
    *gpu0() {
      const err = yield* atomicAddOnce(mirror, gpu, x.start);
      if ((err === 0) === (mapping === 'private')) see('made exclusive if private, refused if shared');
    },
    *other() {
      if (beside === 'fork') yield* dup_mmap(c.mm, p.mm);
      else yield* mprotect(p.mm, x.vma, PROT_READ);
    },
  }),
  sometimes: ['made exclusive if private, refused if shared'],
  expect: {
    base: 'safe',
    'kernel=v5': 'safe',
    'kernel=v8': 'safe',
    'kernel=6.15': 'safe',
    'beside=mprotect': 'safe',
    'beside=mprotect,kernel=v8': 'safe',
    'mapping=shared': 'safe',
    'mapping=shared,kernel=v8': 'safe',
    'mapping=shared,kernel=6.15': 'safe',
    'mapping=shared,make.anon_only=off': violates('EXCL-PRIVATE'),
    'mapping=shared,make.anon_only=off,kernel=v5': violates('EXCL-PRIVATE'),
    'mapping=shared,make.anon_only=off,kernel=v8': violates('EXCL-PRIVATE'),
  },
});
