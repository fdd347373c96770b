// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, read, safe, scenario, see, violates } from '../../litmus/index.js';
import {
  EBUSY,
  HMM_PFN,
  hmm_range_fault,
  madvise_dontneed,
  mmap_read_lock,
  mmap_read_unlock,
  mmu_interval_notifier_insert,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  munmap,
  mutex_lock,
  mutex_unlock,
  shrink_inactive_list,
} from '../../linux/index.js';
import { deviceMap } from '../../machine/machine.js';
import { deviceEntry, mirror, tearDown } from './mirror.js';

/**
 * A driver inserts its subscription where it is about to fault pages in, as nouveau does for each fault of the GPU. The
 * mm's first one takes mmap_lock for write, so that has to be before the driver takes it for read. And an insertion is
 * no mmu_interval_read_begin(): a range may be under way that began before it.
 */
export default scenario({
  id: 'N-28',
  family: 'interval-notifiers',
  title: 'insertion where pages are faulted in',
  question: 'May a driver insert a subscription right before hmm_range_fault()?',
  machine: ({ by }) => ({ cpus: 2, frames: 3, fill: 'demand', swapSlots: by === 'reclaim' ? 1 : 0 }),
  knobs: {
    at: ['before-lock', 'under-lock'],
    tree: ['none', 'there'],
    begin: ['read_begin', 'none'],
    by: ['dontneed', 'munmap', 'reclaim'],
  },
  bounds: 'one insertion with one device fault after it, one MADV_DONTNEED, munmap or reclaim of the page',
  setup(m, { tree, by }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    const sub = p.intervalNotifier(x, tearDown(gpu0), { inserted: false, ready: tree === 'there' });
    return { p, x, gpu0, sub, page: by === 'reclaim' ? p.page(x.start) : undefined };
  },
  agents: ({ p, x, gpu0, sub, page }, { at, begin, by }) => ({
    *worker() {
      const { mm, gpu, user_lock } = gpu0;
      if (at === 'under-lock') yield* mmap_read_lock(mm);
      yield* mmu_interval_notifier_insert(sub, mm, x.start, 1);
      if (at === 'under-lock') yield* mmap_read_unlock(mm);
      for (;;) {
        const seq =
          begin === 'read_begin' ? yield* mmu_interval_read_begin(sub) : yield* read(sub.invalidate_seq);
        const range = {
          notifier: sub,
          notifier_seq: seq,
          start: x.start,
          end: x.end,
          hmm_pfns: [0],
          default_flags: HMM_PFN.REQ_FAULT,
          pfn_flags_mask: 0,
        };
        yield* mmap_read_lock(mm);
        const err = yield* hmm_range_fault(range);
        yield* mmap_read_unlock(mm);
        if (err === -EBUSY) continue;
        if (err !== 0) return see('no page any more');
        yield* mutex_lock(user_lock);
        const retry = yield* mmu_interval_read_retry(sub, seq);
        if (!retry) yield* deviceMap(gpu, x.start, deviceEntry(range.hmm_pfns[0]!));
        yield* mutex_unlock(user_lock);
        if (!retry) return see('mapped');
      }
    },
    *unmapper() {
      if (by === 'munmap') yield* munmap(p.mm, x.vma);
      else if (by === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
      else yield* shrink_inactive_list([page!]);
    },
  }),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'tree=there': 'safe',
    'by=munmap': 'safe',
    // No mmap_lock there: mm_take_all_locks() waits until a range is over that no tree has counted.
    'by=reclaim': 'safe',
    'at=under-lock': deadlocks({ reports: ['LOCK-ORDER'] }),
    'at=under-lock,by=munmap': deadlocks({ reports: ['LOCK-ORDER'] }),
    'at=under-lock,tree=there': safe({ reports: ['LOCK-ORDER'] }),
    'begin=none': violates('SPTE-COHERENT'),
    'begin=none,by=reclaim': violates('SPTE-COHERENT'),
    'tree=there,begin=none': violates('SPTE-COHERENT'),
    'tree=there,begin=none,by=munmap': 'safe',
  },
});
