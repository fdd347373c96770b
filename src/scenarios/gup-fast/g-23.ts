// SPDX-License-Identifier: GPL-2.0-only
import {
  awaitValue,
  claim,
  dmaRead,
  dmaWrite,
  type Path,
  scenario,
  see,
  violates,
  write,
} from '../../litmus/index.js';
import {
  alloc_page,
  dup_mmap,
  FOLL,
  folio_put,
  get_user_pages_fast,
  munmap,
  type Page,
  pin_user_pages_fast,
  unpin_user_page,
  userLoad,
  userStore,
} from '../../linux/index.js';

/** The driver under test: looks the buffer up, for a device to write to. */
function* takePage(flags: 'pin' | 'get', addr: number): Path<Page | undefined> {
  if (flags === 'pin') return (yield* pin_user_pages_fast(addr, 1, FOLL.WRITE)).pages[0];
  return (yield* get_user_pages_fast(addr, 1, FOLL.WRITE)).pages[0];
}

/** The driver under test: gives the buffer back. */
function* releasePage(flags: 'pin' | 'get', page: Page): Path {
  if (flags === 'pin') yield* unpin_user_page(page);
  else yield* folio_put(page);
}

/**
 * O_DIRECT read into a buffer that the process unmaps while the device is at work. The reference outlives the mapping:
 * the frame goes to nobody else before the driver gives it back, so the data lands in it and nowhere else.
 */
export const g23 = scenario({
  id: 'G-23',
  family: 'gup-fast',
  title: 'O_DIRECT against munmap',
  question: 'Where does the data go if the buffer is unmapped while the device writes to it?',
  machine: { cpus: 2, frames: 4, data: true },
  knobs: {
    flags: ['pin', 'get'],
    release: ['after-io', 'before-io'],
  },
  bounds: 'one read of one page by a device, one munmap, one allocation by somebody else',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    return { p, x, hold: m.watchHold(p.mm, x.start) };
  },
  agents: ({ p, x, hold }, { flags, release }) => ({
    *reader() {
      yield* hold.begin();
      const page = yield* takePage(flags, x.start);
      yield* hold.hold(page);
      if (page === undefined) return see('was unmapped before');
      if (release === 'after-io') {
        yield* dmaWrite(page, 7);
        yield* claim((yield* dmaRead(page)) === 7, 'DATA', 'what the device wrote is not there');
        see('data landed');
      }
      yield* hold.release();
      yield* releasePage(flags, page);
      if (release === 'before-io') yield* dmaWrite(page, 7);
    },
    *unmapper() {
      yield* munmap(p.mm, x.vma);
      const page = yield* alloc_page();
      if (page === undefined) return;
      yield* dmaWrite(page, 5); // its new owner uses it
      yield* claim((yield* dmaRead(page)) === 5, 'DATA', 'data of another owner appears in the page');
      yield* folio_put(page);
      see('unmapped and allocated');
    },
  }),
  sometimes: ['unmapped and allocated'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'flags=get': 'safe',
    'flags=get,machine=bcast': 'safe',
    'release=before-io': violates('FRAME-REUSE'),
    'release=before-io,machine=bcast': violates('FRAME-REUSE'),
  },
});

/**
 * O_DIRECT read with a fork and a write of the parent between the look-up of the buffer and the I/O. fork shares the
 * page, and the parent's write moves the parent to a copy: the device writes to a page that only the child sees. A page
 * that is pinned (FOLL_PIN) is not shared: fork copies it for the child at once.
 */
export const g23b = scenario({
  id: 'G-23b',
  family: 'gup-fast',
  title: 'O_DIRECT against fork',
  question: 'Does the parent see what the device wrote, if it forked and wrote before the I/O?',
  machine: { cpus: 2, frames: 5, data: true },
  knobs: { flags: ['pin', 'get'] },
  bounds:
    'one read of one page by a device; beside the look-up one fork, then one write of the parent, then the I/O',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const c = m.child('C', p);
    return { p, x, c, written: m.flag('written') };
  },
  agents: ({ p, x, c, written }, { flags }) => ({
    *reader() {
      const page = yield* takePage(flags, x.start);
      if (page === undefined) return;
      yield* awaitValue(written, 1); // the I/O takes its time
      yield* dmaWrite(page, 7);
      const seen = yield* userLoad(x.start);
      yield* claim(seen === 7, 'DATA', 'the parent does not see what the device wrote');
      see('data arrived');
      yield* releasePage(flags, page);
    },
    *forker() {
      if ((yield* dup_mmap(c.mm, p.mm)) === 0) see('forked');
      yield* userStore(x.start, 5);
      yield* write(written, 1);
    },
  }),
  sometimes: ['data arrived', 'forked'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'flags=get': violates('DATA'),
    'flags=get,machine=bcast': violates('DATA'),
  },
});
