// SPDX-License-Identifier: GPL-2.0-only
import { claim, deviceAtomicAdd, scenario, see, violates } from '../../litmus/index.js';
import { EFAULT, move_pages, pte_page, ptep_get, task_numa_work, userStore } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * Who meets a device-exclusive entry in a page table and wants something else. The NUMA scan tells the device first, as
 * mprotect() does, and up to 6.14 makes the entry readable; the next store finds the page still exclusive to the process
 * and uses it again. UFFDIO_MOVE tells the device and then refuses.
 */
export default scenario({
  id: 'D-40',
  family: 'device-exclusive',
  title: 'the NUMA scan and UFFDIO_MOVE on a device-exclusive entry',
  question: 'What becomes of a device-exclusive entry that somebody moves or scans?',
  machine: { cpus: 2, frames: 3, ptrsPerPte: 2, data: true },
  kernels: ['6.12', '6.15'],
  knobs: {
    by: ['numa', 'move'],
    'change_protection.notifier': ['on', 'off'],
    'move_pages.exclusive': ['refused', 'moved-untold'],
  },
  bounds: 'one page that a device has, one atomic of it; one NUMA scan or UFFDIO_MOVE, then one store',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const y = p.mmap({ pages: 1 });
    const page = p.page(x.start);
    const gpu = m.device('gpu0', { mirrors: p });
    mirrorDriver('single', m, gpu, p, x);
    m.exclusive(p, x.start, gpu);
    return { p, x, y, page, gpu, ctx: m.userfaultfd([y]), ptep: p.ptep(x.start) };
  },
  agents: ({ x, y, page, gpu, ctx, ptep }, { by }) => ({
    *user() {
      if (by === 'numa') yield* task_numa_work();
      else {
        const err = yield* move_pages(ctx, y.start, x.start, 1);
        yield* claim(err === -EFAULT, 'ERRNO', 'UFFDIO_MOVE moves a device-exclusive entry');
      }
      yield* userStore(x.start, 5);
      const now = pte_page(yield* ptep_get(ptep));
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
    'change_protection.notifier=off': violates('SPTE-COHERENT'),
    'by=move,move_pages.exclusive=moved-untold': violates('OWNER'),
  },
});
