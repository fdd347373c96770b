// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, read, safe, scenario, see } from '../../litmus/index.js';
import {
  FAULT_ACCESS,
  GFP_KERNEL,
  GFP_NOWAIT,
  kmalloc,
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
 * No callback allocates, but a lock that callbacks take is held during an allocation: nouveau makes the GPU's page table
 * under svmm->mutex. To reclaim there is to wait for oneself; to wait there for kswapd is to wait for who waits for the
 * mutex.
 */
export default scenario({
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
    pgt: ['there', 'missing'],
    'nouveau.pgt': ['GFP_KERNEL', 'GFP_NOFS', 'GFP_NOWAIT', 'preallocated'],
    reclaim: ['direct', 'kswapd', 'none'],
  },
  bounds:
    'one fault of the GPU, which has a page table for the address from an earlier one, or not, served by a thread of the process; one allocation that may reclaim, or wake kswapd; one more page, which the GPU has mapped',
  setup(m, { pgt }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu = m.device('gpu0', { mirrors: p });
    const y = lazyfree(p);
    const page = p.page(y.start);
    gpu.pte[y.start]!.init(mk_pte(page, PTE.PRESENT | PTE.RW));
    const svmm = new NouveauSvmm(m.kernel, gpu, p.mm, { hasPgt: pgt === 'there' });
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
    'pgt=missing': deadlocks(told),
    'pgt=missing,machine=bcast': deadlocks(told),
    'pgt=missing,reclaim=kswapd': deadlocks(told),
    'pgt=missing,reclaim=none': safe(told),
    'pgt=missing,nouveau.pgt=GFP_NOFS': deadlocks(told),
    'pgt=missing,nouveau.pgt=GFP_NOFS,reclaim=kswapd': deadlocks(told),
    'pgt=missing,nouveau.pgt=GFP_NOFS,reclaim=none': safe(told),
    'pgt=missing,nouveau.pgt=GFP_NOWAIT': 'safe',
    'pgt=missing,nouveau.pgt=GFP_NOWAIT,reclaim=kswapd': 'safe',
    'pgt=missing,nouveau.pgt=preallocated': 'safe',
    'pgt=missing,nouveau.pgt=preallocated,reclaim=kswapd': 'safe',
  },
});
