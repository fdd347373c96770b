// SPDX-License-Identifier: GPL-2.0-only
import { add, awaitValue, claim, dmaRead, dmaWrite, scenario, see, violates } from '../../litmus/index.js';
import {
  FOLL,
  folio_put,
  get_user_pages_remote,
  mmap_read_lock,
  mmap_read_unlock,
  mprotect,
  PROT_READ,
  userStore,
} from '../../linux/index.js';
import { deviceAtomicAdd } from '../../machine/machine.js';
import { atomicAddOnce, mirrorDriver } from './drivers.js';

/**
 * The kernel reaches user memory through the entries of the process (copy_to_user(), futex) or by GUP from another task
 * (ptrace, process_vm_writev()), with FOLL_FORCE into what is read-only. All of them meet the exclusive entry first.
 */
export default scenario({
  id: 'D-18',
  family: 'device-exclusive',
  title: 'accesses of the kernel',
  question: 'Does every way in which the kernel writes to user memory take an exclusive page back first?',
  machine: { cpus: 3, frames: 3, data: true, rcuCallbacks: 0, fill: 'demand' },
  knobs: {
    by: ['store', 'gup', 'gup-force'],
    device: ['keeps', 'asks-again'],
    'restore.event': ['exclusive', 'none'],
  },
  bounds:
    'a page that is exclusive; one device atomic, one store of a CPU or through a page that GUP has returned',
  setup(m) {
    const p = m.process('P', { cpus: [1] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const page = p.page(x.start);
    const gpu = m.device('gpu0', { mirrors: p });
    const mirror = mirrorDriver('test_hmm', m, gpu, p, x);
    m.exclusive(p, x.start, gpu);
    return { p, x, page, gpu, mirror, done: m.flag('done') };
  },
  agents: ({ p, x, page, gpu, mirror, done }, { by, device }) => ({
    *gpu0() {
      if (device === 'keeps') {
        if ((yield* deviceAtomicAdd(gpu, x.start)) !== undefined) see('the device added');
      } else yield* atomicAddOnce(mirror, gpu, x.start);
      yield* add(done, 1);
    },
    *writer() {
      if (by === 'store') yield* userStore(x.start, 7);
      else {
        if (by === 'gup-force') yield* mprotect(p.mm, x.vma, PROT_READ);
        yield* mmap_read_lock(p.mm);
        const flags = FOLL.GET | FOLL.WRITE | (by === 'gup-force' ? FOLL.FORCE : 0);
        const { pages } = yield* get_user_pages_remote(p.mm, x.start, 1, flags);
        const got = pages[0];
        if (got !== undefined) {
          yield* dmaWrite(got, 7); // copy_to_user_page(): through the kernel's own mapping
          yield* folio_put(got);
        }
        yield* mmap_read_unlock(p.mm);
      }
      yield* add(done, 1);
    },
    *judge() {
      yield* awaitValue(done, 2);
      const value = yield* dmaRead(page);
      if (value === 7) see('written');
      yield* claim(
        value === 7 || value === 8,
        'ATOMIC-SUM',
        'the atomic has overwritten what the kernel stored',
      );
    },
  }),
  sometimes: ['written'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'by=gup': 'safe',
    'by=gup,machine=bcast': 'safe',
    'by=gup-force': 'safe',
    'device=asks-again': 'safe',
    'by=gup,device=asks-again': violates('ATOMIC-SUM'),
    'by=gup-force,device=asks-again': 'safe',
    'restore.event=none': violates('EXCL'),
    'by=gup,restore.event=none': violates('EXCL'),
    'by=gup-force,restore.event=none': 'safe',
  },
  differs: { 'by=gup,device=asks-again': 'SAFE' },
});
