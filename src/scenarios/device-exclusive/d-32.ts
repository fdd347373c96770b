// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, read, scenario, see, testBits, violates, write } from '../../litmus/index.js';
import {
  lru_add_drain,
  PG,
  pte_present,
  ptep_get,
  shrink_inactive_list,
  userLoad,
  VM,
} from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * Up to 6.14 the conversion takes the mapping away, and with it the page's mlock; the restore maps it again and locks it
 * again. Both go through batches of the CPU that does it. While it is exclusive the page is not locked, and can't be
 * reclaimed all the same: there is a reference too many.
 *
 * The mlock flag is a hint that may be lost where the batches of two CPUs are worked on at once; reclaim looks at the VMA
 * before it takes the page away.
 */
export default scenario({
  id: 'D-32',
  family: 'device-exclusive',
  title: 'an mlocked page through make and restore',
  question: 'Is a locked page still locked after a device has had it?',
  machine: ({ asked }) => ({ cpus: 2, frames: 3, lruBatches: true, swapSlots: asked === 'resident' ? 1 : 0 }),
  kernels: ['6.12', '6.15'],
  knobs: { load: ['after', 'any'], asked: ['flag', 'resident'], 'restore.mlock': ['on', 'off'] },
  bounds:
    'one locked page, one conversion for a device, one load after it and maybe one beside it, the batches of both CPUs drained by them; then one reclaim where that is asked',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true, vm_flags: VM.LOCKED });
    const page = p.page(x.start);
    page.flags.init(page.flags.value | PG.mlocked | PG.unevictable);
    page.mlock_count!.init(1);
    const gpu = m.device('gpu0', { mirrors: p });
    const ptep = p.ptep(x.start);
    return { x, page, ptep, driver: mirrorDriver('single', m, gpu, p, x), made: m.flag('made') };
  },
  agents: ({ x, page, ptep, driver, made }, { load, asked }) => ({
    *user() {
      if (load === 'any') {
        yield* userLoad(x.start);
        yield* lru_add_drain();
      }
      yield* awaitValue(made, 1);
      yield* userLoad(x.start);
      yield* lru_add_drain();
      if (asked === 'resident') {
        yield* shrink_inactive_list([page]);
        const there = pte_present(yield* ptep_get(ptep));
        yield* claim(there, 'MLOCK', 'reclaim has taken a page of a locked VMA');
      } else {
        const locked = yield* testBits(page.flags, PG.mlocked);
        yield* claim(locked, 'MLOCK', 'the page of a locked VMA is not locked');
        const count = yield* read(page.mlock_count!);
        yield* claim(count > 0, 'MLOCK', 'the page of a locked VMA is not counted as locked');
      }
      see('looked');
    },
    *device() {
      const err = yield* driver.fault(x.start);
      yield* lru_add_drain();
      if (err === 0) see('exclusive');
      yield* write(made, 1);
    },
  }),
  sometimes: ['looked', 'exclusive'],
  expect: {
    base: 'safe',
    'kernel=6.15': 'safe',
    'restore.mlock=off': violates('MLOCK'),
    'load=any': violates('MLOCK'),
    'load=any,kernel=6.15': 'safe',
    'load=any,asked=resident': 'safe',
    'load=any,asked=resident,kernel=6.15': 'safe',
  },
  differs: { 'load=any': 'SAFE' },
});
