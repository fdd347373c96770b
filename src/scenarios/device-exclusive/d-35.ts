// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, deviceAtomicAdd, scenario, see, violates, write } from '../../litmus/index.js';
import { try_to_merge_with_ksm_page, userLoad, userStore, VM } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * KSM's write_protect_page() takes what page_vma_mapped_walk() finds for a present entry, and up to 6.14 that may be a
 * device-exclusive one. It backs out all the same, by luck: the entry counts as no mapping, so there is a reference too
 * many. With the mapping counted and the function not taught, it goes on.
 *
 * The others of D-35 need no run: uprobes' __replace_page() holds mmap_lock for write, which make_device_exclusive_range()
 * holds for read; page_idle and DAMON look at the accessed bit only; page_mkclean() is D-38.
 */
export default scenario({
  id: 'D-35',
  family: 'device-exclusive',
  title: 'KSM meets a device-exclusive entry',
  question: 'What does write_protect_page() do to a device-exclusive entry?',
  machine: { cpus: 3, frames: 5, data: true, ksmNodes: 1 },
  kernels: ['6.12', '6.15'],
  knobs: {
    write_protect_page: ['as-released', 'not-taught'],
    page: ['exclusive', 'present'],
    user: ['after', 'beside'],
  },
  kernelKnobs: ({ write_protect_page }) =>
    write_protect_page === 'not-taught' ? { 'ksm.nonpresent': 'taken' } : {},
  bounds:
    'one page that ksmd has picked and a device has got or gets, one merge with a KSM page, one atomic, then one store of the process if the device had it; or beside all that a load and a store',
  setup(m, { page: how }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, vm_flags: VM.MERGEABLE });
    const page = p.page(x.start);
    const q = m.process('Q', { cpus: [] });
    const y = q.mmap({ pages: 1, touched: true });
    const kpage = q.page(y.start);
    m.ksmPage(q, y, kpage);
    const gpu = m.device('gpu0', { mirrors: p });
    const driver = mirrorDriver('single', m, gpu, p, x, { timeout: 1 });
    if (how === 'exclusive') m.exclusive(p, x.start, gpu);
    m.hold(page); // what get_mergeable_page() has taken
    return { p, x, page, kpage, gpu, driver, done: m.flag('done') };
  },
  agents: ({ p, x, page, kpage, gpu, driver, done }, k) => ({
    *user() {
      if (k.user === 'beside') {
        yield* userLoad(x.start);
        yield* userStore(x.start, 3);
        return;
      }
      if (k.page === 'present') return;
      yield* awaitValue(done, 1);
      yield* userStore(x.start, 3);
    },
    *ksmd() {
      const err = yield* try_to_merge_with_ksm_page(p.mm, x.start, page, kpage);
      see(err === 0 ? 'merged' : 'not merged');
      yield* write(done, 1);
    },
    *device() {
      if (k.page === 'present') yield* driver.fault(x.start);
      if ((yield* deviceAtomicAdd(gpu, x.start)) !== undefined) see('the device added');
    },
  }),
  sometimes: ['not merged', 'the device added'],
  expect: {
    base: 'safe',
    'kernel=6.15': 'safe',
    'page=present': 'safe',
    'page=present,kernel=6.15': 'safe',
    'user=beside': 'safe',
    'user=beside,kernel=6.15': 'safe',
    'write_protect_page=not-taught,kernel=6.15': violates('FRAME-REUSE'),
  },
});
