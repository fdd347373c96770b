// SPDX-License-Identifier: GPL-2.0-only
import { type Path, scenario, see, violates } from '../../litmus/index.js';
import {
  folio_put,
  folio_unlock,
  madvise_dontneed,
  make_device_exclusive_range,
  mk_pte,
  mmap_read_lock,
  mmap_read_unlock,
  type Mm,
  userAdd,
} from '../../linux/index.js';
import { type Device, deviceAtomicAdd, deviceErase, deviceMap } from '../../machine/machine.js';
import { PTE } from '../../machine/pte.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/** What the documentation allows: maps the page, works on it, and unmaps it before it drops lock and reference. Registers no notifier. */
function* underTheLock(mm: Mm, gpu: Device, addr: number): Path<number> {
  yield* mmap_read_lock(mm);
  const { ret, pages } = yield* make_device_exclusive_range(mm, addr, addr + 1, 1);
  yield* mmap_read_unlock(mm);
  const page = pages[0];
  if (page === undefined) return ret;
  yield* deviceMap(gpu, addr, mk_pte(page, PTE.PRESENT | PTE.USER | PTE.RW | PTE.ATOMIC));
  yield* deviceAtomicAdd(gpu, addr);
  yield* deviceErase(gpu, addr, addr + 1);
  yield* folio_unlock(page);
  yield* folio_put(page);
  return 0;
}

/**
 * The comment at make_device_exclusive_range() says that the pages stay exclusive until the caller drops lock and
 * reference. That is so for the fault that would restore an entry. Whoever takes the entry away needs neither.
 */
export default scenario({
  id: 'D-52',
  family: 'device-exclusive',
  title: 'exclusive until lock and reference are dropped',
  question: 'Does a page stay exclusive as long as its lock and a reference are held?',
  machine: ({ by }) => ({
    cpus: 2,
    frames: by === 'touch' ? 2 : 3,
    data: true,
    rcuCallbacks: 0,
    fill: 'demand',
  }),
  knobs: {
    driver: ['lock', 'notifier'],
    by: ['touch', 'dontneed'],
    asked: ['all', 'OWNER'],
  },
  judges: ({ asked }) => (asked === 'all' ? undefined : [asked]),
  bounds: 'one atomic of a device; one atomic of a CPU, or MADV_DONTNEED and then that',
  setup(m, { driver }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const gpu = m.device('gpu0', { mirrors: p });
    const mirror = driver === 'lock' ? undefined : mirrorDriver('single', m, gpu, p, x, { timeout: 2 });
    return { p, x, gpu, mirror };
  },
  agents: ({ p, x, gpu, mirror }, { by }) => ({
    *cpu() {
      if (by === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
      yield* userAdd(x.start);
      see('the CPU added');
    },
    *gpu0() {
      const err =
        mirror === undefined
          ? yield* underTheLock(p.mm, gpu, x.start)
          : yield* atomicAdd(mirror, gpu, x.start, { faults: 1 });
      if (err === 0) see('the device added');
    },
  }),
  sometimes: ['the CPU added', 'the device added'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'by=dontneed': violates('OWNER'),
    'by=dontneed,machine=bcast': violates('OWNER'),
    'driver=notifier': 'safe',
    'driver=notifier,by=dontneed': 'safe',
  },
});
