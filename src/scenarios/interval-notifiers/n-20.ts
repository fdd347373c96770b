// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, type Path, type Process, safe, scenario, see, type Testbed } from '../../litmus/index.js';
import {
  GFP_ATOMIC,
  GFP_KERNEL,
  GFP_NOFS,
  GFP_NOWAIT,
  kmalloc,
  madvise_dontneed,
  mmu_interval_set_seq,
  type MmuIntervalNotifierOps,
  mutex_lock,
  mutex_unlock,
  PG,
  shrink_inactive_list,
} from '../../linux/index.js';
import { deviceFlush, deviceUnmap } from '../../machine/machine.js';
import { type Mirror, mirror, type Region, serveFault } from './mirror.js';

const GFP = { GFP_NOWAIT, GFP_ATOMIC, GFP_NOFS, GFP_KERNEL } as const;

/** A page that MADV_FREE has given up: reclaim need only unmap it. */
export function lazyfree(p: Process): Region {
  const region = p.mmap({ pages: 1, touched: true });
  const page = p.page(region.start);
  page.flags.init(page.flags.value & ~PG.swapbacked);
  return region;
}

const told = { reports: ['LOCK-ORDER'] } as const;

interface Knobs {
  readonly gfp: keyof typeof GFP;
  readonly where: 'under-mutex' | 'before-mutex';
}

/** The driver's callback, which needs an object for what it does. */
function allocating(
  { gpu, user_lock }: Mirror,
  { gfp, where }: Knobs,
  reclaimable: Region,
): MmuIntervalNotifierOps {
  function* allocate(): Path {
    if (yield* kmalloc(1, GFP[gfp])) see('allocated');
    else see('no memory');
  }
  return {
    *invalidate(sub, range, cur_seq) {
      if (where === 'before-mutex') yield* allocate();
      yield* mutex_lock(user_lock);
      yield* mmu_interval_set_seq(sub, cur_seq);
      if (where === 'under-mutex') yield* allocate();
      yield* deviceUnmap(gpu, range.start, range.end);
      yield* deviceFlush(gpu, range.start, range.end);
      yield* mutex_unlock(user_lock);
      if (range.start === reclaimable.start) see('reclaimed');
      return true;
    },
  };
}

/** A GPU that mirrors P, and perhaps Q, under one lock; whose page reclaim may find. */
function mirrors(m: Testbed, k: Knobs & { readonly page: 'same-mm' | 'other-mm' }) {
  const p = m.process('P');
  const x = p.mmap({ pages: 1 });
  const gpu0 = mirror(m, p);
  const q = k.page === 'other-mm' ? m.process('Q', { cpus: [] }) : p;
  const y = lazyfree(q);
  const sub = p.intervalNotifier({ start: 0, end: p.mm.space.pages }, allocating(gpu0, k, y));
  if (q !== p) {
    const gpu = m.device('gpu1', { mirrors: q });
    q.intervalNotifier(y, allocating({ mm: q.mm, gpu, user_lock: gpu0.user_lock }, k, y));
  }
  return { p, x, y: q.page(y.start), gpu0, sub };
}

/**
 * A callback that allocates. Memory may be low, so an allocation may have to reclaim a page that the same driver mirrors,
 * of this process or of another: then the driver's callback is called inside of its callback. Only flags that don't allow
 * reclaim keep that from happening; which files may be entered does not matter to anonymous pages.
 */
export const n20 = scenario({
  id: 'N-20',
  family: 'interval-notifiers',
  title: 'allocation in a callback',
  question: 'With which flags may a callback allocate memory?',
  machine: ({ page, reclaim }) => ({
    cpus: 1,
    frames: page === 'same-mm' ? 4 : 5,
    ptrsPerPte: 2,
    fill: 'demand',
    rcuCallbacks: 0,
    reclaim: reclaim === 'none' ? undefined : reclaim,
  }),
  knobs: {
    gfp: ['GFP_NOWAIT', 'GFP_ATOMIC', 'GFP_NOFS', 'GFP_KERNEL'],
    where: ['under-mutex', 'before-mutex'],
    page: ['same-mm', 'other-mm'],
    reclaim: ['direct', 'none'],
  },
  bounds:
    'one device fault, whose allocation may reclaim; one MADV_DONTNEED; one more page that reclaim may find',
  setup: (m, k) => mirrors(m, k),
  agents: ({ x, y, gpu0, sub }, { reclaim }) => ({
    *worker() {
      if (yield* serveFault(gpu0, sub, x.start)) see('mapped');
    },
    unmapper: {
      cpu: 0,
      *run() {
        yield* madvise_dontneed(x.vma, x.start, x.end);
        if (reclaim === 'none') yield* shrink_inactive_list([y]);
      },
    },
  }),
  sometimes: ['mapped', 'allocated', 'reclaimed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'gfp=GFP_ATOMIC': 'safe',
    'gfp=GFP_NOFS': deadlocks(told),
    'gfp=GFP_KERNEL': deadlocks(told),
    'gfp=GFP_KERNEL,machine=bcast': deadlocks(told),
    'page=other-mm': 'safe',
    'gfp=GFP_ATOMIC,page=other-mm': 'safe',
    'gfp=GFP_NOFS,page=other-mm': deadlocks(told),
    'gfp=GFP_KERNEL,page=other-mm': deadlocks(told),
    // Memory never runs out, and lockdep tells all the same.
    'reclaim=none': 'safe',
    'gfp=GFP_NOFS,reclaim=none': safe(told),
    'gfp=GFP_KERNEL,reclaim=none': safe(told),
    'gfp=GFP_KERNEL,where=before-mutex': safe(told),
  },
});

/** As N-20, where an allocation waits for kswapd: that calls the callback then, and waits for the driver's lock. */
export const n20c = scenario({
  id: 'N-20c',
  family: 'interval-notifiers',
  title: 'allocation in a callback, and kswapd',
  question: 'May a callback wait for kswapd?',
  machine: ({ page }) => ({
    cpus: 1,
    frames: page === 'same-mm' ? 3 : 4,
    ptrsPerPte: 2,
    fill: 'demand',
    rcuCallbacks: 0,
    reclaim: 'kswapd',
  }),
  knobs: {
    gfp: ['GFP_NOWAIT', 'GFP_ATOMIC', 'GFP_NOFS', 'GFP_KERNEL'],
    where: ['under-mutex', 'before-mutex'],
    page: ['same-mm', 'other-mm'],
  },
  bounds: 'one MADV_DONTNEED; kswapd; one page that it may find',
  setup: (m, k) => mirrors(m, k),
  agents: ({ x }) => ({
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
      see('unmapped');
    },
  }),
  sometimes: ['unmapped', 'allocated', 'reclaimed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'gfp=GFP_ATOMIC': 'safe',
    // The second that it waits for kswapd is over, and it reclaims for itself.
    'gfp=GFP_NOFS': deadlocks(told),
    'gfp=GFP_KERNEL': deadlocks(told),
    'gfp=GFP_KERNEL,where=before-mutex': safe(told),
    'page=other-mm': 'safe',
    'gfp=GFP_KERNEL,page=other-mm': deadlocks(told),
  },
});
