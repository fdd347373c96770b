// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, type Path, scenario, see } from '../../litmus/index.js';
import {
  FOLL,
  folio_lock,
  folio_put,
  folio_trylock,
  folio_unlock,
  get_user_pages_remote,
  knob,
  make_device_exclusive_range,
  mmap_read_lock,
  mmap_read_unlock,
  type Page,
  userLoad,
} from '../../linux/index.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/**
 * The driver holds the folio lock while it waits for its mutex, and its callback is called with the folio lock held and
 * takes the mutex. That is one order, as long as the callback does not want the folio lock.
 */
export const d29 = scenario({
  id: 'D-29',
  family: 'device-exclusive',
  title: 'folio lock and driver lock',
  question: 'May the callback of a driver lock the page that the driver has made exclusive?',
  machine: { cpus: 2, frames: 2, rcuCallbacks: 0, fill: 'demand' },
  knobs: { callback: ['mutex', 'folio-lock'], driver: ['nouveau', 'test_hmm', 'single'] },
  kernelKnobs: ({ callback }) => {
    const value = callback === 'mutex' ? 'mutex' : 'folio';
    return { 'nouveau.callback_lock': value, 'test_hmm.callback_lock': value };
  },
  bounds:
    'a page that a device has for itself; one load of a CPU, and one atomic of the device whose fault is served once',
  setup(m, { driver, callback }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true });
    const gpu = m.device('gpu0', { mirrors: p });
    m.exclusive(p, x.start, gpu);
    return { x, gpu, mirror: mirrorDriver(driver, m, gpu, p, x, { callback, timeout: 1 }) };
  },
  agents: ({ x, gpu, mirror }) => ({
    *cpu() {
      yield* userLoad(x.start);
      see('the CPU loaded');
    },
    *gpu0() {
      if ((yield* atomicAdd(mirror, gpu, x.start, { faults: 1 })) === 0) see('the device added');
    },
  }),
  sometimes: ['the CPU loaded', 'the device added'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'driver=test_hmm': 'safe',
    'driver=single': 'safe',
    'callback=folio-lock': deadlocks({ reports: ['LOCK-ORDER'] }),
    'callback=folio-lock,driver=test_hmm': deadlocks({ reports: ['LOCK-ORDER'] }),
    'callback=folio-lock,driver=single': deadlocks({ reports: ['LOCK-ORDER'] }),
  },
});

/** As make_device_exclusive_range() locks a page. */
function* lockPage(page: Page): Path<boolean> {
  if (knob('make.folio_lock') === 'trylock') return yield* folio_trylock(page);
  yield* folio_lock(page);
  return true;
}

/** A range is made exclusive page by page, and each page stays locked: two callers need one order, or must not wait. */
export const d29b = scenario({
  id: 'D-29b',
  family: 'device-exclusive',
  title: 'two pages made exclusive in two orders',
  question: 'May make_device_exclusive_range() wait for the lock of a page while it holds that of another?',
  machine: { cpus: 2, frames: 3, ptrsPerPte: 2, rcuCallbacks: 0, fill: 'demand' },
  knobs: { 'make.folio_lock': ['trylock', 'killable'] },
  bounds: 'one call for two pages; one caller that locks the second page, then the first, in the same way',
  setup(m) {
    const p = m.process('P', { cpus: [] });
    return { p, x: p.mmap({ pages: 2, touched: true }) };
  },
  agents: ({ p, x }) => ({
    *upward() {
      yield* mmap_read_lock(p.mm);
      const { pages } = yield* make_device_exclusive_range(p.mm, x.start, x.end, 1);
      yield* mmap_read_unlock(p.mm);
      if (pages.length === 2 && pages.includes(undefined)) see('refused');
      for (const page of pages) {
        if (page === undefined) continue;
        yield* folio_unlock(page);
        yield* folio_put(page);
      }
    },
    *downward() {
      yield* mmap_read_lock(p.mm);
      const { pages } = yield* get_user_pages_remote(p.mm, x.start, 2, FOLL.GET | FOLL.WRITE);
      yield* mmap_read_unlock(p.mm);
      const second = yield* lockPage(pages[1]!);
      const first = second && (yield* lockPage(pages[0]!));
      if (second && !first) see('refused');
      if (first) yield* folio_unlock(pages[0]!);
      if (second) yield* folio_unlock(pages[1]!);
      for (const page of pages) yield* folio_put(page);
    },
  }),
  sometimes: ['refused'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'make.folio_lock=killable': deadlocks({ reports: ['LOCK-ORDER'] }),
  },
});
