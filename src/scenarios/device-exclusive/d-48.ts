// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, deviceAtomicAdd, scenario, see, violates, write } from '../../litmus/index.js';
import { mprotect, PROT_READ, shrink_inactive_list, userLoad } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * A device stores, and no CPU sets a dirty bit. The page is in the swap cache and clean, its entry writable and clean.
 * After mprotect(PROT_READ) the next load restores the entry clean, and reclaim finds nothing to write out. What keeps
 * the stores is that GUP marks the folio dirty when it is asked for a page to store to. An entry that is restored
 * writable is restored dirty.
 */
export default scenario({
  id: 'D-48',
  family: 'device-exclusive',
  title: 'who marks the page dirty that a device stores to',
  question: 'Is what a device has stored still there when the page was swapped out and in?',
  machine: { cpus: 2, frames: 3, data: true, swapSlots: 1 },
  kernels: ['6.12', '6.15'],
  knobs: {
    before: ['mprotect', 'nothing'],
    page: ['cached', 'anew'],
    entry: ['clean', 'dirty'],
    'make.touch': ['on', 'off'],
  },
  bounds:
    'one page, clean and in the swap cache, or not yet there, its entry clean or dirty; one conversion with one atomic; then mprotect or not, a load, one reclaim, a load',
  setup(m, { page: kind, entry }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: entry === 'dirty' });
    const page = p.page(x.start);
    if (kind === 'cached') m.swapCache(page);
    const gpu = m.device('gpu0', { mirrors: p });
    return { p, x, page, gpu, driver: mirrorDriver('single', m, gpu, p, x), added: m.flag('added') };
  },
  agents: ({ p, x, page, gpu, driver, added }, { before }) => ({
    *user() {
      yield* awaitValue(added, 1);
      if (before === 'mprotect') yield* mprotect(p.mm, x.vma, PROT_READ);
      yield* userLoad(x.start);
      yield* shrink_inactive_list([page]);
      const value = yield* userLoad(x.start);
      yield* claim(value === 1, 'DATA', 'what the device has stored is gone');
      see('still there');
    },
    *device() {
      const err = yield* driver.fault(x.start);
      yield* claim(err === 0, 'ERRNO', 'the page could not be had');
      yield* deviceAtomicAdd(gpu, x.start);
      yield* write(added, 1);
    },
  }),
  sometimes: ['still there'],
  expect: {
    base: 'safe',
    'make.touch=off': violates('DATA'),
    'before=nothing': 'safe',
    'kernel=6.15': 'safe',
    'page=anew': 'safe',
    'page=anew,make.touch=off': 'safe',
    'entry=dirty': 'safe',
    'entry=dirty,make.touch=off': 'safe',
    'entry=dirty,kernel=6.15': 'safe',
    'make.touch=off,kernel=6.15': violates('DATA'),
    'before=nothing,make.touch=off': 'safe',
  },
});
