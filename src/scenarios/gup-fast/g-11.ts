// SPDX-License-Identifier: GPL-2.0-only
import { type Path, read, scenario, see, violates } from '../../litmus/index.js';
import {
  FOLL,
  folio_put,
  get_user_pages_fast_only,
  local_irq_restore,
  local_irq_save,
  madvise_dontneed,
  pte_none,
  ptep_get_lockless,
  userStore,
} from '../../linux/index.js';

const torn = violates('NO-TORN');

/**
 * Two-word entries: the comment above ptep_get_lockless() rests on two things: an entry never goes from present to
 * present without passing none and a TLB flush, and the flush can't return while the reader has interrupts off. The
 * writer takes the entry from A through none to B, with equal flags (MADV_DONTNEED, then a store) or with others (a COW
 * fault: A was write-protected). `words`: whether frames differ in the high word only, or in both. `frame`: whether
 * somebody else keeps the frame of A, so that B is another one, or it is freed and may come back as B, with equal low words then. Frame 0 is somebody
 * else's: it is what a high word of 0 names.
 */
export const g11 = scenario({
  id: 'G-11',
  family: 'gup-fast',
  title: 'Two-word PTEs (PAE)',
  question: 'Which reads of a two-word PTE never return a value that the entry did not have?',
  machine: ({ words }) => ({ cpus: 2, frames: 4, pae: words }),
  knobs: {
    'pae.read': ['low-high-low', 'low-high', 'high-low'],
    irqs: ['off', 'on'],
    words: ['equal-low', 'different-low'],
    writer: ['dontneed', 'cow'],
    frame: ['kept', 'freed'],
    'cow.order': ['clear-flush-set', 'set-flush'],
    'pae.write': ['high-low', 'low-high'],
  },
  bounds: 'one lockless read; one MADV_DONTNEED and store, or one COW fault (A, none, B)',
  setup(m, { writer, frame }) {
    m.fixFrames();
    m.reserve();
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: true, shared: writer === 'cow' });
    if (writer === 'dontneed' && frame === 'kept') m.hold(p.page(x.start));
    return { x, ptep: p.ptep(x.start), watch: m.watchTorn() };
  },
  agents: ({ x, ptep, watch }, { irqs, writer }) => ({
    *reader(): Path {
      yield* watch.begin();
      if (irqs === 'off') yield* local_irq_save();
      const pte = yield* ptep_get_lockless(ptep);
      if (irqs === 'off') yield* local_irq_restore();
      yield* watch.judge(pte);
      see(pte_none(pte) ? 'none' : 'present');
    },
    *writer(): Path {
      if (writer === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
      yield* userStore(x.start);
      see('written');
    },
  }),
  sometimes: ['present', 'written'],
  expect: {
    base: 'safe',
    'words=different-low': 'safe',
    'writer=cow': 'safe',
    'pae.read=high-low': torn,
    'pae.read=low-high': torn,
    'pae.read=high-low,words=different-low': torn,
    'pae.read=low-high,words=different-low': torn,
    'irqs=on': torn,
    'machine=bcast': torn,
    'irqs=on,words=different-low': 'safe',
    'words=different-low,machine=bcast': 'safe',
    'irqs=on,words=different-low,frame=freed': torn,
    'words=different-low,frame=freed,machine=bcast': torn,
    'words=different-low,frame=freed': 'safe',
    'irqs=on,writer=cow': 'safe',
    'writer=cow,machine=bcast': 'safe',
    'words=different-low,writer=cow,cow.order=set-flush': torn,
    'writer=cow,cow.order=set-flush': 'safe',
    // The hardware walker fills the torn entry before the reader meets it: NO-TORN comes later.
    'pae.write=low-high': violates('TLB-PERM'),
    'words=different-low,pae.write=low-high': violates('TLB-LIVE'),
  },
  differs: {
    'irqs=on,words=different-low,frame=freed': 'SAFE',
    'words=different-low,frame=freed,machine=bcast': 'SAFE',
  },
});

/**
 * The caller's recheck catches what the read let through; but the page of the torn frame number was referenced by then.
 * Frame 0 is that page: a bystander's.
 */
export const g11b = scenario({
  id: 'G-11b',
  family: 'gup-fast',
  title: 'Two-word PTEs: GUP-fast after its recheck',
  question: 'Does the recheck of gup_fast_pte_range() reject a torn two-word PTE?',
  machine: { cpus: 3, frames: 4, pae: 'equal-low', fill: 'eager' },
  knobs: { 'gup.pte_recheck': ['after-ref', 'none'], asked: ['PIN-RIGHT', 'PIN-WEAK'] },
  machines: ['bcast'],
  bounds: 'one get_user_pages_fast_only() of one page, one MADV_DONTNEED and store (A, none, B)',
  setup(m) {
    m.fixFrames();
    const bystander = m.reserve();
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true, dirty: true });
    m.hold(p.page(x.start));
    return { bystander, x, pin: m.watchPin(p.mm, x.start) };
  },
  agents: ({ bystander, x, pin }, { asked }) => ({
    *reader(): Path {
      yield* pin.begin();
      const pages = yield* get_user_pages_fast_only(x.start, 1, FOLL.GET);
      yield* pin.judge(pages[0], asked);
      if (pages[0] === undefined) return see('fell back');
      see('got the page');
      yield* folio_put(pages[0]);
    },
    *writer(): Path {
      yield* madvise_dontneed(x.vma, x.start, x.end);
      yield* userStore(x.start);
    },
    *bystander(): Path {
      if ((yield* read(bystander._refcount)) > 1) see('a reference on the page of a torn entry');
    },
  }),
  sometimes: ['got the page', 'fell back', 'a reference on the page of a torn entry'],
  expect: {
    base: 'safe',
    'asked=PIN-WEAK': 'safe',
    'gup.pte_recheck=none': violates('PIN-RIGHT'),
    // Page A is mapped during the call and never freed, so only the torn entry can break this.
    'gup.pte_recheck=none,asked=PIN-WEAK': violates('PIN-WEAK'),
  },
});
