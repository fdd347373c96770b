// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, read, safe, scenario, see } from '../../litmus/index.js';
import {
  FAULT_ACCESS,
  GFP_KERNEL,
  GFP_NOWAIT,
  kmalloc,
  madvise_dontneed,
  mk_pte,
  NouveauMnOps,
  nouveau_svm_fault,
  NouveauSvmm,
  NouveauSvmMniOps,
  shrink_inactive_list,
} from '../../linux/index.js';
import { PTE } from '../../machine/pte.js';
import { lazyfree } from './n-20.js';

const told = { reports: ['LOCK-ORDER'] } as const;

/**
 * A lock that callbacks take is held during an allocation: nouveau makes the GPU's page table under svmm->mutex. To
 * reclaim there is to wait for oneself; to wait there for kswapd is to wait for who waits for the mutex.
 */
export const n20b = scenario({
  id: 'N-20b',
  family: 'interval-notifiers',
  title: "allocation under the callback's lock",
  question: 'May a driver allocate under the lock that its callback takes?',
  machine: ({ reclaim }) => ({
    cpus: 1,
    frames: 4,
    ptrsPerPte: 2,
    fill: 'demand',
    rcuCallbacks: 0,
    reclaim: reclaim === 'none' ? undefined : reclaim,
  }),
  knobs: {
    // Of the GPU, for the address: there is one from an earlier fault, or it has to be made.
    table: ['there', 'none'],
    'nouveau.gfp': ['GFP_KERNEL', 'GFP_NOFS', 'GFP_NOWAIT', 'preallocated'],
    reclaim: ['direct', 'kswapd', 'none'],
  },
  bounds:
    'one fault of the GPU, served by a thread of the process; one allocation that may reclaim, or wake kswapd; one more page, which the GPU has mapped',
  setup(m, { table }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu = m.device('gpu0', { mirrors: p });
    const y = lazyfree(p);
    const page = p.page(y.start);
    gpu.pte[y.start]!.init(mk_pte(page, PTE.PRESENT | PTE.RW));
    const svmm = new NouveauSvmm(m.kernel, gpu, p.mm, { allocates: table === 'none' });
    p.mmuNotifier(new NouveauMnOps(svmm));
    const notifier = p.intervalNotifier(x, new NouveauSvmMniOps(svmm), { inserted: false, ready: true });
    return { x, svmm, notifier, page, mapping: gpu.pte[y.start]! };
  },
  agents: ({ x, svmm, notifier, page, mapping }, { reclaim }) => ({
    *fault() {
      if (yield* nouveau_svm_fault(svmm, x.start, FAULT_ACCESS.WRITE, notifier)) see('mapped');
    },
    other: {
      cpu: 0,
      *run() {
        if (reclaim === 'none') yield* shrink_inactive_list([page]);
        else yield* kmalloc(1, reclaim === 'kswapd' ? GFP_NOWAIT : GFP_KERNEL);
        if ((yield* read(mapping)) === 0) see('reclaimed');
      },
    },
  }),
  sometimes: ['mapped', 'reclaimed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'reclaim=kswapd': 'safe',
    'reclaim=none': 'safe',
    'table=none': deadlocks(told),
    'table=none,machine=bcast': deadlocks(told),
    'table=none,reclaim=kswapd': deadlocks(told),
    'table=none,reclaim=none': safe(told),
    'table=none,nouveau.gfp=GFP_NOFS': deadlocks(told),
    'table=none,nouveau.gfp=GFP_NOFS,reclaim=kswapd': deadlocks(told),
    'table=none,nouveau.gfp=GFP_NOFS,reclaim=none': safe(told),
    'table=none,nouveau.gfp=GFP_NOWAIT': 'safe',
    'table=none,nouveau.gfp=GFP_NOWAIT,reclaim=kswapd': 'safe',
    'table=none,nouveau.gfp=preallocated': 'safe',
    'table=none,nouveau.gfp=preallocated,reclaim=kswapd': 'safe',
  },
});

/**
 * And its callback allocates as well: what the GPU has mapped in a row is one entry of a list, and when a page in the
 * middle goes there have to be two.
 */
export const n20d = scenario({
  id: 'N-20d',
  family: 'interval-notifiers',
  title: "allocation in nouveau's callback",
  question: 'Why would a callback allocate that only takes a page away?',
  machine: ({ reclaim }) => ({
    cpus: 1,
    frames: 4,
    ptrsPerPte: 4,
    fill: 'demand',
    rcuCallbacks: 0,
    reclaim: reclaim === 'none' ? undefined : reclaim,
  }),
  knobs: {
    page: ['first', 'middle'],
    'nouveau.gfp': ['GFP_KERNEL', 'GFP_NOFS', 'preallocated'],
    reclaim: ['direct', 'kswapd', 'none'],
  },
  bounds:
    'three pages in a row that the GPU has mapped; MADV_DONTNEED of one, beside an allocation that may reclaim the last one',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, touched: true });
    const gpu = m.device('gpu0', { mirrors: p });
    const y = lazyfree(p);
    for (const page of [x.start, x.start + 1, y.start])
      gpu.pte[page]!.init(mk_pte(p.page(page), PTE.PRESENT | PTE.RW));
    const svmm = new NouveauSvmm(m.kernel, gpu, p.mm, { allocates: true });
    p.mmuNotifier(new NouveauMnOps(svmm));
    return { x, page: p.page(y.start), mapping: gpu.pte[y.start]! };
  },
  agents: ({ x, page: last, mapping }, { page, reclaim }) => ({
    *unmapper() {
      const start = page === 'first' ? x.start : x.start + 1;
      yield* madvise_dontneed(x.vma, start, start + 1);
      see('unmapped');
    },
    other: {
      cpu: 0,
      *run() {
        if (reclaim === 'none') yield* shrink_inactive_list([last]);
        else yield* kmalloc(1, reclaim === 'kswapd' ? GFP_NOWAIT : GFP_KERNEL);
        if ((yield* read(mapping)) === 0) see('reclaimed');
      },
    },
  }),
  sometimes: ['unmapped', 'reclaimed'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'reclaim=kswapd': 'safe',
    'page=middle': deadlocks(told),
    'page=middle,machine=bcast': deadlocks(told),
    'page=middle,reclaim=kswapd': deadlocks(told),
    'page=middle,reclaim=none': safe(told),
    'page=middle,nouveau.gfp=GFP_NOFS': deadlocks(told),
    'page=middle,nouveau.gfp=preallocated': 'safe',
    'page=middle,nouveau.gfp=preallocated,reclaim=kswapd': 'safe',
  },
});
