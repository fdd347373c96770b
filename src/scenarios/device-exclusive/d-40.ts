// SPDX-License-Identifier: GPL-2.0-only
import { claim, deviceAtomicAdd, scenario, see, violates } from '../../litmus/index.js';
import {
  EFAULT,
  move_pages,
  mremap,
  pte_page,
  ptep_get,
  task_numa_work,
  unuse_mm,
  userLoad,
  userStore,
} from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * Who meets a device-exclusive entry in a page table and wants something else. The NUMA scan tells the device first, as
 * mprotect() does, and up to 6.14 makes the entry readable; the next store finds the page still exclusive to the process
 * and uses it again. UFFDIO_MOVE tells the device and then refuses.
 * mremap() moves the entry raw, after it has told the device; swapoff does not look at it.
 */
export default scenario({
  id: 'D-40',
  family: 'device-exclusive',
  title: 'the NUMA scan and UFFDIO_MOVE on a device-exclusive entry',
  question: 'What becomes of a device-exclusive entry that somebody moves or scans?',
  machine: ({ by }) => ({
    cpus: 2,
    frames: by === 'swapoff' ? 4 : 3,
    ptrsPerPte: 2,
    data: true,
    swapSlots: by === 'swapoff' ? 1 : 0,
  }),
  kernels: ['6.12', '6.15'],
  knobs: {
    by: ['numa', 'move', 'mremap', 'swapoff'],
    'change_protection.notifier': ['on', 'off'],
    'move_pages.exclusive': ['refused', 'moved-untold'],
  },
  bounds:
    'one page that a device has, one atomic of it; one NUMA scan, UFFDIO_MOVE, mremap() or swapoff, then one store',
  setup(m, { by }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const y = p.mmap({ pages: 1 });
    if (by === 'swapoff') m.swapOut(p, y.vma, y.start, 7);
    const page = p.page(x.start);
    const gpu = m.device('gpu0', { mirrors: p });
    mirrorDriver('single', m, gpu, p, x);
    m.exclusive(p, x.start, gpu);
    return { p, x, y, page, gpu, ctx: m.userfaultfd([y]), ptep: p.ptep(x.start), moved: p.ptep(y.start) };
  },
  agents: ({ p, x, y, page, gpu, ctx, ptep, moved }, { by }) => ({
    *user() {
      if (by === 'numa') yield* task_numa_work();
      else if (by === 'swapoff') {
        yield* unuse_mm(p.mm);
        const value = yield* userLoad(y.start);
        yield* claim(value === 7, 'DATA', 'swapoff has lost the other page');
      } else if (by === 'mremap') yield* mremap(p.mm, x.start, 1, y.start);
      else {
        const err = yield* move_pages(ctx, y.start, x.start, 1);
        yield* claim(err === -EFAULT, 'ERRNO', 'UFFDIO_MOVE moves a device-exclusive entry');
      }
      yield* userStore(by === 'mremap' ? y.start : x.start, 5);
      const now = pte_page(yield* ptep_get(by === 'mremap' ? moved : ptep));
      yield* claim(now === page, 'ORIGINAL-STAYS', 'the store went to a copy');
      see('stored');
    },
    *device() {
      if ((yield* deviceAtomicAdd(gpu, x.start)) !== undefined) see('the device added');
    },
  }),
  sometimes: ['stored', 'the device added'],
  expect: {
    base: 'safe',
    'kernel=6.15': 'safe',
    'by=move': 'safe',
    'by=move,kernel=6.15': 'safe',
    'by=mremap': 'safe',
    'by=mremap,kernel=6.15': 'safe',
    'by=swapoff': 'safe',
    'change_protection.notifier=off': violates('SPTE-COHERENT'),
    'by=move,move_pages.exclusive=moved-untold': violates('OWNER'),
  },
});
