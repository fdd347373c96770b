// SPDX-License-Identifier: GPL-2.0-only
import { deadlocks, type Path, safe, scenario, see, violates } from '../../litmus/index.js';
import {
  madvise_dontneed,
  mmap_write_lock,
  mmap_write_unlock,
  mmu_interval_read_begin,
  mmu_interval_read_retry,
  mmu_interval_set_seq,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  munmap,
  mutex_lock,
  mutex_unlock,
  shrink_inactive_list,
  VM,
  vm_mmap,
} from '../../linux/index.js';
import { deviceFlush, deviceMap, deviceUnmap } from '../../machine/machine.js';
import { look, type Mirror, mirror, serveFault, tearDown } from './mirror.js';
import { lazyfree } from './n-20.js';

const stuck = deadlocks({ reports: ['LOCK-ORDER'] });
const stale = violates('SPTE-COHERENT', { reports: ['LOCK-ORDER'] });

/** A callback that puts back at once what it has just torn down, by what hmm_range_fault() finds. */
function putBack(
  { mm, gpu, user_lock }: Mirror,
  addr: number,
  { begin, retry }: { begin: string; retry: string },
): MmuIntervalNotifierOps {
  function* setSeq(sub: MmuIntervalNotifier, cur_seq: number): Path {
    yield* mutex_lock(user_lock);
    yield* mmu_interval_set_seq(sub, cur_seq);
    yield* deviceUnmap(gpu, addr, addr + 1);
    yield* deviceFlush(gpu, addr, addr + 1);
    yield* mutex_unlock(user_lock);
  }
  return {
    *invalidate(sub, _range, cur_seq) {
      if (begin === 'after') yield* setSeq(sub, cur_seq);
      for (;;) {
        const seq = yield* mmu_interval_read_begin(sub);
        const entry = yield* look(mm, sub, seq, addr);
        if (begin === 'before') yield* setSeq(sub, cur_seq);
        if (entry < 0) return true;
        yield* mutex_lock(user_lock);
        const hit = retry === 'on' && (yield* mmu_interval_read_retry(sub, seq));
        if (!hit) yield* deviceMap(gpu, addr, entry);
        yield* mutex_unlock(user_lock);
        if (!hit) return true;
      }
    },
  };
}

/**
 * Why hmm_range_fault() is nothing for a callback. Whoever invalidates may hold mmap_lock for write, so taking it for
 * read is the end; or for read, and then it is the end as soon as a writer waits in between. Behind that is
 * mmu_interval_read_begin(): once the callback has set the number it waits for the end of the very range that it is
 * called for. And before, what is found is what goes away.
 */
export const n09 = scenario({
  id: 'N-09',
  family: 'interval-notifiers',
  title: 'hmm_range_fault() from a callback',
  question: 'May a callback fault back in what it has torn down?',
  machine: { cpus: 3, frames: 3, fill: 'demand', swapSlots: 1, rcuCallbacks: 0 },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  knobs: {
    fault: ['thread', 'callback'],
    by: ['fixed', 'munmap', 'dontneed', 'reclaim'],
    begin: ['after', 'before'],
    retry: ['on', 'off'],
    writer: ['none', 'one'],
  },
  bounds:
    'one mmap(MAP_FIXED), munmap, MADV_DONTNEED or reclaim of the page; one device fault, by a thread or in the callback; perhaps one writer of mmap_lock',
  setup(m, k) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    const ops = k.fault === 'thread' ? tearDown(gpu0) : putBack(gpu0, x.start, k);
    const page = p.page(x.start);
    return { p, x, gpu0, page, sub: p.intervalNotifier(x, ops) };
  },
  agents: ({ p, x, gpu0, page, sub }, { fault, by, writer }) => ({
    *unmapper() {
      if (by === 'fixed') yield* vm_mmap(p.mm, x.start, 1, VM.READ | VM.WRITE);
      else if (by === 'munmap') yield* munmap(p.mm, x.vma);
      else if (by === 'dontneed') yield* madvise_dontneed(x.vma, x.start, x.end);
      else yield* shrink_inactive_list([page]);
      see('invalidated');
    },
    ...(fault === 'thread' && {
      *worker() {
        if (yield* serveFault(gpu0, sub, x.start)) see('mapped');
      },
    }),
    ...(writer === 'one' && {
      *writer() {
        yield* mmap_write_lock(p.mm);
        yield* mmap_write_unlock(p.mm);
      },
    }),
  }),
  sometimes: ['invalidated', 'mapped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'by=munmap': 'safe',
    'by=dontneed': 'safe',
    'by=reclaim': 'safe',
    // mmap_lock is held for write, whatever read_begin says.
    'fault=callback,begin=before': stuck,
    // It is held for read, or not at all: read_begin waits for the end that comes after this callback.
    'fault=callback': stuck,
    'fault=callback,by=munmap': stuck,
    'fault=callback,by=dontneed': stuck,
    'fault=callback,by=reclaim': stuck,
    // Begun before the number is set, the first round finds what goes away, and the second one waits.
    'fault=callback,by=dontneed,begin=before': stuck,
    'fault=callback,by=reclaim,begin=before': stuck,
    'fault=callback,by=dontneed,begin=before,retry=off': stale,
    'fault=callback,by=reclaim,begin=before,retry=off': stale,
    // A writer waits between the two times that mmap_lock is taken for read.
    'fault=callback,by=munmap,begin=before,retry=off,writer=one': stuck,
    'fault=callback,by=dontneed,begin=before,retry=off,writer=one': stuck,
  },
});

/**
 * Besides, a fault allocates. Where memory is low it reclaims, and the driver is told of the page that goes: inside of
 * its own callback, whose lock it has.
 */
export const n09b = scenario({
  id: 'N-09b',
  family: 'interval-notifiers',
  title: 'a fault from a callback that has to reclaim',
  question: 'What becomes of a callback whose fault finds no memory?',
  machine: ({ reclaim }) => ({
    cpus: 2,
    frames: 4,
    ptrsPerPte: 4,
    fill: 'demand',
    rcuCallbacks: 0,
    reclaim: reclaim === 'none' ? undefined : reclaim,
  }),
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  knobs: {
    fault: ['thread', 'callback'],
    reclaim: ['direct', 'none'],
  },
  bounds:
    'one MADV_DONTNEED, one device fault on a page that is not there, by a thread or in the callback; one more page that reclaim may find',
  setup(m, { fault }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const y = p.mmap({ pages: 1 });
    lazyfree(p);
    const gpu0 = mirror(m, p);
    const { mm, gpu, user_lock } = gpu0;
    const ops: MmuIntervalNotifierOps = {
      *invalidate(sub, range, cur_seq) {
        yield* mutex_lock(user_lock);
        yield* mmu_interval_set_seq(sub, cur_seq);
        yield* deviceUnmap(gpu, range.start, range.end);
        yield* deviceFlush(gpu, range.start, range.end);
        if (fault === 'callback' && range.start === x.start) yield* look(mm, sub, cur_seq, y.start);
        yield* mutex_unlock(user_lock);
        return true;
      },
    };
    return { x, y, gpu0, sub: p.intervalNotifier({ start: 0, end: mm.space.pages }, ops) };
  },
  agents: ({ x, y, gpu0, sub }, { fault }) => ({
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
      see('invalidated');
    },
    ...(fault === 'thread' && {
      *worker() {
        yield* serveFault(gpu0, sub, y.start);
      },
    }),
  }),
  sometimes: ['invalidated'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'fault=callback': stuck,
    'fault=callback,reclaim=none': safe({ reports: ['LOCK-ORDER'] }),
  },
});
