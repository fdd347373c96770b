// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, scenario, see, violates, write } from '../../litmus/index.js';
import {
  dup_mmap,
  exit_mmap,
  folio_put,
  folio_unlock,
  madvise_dontneed,
  make_device_exclusive_range,
  mmap_read_lock,
  mmap_read_unlock,
  userLoad,
  userStore,
} from '../../linux/index.js';

/**
 * A device-exclusive entry owns the reference that the entry before it had. Whether it counts as a mapping changed in
 * 6.15, and with it who takes the mapping away: the conversion, or whoever zaps the entry. Resident pages do not change
 * when an entry is made or restored.
 */
export default scenario({
  id: 'D-31',
  family: 'device-exclusive',
  title: 'counts through make, restore, fork, zap and exit',
  question:
    'Do references, map counts and resident pages add up, whatever becomes of a device-exclusive entry?',
  machine: { cpus: 2, frames: 5 },
  kernels: ['6.12', 'v5', 'v8', '5.14', '6.3', '2025-v1', '6.15'],
  knobs: {
    after: ['restore', 'zap', 'fork', 'exit'],
    zap: ['as-released', 'other-rule'],
  },
  kernelKnobs: ({ zap, kernel }) =>
    zap === 'as-released'
      ? {}
      : { 'zap.exclusive_rmap': kernel === '6.15' || kernel === '2025-v1' ? 'stays' : 'removed' },
  bounds:
    'one make_device_exclusive_range() of one page; beside it one load, MADV_DONTNEED, or fork with a store of parent and child, or after it exit of the process',
  setup(m) {
    const p = m.process('P', { cpus: [0] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const c = m.child('C', p, { cpus: [1] });
    return { p, x, c, made: m.flag('made') };
  },
  agents: ({ p, x, c, made }, { after }) => ({
    maker: {
      cpu: 1,
      process: c,
      *run() {
        yield* mmap_read_lock(p.mm);
        const { pages } = yield* make_device_exclusive_range(p.mm, x.start, x.end, 1);
        yield* mmap_read_unlock(p.mm);
        const page = pages[0];
        if (page !== undefined) {
          see('exclusive');
          yield* folio_unlock(page);
          yield* folio_put(page);
        }
        yield* write(made, 1);
        if (after !== 'fork') return;
        yield* awaitValue(made, 2);
        yield* userStore(x.start);
        yield* exit_mmap(c.mm);
      },
    },
    other: {
      cpu: 0,
      process: p,
      *run() {
        if (after === 'restore') yield* userLoad(x.start);
        else if (after === 'zap') yield* madvise_dontneed(x.vma, x.start, x.end);
        else if (after === 'fork') {
          const err = yield* dup_mmap(c.mm, p.mm);
          if (err !== 0) see('fork failed');
          yield* awaitValue(made, 1);
          yield* write(made, 2);
          yield* userStore(x.start);
        } else {
          yield* awaitValue(made, 1);
          yield* exit_mmap(p.mm);
        }
      },
    },
  }),
  sometimes: ['exclusive'],
  expect: {
    base: 'safe',
    'after=zap': 'safe',
    'after=fork': 'safe',
    'after=exit': 'safe',
    'kernel=v5': 'safe',
    'after=zap,kernel=v5': 'safe',
    'after=fork,kernel=v5': 'safe',
    'after=exit,kernel=v5': 'safe',
    'after=zap,kernel=v8': 'safe',
    'after=fork,kernel=v8': 'safe',
    'after=exit,kernel=v8': 'safe',
    'after=fork,kernel=5.14': 'safe',
    'kernel=6.15': 'safe',
    'after=zap,kernel=6.15': 'safe',
    'after=fork,kernel=6.15': 'safe',
    'after=exit,kernel=6.15': 'safe',
    'after=fork,kernel=2025-v1': 'safe',
    'after=zap,zap=other-rule': violates('MAP-SUM'),
    'after=exit,zap=other-rule': violates('MAP-SUM'),
    'after=zap,zap=other-rule,kernel=6.15': violates('MAP-SUM'),
    'after=exit,zap=other-rule,kernel=6.15': violates('MAP-SUM'),
  },
});
