// SPDX-License-Identifier: GPL-2.0-only
import {
  awaitValue,
  deadlocks,
  type Path,
  safe,
  scenario,
  see,
  violates,
  write,
} from '../../litmus/index.js';
import {
  madvise_dontneed,
  mmu_interval_notifier_insert,
  mmu_interval_notifier_insert_locked,
  mmu_interval_notifier_insert_safe,
  munmap,
  VM,
  vm_mmap,
} from '../../linux/index.js';
import { mirror, serveFault, tearDown } from './mirror.js';

/** lockdep is told that the mm's first insertion takes mmap_lock, which whoever invalidates has or waits for. */
const mayLock = safe({ reports: ['LOCK-ORDER'] });

/**
 * A driver that is told of a hole in what it mirrors wants a subscription for the part behind it, at once. While the tree
 * stands still an insertion only goes to deferred_list; but the first subscription of an mm takes mmap_lock for write,
 * and whoever invalidates has it already. From an interval callback the mm has a tree, so that can't be the first one.
 * lockdep is told in any case that it might be.
 */
export default scenario({
  id: 'N-08',
  family: 'interval-notifiers',
  title: 'insertion from a callback',
  question: 'May a callback insert a subscription?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 2, fill: 'demand' },
  knobs: {
    insert: ['thread', 'interval-callback', 'classic-callback'],
    tree: ['there', 'none'],
    // insert_safe: the proposal's, which never registers.
    call: ['insert', 'insert_safe', 'insert_locked'],
    by: ['fixed', 'munmap', 'dontneed'],
  },
  bounds:
    'one insertion with one device fault after it, one mmap(MAP_FIXED), munmap or MADV_DONTNEED of the first of two pages',
  setup(m, { insert, tree, call }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const y = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    const ops = tearDown(gpu0);
    const inserted = m.flag('inserted');
    const ready = tree === 'there';
    const sub = p.intervalNotifier(y, ops, { inserted: false, ready });
    function* insertIt(): Path {
      if (call === 'insert') yield* mmu_interval_notifier_insert(sub, p.mm, y.start, 1);
      else if (call === 'insert_safe') yield* mmu_interval_notifier_insert_safe(sub, p.mm, y.start, 1);
      else yield* mmu_interval_notifier_insert_locked(sub, p.mm, y.start, 1);
      yield* write(inserted, 1);
    }
    if (insert === 'interval-callback')
      p.intervalNotifier(x, {
        *invalidate(first, range, cur_seq) {
          yield* ops.invalidate(first, range, cur_seq);
          yield* insertIt();
          return true;
        },
      });
    else
      p.mmuNotifier({
        *invalidate_range_start() {
          if (insert === 'classic-callback') yield* insertIt();
          return 0;
        },
      });
    return { p, x, y, gpu0, sub, insertIt, inserted };
  },
  agents: ({ p, x, y, gpu0, sub, insertIt, inserted }, { insert, by }) => ({
    *worker() {
      if (insert === 'thread') yield* insertIt();
      else yield* awaitValue(inserted, 1);
      if (yield* serveFault(gpu0, sub, y.start)) see('mapped');
    },
    *unmapper() {
      if (by === 'fixed') yield* vm_mmap(p.mm, x.start, 1, VM.READ | VM.WRITE);
      else if (by === 'munmap') yield* munmap(p.mm, x.vma);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  // NOTIFY-ORDER goes by what was counted in, which the question is about.
  judges: ({ call }) => (call === 'insert_locked' ? ['NOTIFY-BALANCE', 'SPTE-COHERENT'] : undefined),
  sometimes: ['mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'by=munmap': 'safe',
    'by=dontneed': 'safe',
    'tree=none': 'safe',
    'tree=none,by=dontneed': 'safe',
    'insert=interval-callback': mayLock,
    'insert=interval-callback,by=munmap': mayLock,
    'insert=interval-callback,by=dontneed': mayLock,
    'insert=classic-callback': mayLock,
    'insert=classic-callback,tree=none': deadlocks({ reports: ['LOCK-ORDER'] }),
    'insert=classic-callback,tree=none,by=munmap': deadlocks({ reports: ['LOCK-ORDER'] }),
    'insert=classic-callback,tree=none,by=dontneed': deadlocks({ reports: ['LOCK-ORDER'] }),
    'insert=interval-callback,call=insert_safe': 'safe',
    'insert=interval-callback,call=insert_safe,by=munmap': 'safe',
    'insert=interval-callback,call=insert_safe,by=dontneed': 'safe',
    'insert=classic-callback,call=insert_safe': 'safe',
    // Whoever invalidates has mmap_lock for write: it is not taken again, and nobody is asked to.
    'insert=interval-callback,call=insert_locked': 'safe',
    // The tree appears between a start, which has not counted the range in, and the end, which counts it out.
    'insert=classic-callback,tree=none,call=insert_locked': violates('NOTIFY-BALANCE'),
  },
});
