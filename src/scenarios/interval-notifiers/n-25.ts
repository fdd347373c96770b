// SPDX-License-Identifier: GPL-2.0-only
import {
  claim,
  deadlocks,
  deviceStore,
  equals,
  scenario,
  see,
  type Testbed,
  violates,
} from '../../litmus/index.js';
import {
  madvise_dontneed,
  mk_pte,
  mlx5_ib_unload,
  Mlx5ImplicitMr,
  Mlx5MnOps,
  type MmuIntervalNotifierOps,
  pagefault_implicit_mr,
  PG,
  setDmaPage,
  shrink_inactive_list,
  userLoad,
} from '../../linux/index.js';
import { PTE } from '../../machine/pte.js';

/** A card that has a page of a process mapped, and has used it. */
function card(m: Testbed) {
  const p = m.process('P');
  const x = p.mmap({ pages: 1, touched: true });
  const device = m.device('mlx5', { mirrors: p });
  const imr = new Mlx5ImplicitMr(m.kernel, device, p.mm, x);
  const page = p.page(x.start);
  const entry = mk_pte(page, PTE.PRESENT | PTE.RW);
  setDmaPage(imr.umem, x.start, entry);
  device.pte[x.start]!.init(entry);
  device.tlb[x.start]!.init(entry);
  const ops = new Mlx5MnOps(imr);
  const watched: MmuIntervalNotifierOps = {
    *invalidate(sub, range, cur_seq) {
      if (yield* equals(imr.implicit_children, 0)) see('called for an interval that is marked');
      return yield* ops.invalidate(sub, range, cur_seq);
    },
  };
  imr.umem.notifier = p.intervalNotifier(x, watched);
  return { x, imr, page };
}

/**
 * Who must not remove an interval from its callback has a work do it. The callback tears down and notes the number as
 * ever, and only marks the interval: until the work comes it is called some more times, and finds nothing to do.
 */
export const n25 = scenario({
  id: 'N-25',
  family: 'interval-notifiers',
  title: 'removal from a work queue',
  question: 'What may a callback leave to a work, if its driver has no use for the interval any more?',
  machine: { cpus: 2, frames: 2, fill: 'demand', rcuCallbacks: 0 },
  knobs: {
    'mlx5.callback': ['tears-down', 'marks-only'],
    'mlx5.remove': ['work', 'callback'],
    'mlx5.mkey_wait': ['on', 'off'],
    'mlx5.deref': ['and-wake', 'then-wake'],
    times: ['twice', 'once'],
  },
  bounds: 'a page that the card has mapped; two MADV_DONTNEED of it, or one; one fault of the card',
  setup: card,
  agents: ({ x, imr }, { times }) => ({
    *fault() {
      if ((yield* pagefault_implicit_mr(imr, x.start)) === 0) see('mapped');
    },
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
      if (times === 'twice') yield* madvise_dontneed(x.vma, x.start, x.end);
      if (yield* equals(imr.mrLife, 0)) see('removed');
    },
  }),
  sometimes: ['mapped', 'removed', 'called for an interval that is marked'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mlx5.callback=marks-only': violates('SPTE-COHERENT'),
    'mlx5.remove=callback': deadlocks({ reports: ['LOCK-ORDER'] }),
    'mlx5.mkey_wait=off,times=once': violates('SUB-LIFE'),
    'mlx5.deref=then-wake,times=once': violates('DRIVER-LIVE'),
  },
});

/** The driver is unloaded while its work is on the way, or runs. */
export const n25b = scenario({
  id: 'N-25b',
  family: 'interval-notifiers',
  title: 'unloading a driver that has a work remove intervals',
  question: 'What must a driver wait for before its code goes, whose work removes an interval?',
  machine: { cpus: 2, frames: 2, fill: 'demand', rcuCallbacks: 0 },
  knobs: { 'mlx5.unload': ['flush', 'reference', 'none'], 'mlx5.deref': ['and-wake', 'then-wake'] },
  bounds: 'a page that the card has mapped; one MADV_DONTNEED of it; the end of the driver',
  setup: card,
  agents: ({ x, imr }) => ({
    *unload() {
      yield* mlx5_ib_unload(imr);
      see('unloaded');
    },
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['unloaded'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'mlx5.unload=reference': violates('DRIVER-LIVE'),
    'mlx5.unload=none': violates('DRIVER-LIVE'),
    // Flushing helps here too, if it comes before the record is freed.
    'mlx5.deref=then-wake': 'safe',
  },
});

/**
 * What the card has stored is in no CPU's entry. The callback, in which the page is still there, says that the page is
 * dirty: else reclaim would take one that MADV_FREE has given up for what it was before.
 */
export const n25c = scenario({
  id: 'N-25c',
  family: 'interval-notifiers',
  title: 'what the card has stored',
  question: 'What must the callback say of a page that it takes from a card?',
  machine: { cpus: 2, frames: 3, data: true, fill: 'demand', rcuCallbacks: 0 },
  knobs: { 'umem_odp.dirty': ['on', 'off'] },
  bounds: 'one store of the card, and a load of the process after it; reclaim of the page, after MADV_FREE',
  setup(m) {
    const { x, imr, page } = card(m);
    page.flags.init(page.flags.value & ~PG.swapbacked);
    return { x, imr, page };
  },
  agents: ({ x, imr, page }) => ({
    *card() {
      if ((yield* deviceStore(imr.device, x.start, 7)) === undefined) return;
      const value = yield* userLoad(x.start);
      yield* claim(value === 7, 'DATA', 'what the card has stored is gone');
      see('stored');
    },
    *reclaim() {
      yield* shrink_inactive_list([page]);
    },
  }),
  sometimes: ['stored'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'umem_odp.dirty=off': violates('DATA'),
  },
});
