// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, deviceAtomicAdd, scenario, see, violates, write } from '../../litmus/index.js';
import { dup_mmap, userfaultfd_writeprotect, userLoad } from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * Between GUP and the walk that converts the entries the page may lose its write permission. fork can't come there: it
 * holds mmap_lock for write, make_device_exclusive_range() for read. UFFDIO_WRITEPROTECT can. The conversion looks at the
 * permission of the entry that it has taken away, and refuses the page. Without that look a driver that asks whether an
 * invalidation has come between still finds out; test_hmm does not ask.
 */
export default scenario({
  id: 'D-07',
  family: 'device-exclusive',
  title: 'write protection between GUP and the walk',
  question: 'What keeps a device from a page that was write-protected after GUP had found it writable?',
  machine: { cpus: 2, frames: 5, data: true },
  knobs: {
    by: ['uffd-wp', 'fork'],
    driver: ['single', 'test_hmm'],
    'make.write_check': ['on', 'off'],
    'make.mmap_lock': ['held', 'dropped'],
  },
  bounds:
    'one conversion for a device and one atomic; beside it one UFFDIO_WRITEPROTECT, or one fork with two loads of the child',
  // Without the retry there is more than one thing wrong; asked is what the device may do to the other side.
  judges: (k) =>
    k.driver === 'single'
      ? undefined
      : k.by === 'fork'
        ? ['TLB-LIVE', 'REF-SUM']
        : ['UFFDWP', 'TLB-LIVE', 'REF-SUM'],
  setup(m, { by, driver }) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const c = m.child('C', p, { cpus: [0] });
    const gpu = m.device('gpu0', { mirrors: p });
    const ctx = by === 'uffd-wp' ? m.userfaultfd([x], { sigbus: true }) : undefined;
    if (by === 'uffd-wp') m.watchUffdWp();
    return {
      p,
      x,
      c,
      gpu,
      ctx,
      driver: mirrorDriver(driver, m, gpu, p, x),
      forked: m.flag('forked'),
    };
  },
  agents: ({ p, x, c, gpu, ctx, driver, forked }, { by }) => ({
    protector: {
      cpu: 0,
      process: by === 'fork' ? c : p,
      *run() {
        if (ctx !== undefined) {
          yield* userfaultfd_writeprotect(ctx, x.start, 1, true);
          return see('protected');
        }
        yield* dup_mmap(c.mm, p.mm);
        yield* write(forked, 1);
        const first = yield* userLoad(x.start);
        const second = yield* userLoad(x.start);
        yield* claim(first === second, 'COW-ISO', 'the child sees a store of the device of the parent');
        see('protected');
      },
    },
    *device() {
      const err = yield* driver.fault(x.start);
      if (err !== 0) return see('refused');
      if (by === 'fork') yield* awaitValue(forked, 1);
      if ((yield* deviceAtomicAdd(gpu, x.start)) !== undefined) see('the device added');
    },
  }),
  sometimes: ['protected'],
  expect: {
    base: 'safe',
    'make.write_check=off': 'safe',
    'driver=test_hmm': violates('UFFDWP'),
    'driver=test_hmm,make.write_check=off': violates('UFFDWP'),
    'by=fork,driver=test_hmm': 'safe',
    'by=fork,driver=test_hmm,make.mmap_lock=dropped': 'safe',
    'by=fork,driver=test_hmm,make.write_check=off,make.mmap_lock=dropped': violates('COW-ISO'),
  },
  differs: { 'make.write_check=off': 'UNSAFE', 'driver=test_hmm': 'SAFE' },
});
