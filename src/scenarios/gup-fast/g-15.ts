// SPDX-License-Identifier: GPL-2.0-only
import { awaitValue, claim, scenario, see, violates, write } from '../../litmus/index.js';
import {
  dup_mmap,
  FOLL,
  folio_put,
  get_user_pages_fast_only,
  munmap,
  pin_user_pages_fast,
  unpin_user_page,
  userLoad,
  userStore,
} from '../../linux/index.js';

/**
 * fork() write-protects the parent's private pages, and the next write of the parent moves it to a copy. A page that a
 * device writes to must not move: fork copies pinned pages for the child at once. GUP-fast, which takes no lock that
 * fork holds, relies on two things: MMF_HAS_PINNED is set before the walk, or fork does not look at the count; and
 * write_protect_seq, read before the walk and again after it, says that fork came between.
 */
export const g15 = scenario({
  id: 'G-15',
  family: 'gup-fast',
  title: 'fork against GUP-fast that pins',
  question: 'What keeps fork from sharing a page that GUP-fast is pinning?',
  machine: ({ forks }) => ({ cpus: 2, frames: forks === 'two' ? 7 : 5 }),
  knobs: {
    forks: ['one', 'two'],
    flags: ['pin', 'get'],
    'gup.write_protect_seq': ['on', 'off'],
    'gup.has_pinned_flag': ['before-walk', 'after-walk'],
  },
  bounds: 'one pin of one writable page, one fork or two, one write of the parent after each',
  setup(m, { forks }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const c = m.child('C', p);
    const d = forks === 'two' ? m.child('D', p) : undefined;
    return { p, x, c, d, pin: m.watchPin(p.mm, x.start, { write: true }), hold: m.watchHold(p.mm, x.start) };
  },
  agents: ({ p, x, c, d, pin, hold }, k) => ({
    *pinner() {
      if (k.flags === 'get') {
        yield* pin.begin();
        const [got] = yield* get_user_pages_fast_only(x.start, 1, FOLL.WRITE);
        yield* pin.judge(got);
        if (got === undefined) return see('gave up');
        see('pinned');
        return yield* folio_put(got);
      }
      yield* hold.begin();
      const { pages } = yield* pin_user_pages_fast(x.start, 1, FOLL.WRITE);
      const page = pages[0];
      yield* hold.hold(page);
      if (page === undefined) return;
      see('pinned');
      yield* hold.release();
      yield* unpin_user_page(page);
    },
    *forker() {
      const err = yield* dup_mmap(c.mm, p.mm);
      if (err === 0) see('forked');
      if (d !== undefined) {
        yield* userStore(x.start); // the page is the parent's own again
        yield* dup_mmap(d.mm, p.mm);
      }
      yield* userStore(x.start);
    },
  }),
  sometimes: ['pinned', 'forked'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'forks=two': 'safe',
    'gup.write_protect_seq=off': violates('PIN-VALID'),
    'gup.write_protect_seq=off,machine=bcast': violates('PIN-VALID'),
    'gup.has_pinned_flag=after-walk': violates('PIN-VALID'),
    'gup.has_pinned_flag=after-walk,machine=bcast': violates('PIN-VALID'),
    'flags=get': 'safe',
    'flags=get,machine=bcast': 'safe',
    'flags=get,gup.write_protect_seq=off': 'safe',
    'flags=get,gup.write_protect_seq=off,machine=bcast': 'safe',
  },
});

/**
 * What fork stands on: the entries are write-protected under the PTLs, the TLBs of the parent flushed before fork
 * returns, and mmap_lock keeps the VMAs and page tables that it copies.
 */
export const g15b = scenario({
  id: 'G-15b',
  family: 'gup-fast',
  title: 'fork against stores and munmap of another thread',
  question: 'What keeps the child from seeing what the parent stores after fork?',
  machine: { cpus: 3, frames: 5, data: true },
  knobs: { other: ['store', 'munmap'], 'fork.flush_tlb': ['on', 'off'] },
  bounds:
    'one fork, then two loads of the child; beside it one store or one munmap of another thread of the parent',
  setup(m) {
    const p = m.process('P', { cpus: [0, 1] });
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    const c = m.child('C', p, { cpus: [2] });
    return { p, x, c, forked: m.flag('forked') };
  },
  agents: ({ p, x, c, forked }, { other }) => ({
    *other() {
      if (other === 'munmap') return yield* munmap(p.mm, x.vma);
      yield* userStore(x.start, 5);
      return see('stored');
    },
    *forker() {
      yield* dup_mmap(c.mm, p.mm);
      yield* write(forked, 1);
    },
    child: {
      cpu: 2,
      process: c,
      *run() {
        yield* awaitValue(forked, 1);
        const first = yield* userLoad(x.start);
        const second = yield* userLoad(x.start);
        yield* claim(first === second, 'COW-ISO', 'the child sees a store of the parent');
        see('the child looked');
      },
    },
  }),
  sometimes: ['the child looked'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'other=munmap': 'safe',
    'other=munmap,machine=bcast': 'safe',
    'fork.flush_tlb=off': violates('TLB-PERM'),
    'fork.flush_tlb=off,machine=bcast': violates('TLB-PERM'),
  },
});
