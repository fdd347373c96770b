// SPDX-License-Identifier: GPL-2.0-only
import { scenario, see, violates } from '../../litmus/index.js';
import {
  EFAULT,
  folio_put,
  folio_unlock,
  make_device_exclusive_range,
  mmap_read_lock,
  mmap_read_unlock,
} from '../../linux/index.js';

/**
 * get_user_pages_remote() returns a negative error number if it gets no page at all. v5 kept it in an unsigned long and
 * went through pages[], which nobody had filled in.
 */
export default scenario({
  id: 'D-27',
  family: 'device-exclusive',
  title: 'a negative count in an unsigned long',
  question: 'What does make_device_exclusive_range() do when GUP fails for the whole range?',
  machine: { cpus: 1, frames: 2 },
  knobs: { 'make.npages': ['signed', 'unsigned'], range: ['read-only', 'writable'] },
  bounds: 'one make_device_exclusive_range() of one page, by itself',
  setup(m, { range }) {
    const p = m.process('P');
    return { p, x: p.mmap({ pages: 1, touched: true, prot: range === 'read-only' ? 'r' : 'rw' }) };
  },
  agents: ({ p, x }) => ({
    *driver() {
      yield* mmap_read_lock(p.mm);
      const { ret, pages } = yield* make_device_exclusive_range(p.mm, x.start, x.end, 1);
      yield* mmap_read_unlock(p.mm);
      see('returned');
      if (ret === -EFAULT) see('-EFAULT');
      const page = pages[0];
      if (page === undefined) return;
      yield* folio_unlock(page);
      yield* folio_put(page);
    },
  }),
  sometimes: ['returned'],
  expect: {
    base: 'safe',
    'make.npages=unsigned': violates('NO-TOUCH-FREED'),
    'make.npages=unsigned,range=writable': 'safe',
  },
});
