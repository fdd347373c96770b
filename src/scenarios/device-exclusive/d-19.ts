// SPDX-License-Identifier: GPL-2.0-only
import { deviceAtomicAdd, scenario, see, violates } from '../../litmus/index.js';
import {
  folio_put,
  folio_unlock,
  madvise_dontneed,
  make_device_exclusive_range,
  mmap_read_lock,
  mmap_read_unlock,
  move_pages,
  shrink_inactive_list,
  userLoad,
} from '../../linux/index.js';
import { mirrorDriver } from './drivers.js';

/**
 * Between GUP and the walk nothing but GUP's reference is held: MADV_DONTNEED, reclaim and UFFDIO_MOVE, which take
 * mmap_lock for read or not at all, may take the page away from the address. The walk notes whether it met the entry that
 * was asked for. A driver that asks for a retry would find out as well: each of them is an invalidation.
 */
export default scenario({
  id: 'D-19',
  family: 'device-exclusive',
  title: 'the page is replaced between GUP and the walk',
  question: 'What does make_device_exclusive_range() have to look at again after GUP?',
  machine: ({ other }) => ({
    cpus: 2,
    frames: 4,
    data: true,
    swapSlots: other === 'reclaim' ? 1 : 0,
    ptrsPerPte: other === 'move' ? 2 : 1,
  }),
  knobs: {
    other: ['dontneed', 'move', 'reclaim'],
    'make.mapped_check': ['mm-and-address', 'mm', 'none'],
    driver: ['no-retry', 'retry'],
    asked: ['ALL', 'EXCL'],
  },
  judges: ({ asked }) => (asked === 'ALL' ? undefined : [asked]),
  bounds:
    'one make_device_exclusive_range() of one page; beside it one MADV_DONTNEED or UFFDIO_MOVE. With reclaim: one driver with one device atomic, one reclaim and one load',
  setup(m, { other, driver }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const y = other === 'move' ? p.mmap({ pages: 1 }) : x;
    const uffd = other === 'move' ? m.userfaultfd([x, y]) : undefined;
    const page = p.page(x.start);
    const gpu = m.device('gpu0', { mirrors: p });
    const retry = driver === 'retry' ? 'locked' : 'none';
    const mirror = mirrorDriver('single', m, gpu, p, x, { timeout: 1, retry });
    return { p, x, y, uffd, page, gpu, mirror, made: m.watchMade(p, x.start) };
  },
  agents: ({ p, x, y, uffd, page, gpu, mirror, made }, { other }) => ({
    *driver() {
      if (other === 'reclaim') {
        const err = yield* mirror.fault(x.start);
        if (err === 0) see('exclusive');
        return yield* deviceAtomicAdd(gpu, x.start);
      }
      yield* made.begin();
      yield* mmap_read_lock(p.mm);
      const { pages } = yield* make_device_exclusive_range(p.mm, x.start, x.end, 1);
      yield* mmap_read_unlock(p.mm);
      const got = pages[0];
      if (got === undefined) return see('refused');
      see('exclusive');
      yield* made.judge(got);
      yield* folio_unlock(got);
      return yield* folio_put(got);
    },
    *other() {
      if (other === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
      else if (other === 'move') yield* move_pages(uffd!, y.start, x.start, 1);
      else {
        yield* shrink_inactive_list([page]);
        yield* userLoad(x.start);
      }
      see('other done');
    },
  }),
  sometimes: ['exclusive', 'other done'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'other=move': 'safe',
    'other=reclaim': 'safe',
    'make.mapped_check=none': violates('OWNER'),
    'make.mapped_check=none,machine=bcast': violates('OWNER'),
    'other=move,make.mapped_check=mm': violates('OWNER'),
    'other=move,make.mapped_check=none': violates('OWNER'),
    'other=reclaim,make.mapped_check=none': violates('OWNER'),
    'other=reclaim,make.mapped_check=none,asked=EXCL': violates('EXCL'),
    'other=reclaim,make.mapped_check=none,driver=retry': 'safe',
  },
});
