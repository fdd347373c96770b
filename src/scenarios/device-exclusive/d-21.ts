// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import {
  folio_put,
  folio_unlock,
  madvise_dontneed,
  make_device_exclusive_range,
  mmap_read_lock,
  mmap_read_unlock,
} from '../../linux/index.js';

/**
 * A call for a range does not fail as a whole when one of its pages was replaced meanwhile: that page's slot is empty,
 * the others are exclusive, and the return value is what GUP got.
 */
export default scenario({
  id: 'D-21',
  family: 'device-exclusive',
  title: 'one page of a range was replaced',
  question: 'Does make_device_exclusive_range() fail as a whole if one page was replaced?',
  machine: { cpus: 2, frames: 5, ptrsPerPte: 2 },
  knobs: { 'make.mapped_check': ['mm-and-address', 'none'] },
  bounds: 'one make_device_exclusive_range() of two pages, one MADV_DONTNEED of the first',
  setup(m) {
    const p = m.process('P', { pages: 2 });
    const x = p.mmap({ pages: 2, touched: true, dirty: true });
    return { p, x, first: m.watchMade(p, x.start) };
  },
  agents: ({ p, x, first }) => ({
    *driver() {
      yield* first.begin();
      yield* mmap_read_lock(p.mm);
      const { ret, pages } = yield* make_device_exclusive_range(p.mm, x.start, x.end, 1);
      yield* mmap_read_unlock(p.mm);
      const [one, two] = pages;
      if (ret === 2 && one === undefined && two !== undefined) see('the other one succeeds');
      if (ret === 2 && one !== undefined && two !== undefined) see('both succeed');
      yield* claim(ret === 2 && two !== undefined, 'ERRNO', 'the page that nobody touched was refused');
      if (one !== undefined) {
        yield* first.judge(one);
        yield* folio_unlock(one);
        yield* folio_put(one);
      }
      if (two === undefined) return;
      yield* folio_unlock(two);
      yield* folio_put(two);
    },
    *other() {
      yield* madvise_dontneed(x.vma, x.start, x.start + 1);
    },
  }),
  sometimes: ['the other one succeeds', 'both succeed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'make.mapped_check=none': violates('OWNER'),
  },
});
