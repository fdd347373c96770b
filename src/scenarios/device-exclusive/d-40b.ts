// SPDX-License-Identifier: GPL-2.0-only
import { claim, scenario, see, violates } from '../../litmus/index.js';
import {
  FOLL,
  madvise_dontneed,
  move_pages,
  pin_user_pages_fast,
  unpin_user_page,
  userLoad,
} from '../../linux/index.js';
import { atomicAdd, mirrorDriver } from './drivers.js';

/**
 * UFFDIO_MOVE takes a present page to another address, with mmap_lock held for read. A page that is pinned stays: the count
 * is looked at again when the entry was cleared. What is made exclusive while it looks is refused, and what was moved
 * is no page that the device may have at the old address.
 */
export default scenario({
  id: 'D-40b',
  family: 'device-exclusive',
  title: 'UFFDIO_MOVE of a present page',
  question: 'Does UFFDIO_MOVE take a page away from a pin or a device?',
  machine: ({ beside }) => ({
    cpus: 2,
    frames: 4,
    ptrsPerPte: beside === 'move' ? 4 : 2,
    data: true,
    seqModulus: 8,
  }),
  knobs: {
    beside: ['conversion', 'pin', 'dontneed', 'move'],
    'move_pages.pinned': ['looked-at', 'not-looked-at'],
  },
  bounds:
    'one UFFDIO_MOVE of one page; beside it one device atomic, one GUP-fast pin, or one MADV_DONTNEED with a load, or another UFFDIO_MOVE to the same address',
  setup(m, { beside }) {
    const p = m.process('P', { cpus: [0, 1] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const y = p.mmap({ pages: 1 });
    const z = beside === 'move' ? p.mmap({ pages: 1, touched: true, dirty: true }) : x;
    p.page(x.start).frame.data!.init(7);
    const gpu = m.device('gpu0', { mirrors: p });
    const driver = mirrorDriver('single', m, gpu, p, x, { timeout: 1 });
    return { p, x, y, z, gpu, driver, ctx: m.userfaultfd([y]), hold: m.watchHold(p.mm, x.start) };
  },
  agents: ({ x, y, z, gpu, driver, ctx, hold }, { beside }) => ({
    *mover() {
      const moved = yield* move_pages(ctx, y.start, x.start, 1);
      if (moved !== 1) return see('refused');
      const value = yield* userLoad(y.start);
      const added = beside === 'conversion' && value === 8;
      const dropped = beside === 'dontneed' && value === 0;
      yield* claim(value === 7 || added || dropped, 'DATA', 'what was moved has other contents');
      see('moved');
    },
    *other() {
      if (beside === 'conversion') {
        yield* atomicAdd(driver, gpu, x.start);
        return;
      }
      if (beside === 'move') {
        yield* move_pages(ctx, y.start, z.start, 1);
        return;
      }
      if (beside === 'dontneed') {
        yield* madvise_dontneed(x.vma, x.start, x.end);
        yield* userLoad(x.start);
        return;
      }
      yield* hold.begin();
      const { pages } = yield* pin_user_pages_fast(x.start, 1, FOLL.WRITE);
      yield* hold.hold(pages[0]);
      if (pages[0] === undefined) return;
      yield* userLoad(x.start);
      yield* hold.release();
      yield* unpin_user_page(pages[0]);
    },
  }),
  sometimes: ['refused', 'moved'],
  expect: {
    base: 'safe',
    'beside=pin': 'safe',
    'beside=pin,machine=bcast': 'safe',
    'beside=dontneed': 'safe',
    'beside=move': 'safe',
    'beside=pin,move_pages.pinned=not-looked-at': violates('PIN-VALID'),
    'beside=pin,move_pages.pinned=not-looked-at,machine=bcast': violates('PIN-VALID'),
  },
});
