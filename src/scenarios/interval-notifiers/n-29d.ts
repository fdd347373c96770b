// SPDX-License-Identifier: GPL-2.0-only
import { deviceLoad, type Path, safe, scenario, see, violates } from '../../litmus/index.js';
import {
  EINVAL,
  madvise_dontneed,
  mmu_notifier_register,
  mmu_notifier_unregister,
  type MmuNotifierOps,
  mutex_lock,
  mutex_unlock,
  shrink_inactive_list,
  userLoad,
} from '../../linux/index.js';
import { deviceFlush } from '../../machine/machine.js';

/**
 * A device that walks the page tables of the process, as an IOMMU does for shared virtual addresses. It may fill its TLB
 * at any time, so a call before the entry is cleared comes too soon: it has to be told when the CPUs are, that is with
 * the page-table lock held.
 */
export default scenario({
  id: 'N-29d',
  family: 'interval-notifiers',
  title: 'a device that walks the page tables of the process',
  question: 'When does the TLB of a device have to be flushed that walks the page tables of the CPUs?',
  machine: { cpus: 3, frames: 2, fill: 'demand', swapSlots: 1, rcuCallbacks: 0 },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  knobs: {
    method: ['arch_invalidate_secondary_tlbs', 'invalidate_range_start', 'both'],
    by: ['dontneed', 'reclaim'],
    'rmap.defer_flush': ['off', 'on'],
    sleeps: ['no', 'yes'],
    driver: ['stays', 'unbinds'],
  },
  bounds:
    'two accesses of the device, and perhaps its mmu_notifier_unregister(); one MADV_DONTNEED or reclaim of the page, perhaps with one load of a CPU',
  setup(m, { method, sleeps }) {
    const p = m.process('P', { cpus: [0, 2] });
    const x = p.mmap({ pages: 1, touched: true });
    const gpu = m.device('iommu0', { mirrors: p, shares: true });
    const lock = m.mutex('iommu0.lock');
    function* flush(): Path {
      if (sleeps === 'yes') yield* mutex_lock(lock);
      yield* deviceFlush(gpu, x.start, x.end);
      if (sleeps === 'yes') yield* mutex_unlock(lock);
    }
    const secondary: MmuNotifierOps = {
      *arch_invalidate_secondary_tlbs() {
        yield* flush();
      },
    };
    const start: MmuNotifierOps = {
      *invalidate_range_start() {
        yield* flush();
        return 0;
      },
    };
    const ops = {
      ...(method !== 'invalidate_range_start' && secondary),
      ...(method !== 'arch_invalidate_secondary_tlbs' && start),
    };
    return { p, x, gpu, page: p.page(x.start), sub: p.mmuNotifier(ops, { registered: method !== 'both' }) };
  },
  agents: ({ p, x, gpu, page, sub }, { method, by, driver, 'rmap.defer_flush': defer }) => ({
    *unmapper() {
      if (method === 'both' && (yield* mmu_notifier_register(sub, p.mm)) === -EINVAL) see('refused');
      if (by === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
      else yield* shrink_inactive_list([page]);
    },
    *device() {
      if ((yield* deviceLoad(gpu, x.start)) === undefined) see('a fault at once');
      else if ((yield* deviceLoad(gpu, x.start)) !== undefined) see('twice');
      else see('a fault after the flush');
      if (driver === 'stays') return;
      yield* deviceFlush(gpu, x.start, x.end);
      yield* mmu_notifier_unregister(sub, p.mm);
    },
    // A CPU that the batch is for.
    ...(defer === 'on' && {
      *user() {
        yield* userLoad(x.start);
      },
    }),
  }),
  sometimes: ['twice', 'a fault after the flush'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'driver=unbinds': 'safe',
    'method=invalidate_range_start,driver=unbinds': violates('FRAME-REUSE'),
    'by=reclaim': 'safe',
    'by=reclaim,rmap.defer_flush=on': 'safe',
    'method=invalidate_range_start': violates('FRAME-REUSE'),
    'method=invalidate_range_start,by=reclaim': violates('FRAME-REUSE'),
    'method=invalidate_range_start,by=reclaim,rmap.defer_flush=on': violates('FRAME-REUSE'),
    // Refused at registration, so nobody tells the device.
    'method=both': violates('FRAME-REUSE'),
    'sleeps=yes': 'safe',
    'by=reclaim,sleeps=yes': safe({ reports: ['CTX'] }),
  },
});
