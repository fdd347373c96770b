// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, deviceAtomicAdd, scenario, see, violates, write } from '../../litmus/index.js';
import { dup_mmap, pte_pfn, ptep_get, userStore } from '../../linux/index.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/**
 * The question of the thread: fork copies the exclusive entry, and whoever writes while the other one still refers to the
 * page gets a copy. So the page that the device works on stays with the one who writes last. The device does not stay on it
 * without the parent: each step by which the parent leaves the page is an invalidation of the parent's range.
 */
export default scenario({
  id: 'D-03',
  family: 'device-exclusive',
  title: 'who keeps the page that the device works on',
  question: 'Does a random process get the page after a fork that copies the device-exclusive entry?',
  machine: { cpus: 3, frames: 6, data: true },
  knobs: {
    fork: ['early-copy', 'copy'],
    asked: ['COW-ISO', 'ORIGINAL-STAYS', 'OWNER', 'EXCL'],
    driver: ['obeys', 'deaf-at-fork'],
  },
  kernelKnobs: ({ fork, driver }) => ({
    'cow.reuse': 'page-count',
    'fork.exclusive': fork,
    'fork.notifier': driver === 'obeys' && fork === 'copy' ? 'on' : 'off',
  }),
  judges: ({ asked }) => [asked],
  bounds:
    'one fork of a page that a device has for itself; then one store of the parent, one of the child and one atomic of the device',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const c = m.child('C', p, { cpus: [1] });
    const gpu = m.device('gpu0', { mirrors: p });
    const driver = mirrorDriver('single', m, gpu, p, x, { timeout: 1 });
    const original = p.page(x.start);
    m.exclusive(p, x.start, gpu);
    return { p, x, c, gpu, driver, original, ptep: p.ptep(x.start), forked: m.flag('forked') };
  },
  agents: ({ p, x, c, gpu, driver, original, ptep, forked }, { asked }) => ({
    parent: {
      cpu: 0,
      process: p,
      *run() {
        yield* dup_mmap(c.mm, p.mm);
        yield* write(forked, 1);
        yield* userStore(x.start, 5);
        see('parent stored');
        if (asked !== 'ORIGINAL-STAYS') return;
        const pte = yield* ptep_get(ptep);
        yield* claim(
          pte_pfn(pte) === original.pfn,
          'ORIGINAL-STAYS',
          'the parent is on another page than before fork',
        );
      },
    },
    child: {
      cpu: 1,
      process: c,
      *run() {
        yield* awaitValue(forked, 1);
        if (asked === 'OWNER') return;
        yield* userStore(x.start, 7);
        see('child stored');
      },
    },
    gpu0: {
      cpu: 2,
      process: p,
      *run() {
        yield* awaitValue(forked, 1);
        if (asked !== 'OWNER') return yield* deviceAtomicAdd(gpu, x.start);
        return yield* atomicAdd(driver, gpu, x.start, { faults: 1 });
      },
    },
  }),
  sometimes: ['parent stored'],
  matrix: { rows: 'fork', columns: 'asked' },
  expect: {
    base: 'safe',
    'asked=ORIGINAL-STAYS': 'safe',
    'asked=OWNER': 'safe',
    'asked=EXCL': 'safe',
    'fork=copy': 'safe',
    'fork=copy,asked=ORIGINAL-STAYS': violates('ORIGINAL-STAYS'),
    'fork=copy,asked=OWNER': 'safe',
    'fork=copy,asked=EXCL': 'safe',
    'fork=copy,driver=deaf-at-fork': 'safe',
    'fork=copy,asked=ORIGINAL-STAYS,driver=deaf-at-fork': violates('ORIGINAL-STAYS'),
    'fork=copy,asked=OWNER,driver=deaf-at-fork': 'safe',
    // The child's restore is told to the child's mm, where no device listens.
    'fork=copy,asked=EXCL,driver=deaf-at-fork': violates('EXCL'),
  },
  differs: { 'fork=copy,asked=OWNER,driver=deaf-at-fork': 'UNSAFE' },
});
