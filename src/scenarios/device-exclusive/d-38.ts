// SPDX-License-Identifier: GPL-2.0-only
import {
  awaitValue,
  claim,
  deviceAtomicAdd,
  read,
  scenario,
  see,
  violates,
  write,
} from '../../litmus/index.js';
import {
  folio_clear_dirty_for_io,
  folio_end_writeback,
  folio_lock,
  folio_start_writeback,
  folio_unlock,
  PG,
  VM,
} from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * Before writeback folio_mkclean() takes the write permission off the mappings of a page, so that the page stays as it is
 * while it is written out. Up to 6.14 a device-exclusive entry is no mapping: the page counts as not mapped, and nobody
 * tells the device. That is why pages of files are refused. Counted, and with a page_vma_mkclean_one() that leaves the
 * entry alone, its notifier would do.
 *
 * The page here is one of a shared mapping; its rmap goes through an anon_vma, as nothing of a file is needed.
 */
export default scenario({
  id: 'D-38',
  family: 'device-exclusive',
  title: 'writeback of a page of a file',
  question: 'Does a page of a file that a device has for itself stay as it is while it is written out?',
  machine: { cpus: 2, frames: 2, data: true },
  kernels: ['6.12', '6.15'],
  knobs: { 'make.anon_only': ['on', 'off'], mkclean: ['as-released', 'not-taught'] },
  kernelKnobs: ({ mkclean }) => (mkclean === 'not-taught' ? { 'mkclean.nonpresent': 'taken' } : {}),
  bounds: 'one page of a shared mapping, one conversion for a device, then one atomic beside one writeback',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true, vm_flags: VM.SHARED });
    const page = p.page(x.start);
    page.flags.init(PG.swapbacked | PG.lru); // that it is dirty says the entry
    const gpu = m.device('gpu0', { mirrors: p });
    return { x, page, gpu, driver: mirrorDriver('single', m, gpu, p, x), made: m.flag('made') };
  },
  agents: ({ x, page, gpu, driver, made }, k) => ({
    *writeback() {
      yield* awaitValue(made, 1);
      yield* folio_lock(page);
      const dirty = yield* folio_clear_dirty_for_io(page);
      if (dirty) yield* folio_start_writeback(page);
      yield* folio_unlock(page);
      if (!dirty) return;
      const first = yield* read(page.frame.data!);
      const second = yield* read(page.frame.data!);
      yield* claim(first === second, 'STABLE-PAGE', 'the page changes while it is written out');
      yield* folio_end_writeback(page);
      see('written out');
    },
    *device() {
      const err = yield* driver.fault(x.start);
      const refused = k['make.anon_only'] === 'on';
      yield* claim((err !== 0) === refused, 'ERRNO', 'the conversion ends otherwise');
      yield* write(made, 1);
      if ((yield* deviceAtomicAdd(gpu, x.start)) !== undefined || refused) see('answered');
    },
  }),
  sometimes: ['written out', 'answered'],
  expect: {
    base: 'safe',
    'kernel=6.15': 'safe',
    'make.anon_only=off': violates('STABLE-PAGE'),
    'make.anon_only=off,kernel=6.15': 'safe',
    'make.anon_only=off,mkclean=not-taught,kernel=6.15': violates('FRAME-REUSE'),
  },
});
