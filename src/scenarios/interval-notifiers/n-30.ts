// SPDX-License-Identifier: GPL-2.0-only
import {
  awaitValue,
  deadlocks,
  leaks,
  livelocks,
  type Path,
  safe,
  scenario,
  see,
  write,
} from '../../litmus/index.js';
import {
  EAGAIN,
  mmput,
  mmu_interval_notifier_insert,
  mmu_interval_notifier_remove,
  mmu_interval_read_begin,
  mmu_interval_set_seq,
  type MmuNotifierRange,
  mutex_lock,
  mutex_trylock,
  mutex_unlock,
  NouveauMnOps,
  NouveauSvmm,
  oom_reap_task,
  process_mrelease,
} from '../../linux/index.js';
import { deviceFlush, deviceUnmap } from '../../machine/machine.js';
import { guest, vcpu } from './guest.js';
import { mirror, type Mirror, tearDown } from './mirror.js';

/** A fault of the guest reads mmu_invalidate_seq without mmu_lock, in plain C. */
const plain = { reports: ['DATA-RACE'] } as const;

/** The driver's callback: what it does where it may not sleep, and its lock is taken. Returns whether it has torn down. */
function* invalidate(
  { gpu, user_lock }: Mirror,
  range: MmuNotifierRange,
  callback: string,
  setSeq?: () => Path,
): Path<boolean> {
  if (range.blockable || callback === 'sleeps') yield* mutex_lock(user_lock);
  else if (!(yield* mutex_trylock(user_lock))) return false;
  if (setSeq !== undefined) yield* setSeq();
  yield* deviceUnmap(gpu, range.start, range.end);
  yield* deviceFlush(gpu, range.start, range.end);
  yield* mutex_unlock(user_lock);
  return true;
}

/**
 * The OOM reaper takes the pages of a process that was killed, and may wait for nobody: who has the lock may be waiting
 * for memory. So a callback has to try, and to say that it could not; then that VMA is left alone, until another attempt.
 */
export const n30 = scenario({
  id: 'N-30',
  family: 'interval-notifiers',
  title: 'the OOM reaper and a callback that would have to sleep',
  question: 'What becomes of a callback that sleeps although it may not?',
  machine: { cpus: 3, frames: 2, fill: 'demand', rcuCallbacks: 0 },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  knobs: {
    callback: ['trylock', 'sleeps'],
    // What the driver's thread does under its lock.
    holder: ['allocates', 'unmaps'],
    kind: ['interval', 'classic'],
    reaper: ['oom_reaper', 'process_mrelease'],
    beside: ['nothing', 'exit'],
  },
  bounds:
    'one page that a device has; at most two attempts to reap it; one thread that takes the driver’s lock; perhaps the exit of the process',
  setup(m, { callback, kind }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    p.users(1);
    p.oomVictim();
    const gpu0 = mirror(m, p);
    gpu0.gpu.pte[x.start]!.init(m.kernel.machine.leaf(p.mm.space, x.start));
    if (kind === 'interval')
      p.intervalNotifier(x, {
        *invalidate(sub, range, cur_seq) {
          return yield* invalidate(gpu0, range, callback, () => mmu_interval_set_seq(sub, cur_seq));
        },
      });
    else
      p.mmuNotifier({
        *invalidate_range_start(_, range) {
          return (yield* invalidate(gpu0, range, callback)) ? 0 : -EAGAIN;
        },
        *release() {
          yield* mutex_lock(gpu0.user_lock);
          yield* deviceUnmap(gpu0.gpu, x.start, x.end);
          yield* deviceFlush(gpu0.gpu, x.start, x.end);
          yield* mutex_unlock(gpu0.user_lock);
        },
      });
    return { p, x, gpu0, done: m.flag('memory') };
  },
  agents: ({ p, x, gpu0, done }, { holder, reaper, beside }) => ({
    *driver() {
      yield* mutex_lock(gpu0.user_lock);
      if (holder === 'allocates') yield* awaitValue(done, 1);
      else {
        yield* deviceUnmap(gpu0.gpu, x.start, x.end);
        yield* deviceFlush(gpu0.gpu, x.start, x.end);
      }
      yield* mutex_unlock(gpu0.user_lock);
    },
    *reaper() {
      const reaped =
        reaper === 'oom_reaper' ? yield* oom_reap_task(p.mm, 2) : (yield* process_mrelease(p.mm)) === 0;
      see(reaped ? 'reaped' : 'left alone');
      yield* write(done, 1); // the thread's allocation has what was reaped, or another victim
    },
    ...(beside === 'exit' && {
      *exit() {
        yield* mmput(p.mm);
      },
    }),
  }),
  sometimes: ['reaped'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'kind=classic': 'safe',
    'reaper=process_mrelease': 'safe',
    'beside=exit': 'safe',
    'kind=classic,beside=exit': 'safe',
    'holder=unmaps': 'safe',
    'holder=unmaps,kind=classic': 'safe',
    // Nothing tells lockdep that an interval callback may not sleep: non_block_start() is around classic ones only.
    'callback=sleeps,holder=unmaps': 'safe',
    'callback=sleeps,holder=unmaps,kind=classic': safe({ reports: ['CTX'] }),
    'callback=sleeps': deadlocks(),
    'callback=sleeps,reaper=process_mrelease': deadlocks(),
    'callback=sleeps,kind=classic': deadlocks({ reports: ['CTX'] }),
    'callback=sleeps,beside=exit': deadlocks(),
    'callback=sleeps,kind=classic,beside=exit': deadlocks({ reports: ['CTX'] }),
  },
});

/**
 * A process that two drivers mirror: one with an interval subscription, and nouveau, whose classic callback never works
 * without sleeping. Interval subscriptions are called first; when the classic one fails, nobody ends the range for them,
 * and the reaper does not, since its start has failed. invalidate_seq stays as it is for ever.
 */
export const n30b = scenario({
  id: 'N-30b',
  family: 'interval-notifiers',
  title: 'the OOM reaper, and a start that fails half-way',
  question: 'Who ends a range for interval subscriptions when a classic one refuses it?',
  machine: { cpus: 2, frames: 3, ptrsPerPte: 2, fill: 'demand', rcuCallbacks: 0 },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  knobs: {
    classic: ['none', 'nouveau'],
    '__mmu_notifier_invalidate_range_start.undo': ['none', 'interval'],
    // The subscription covers the page that is reaped, or an address where nothing is mapped.
    covers: ['page', 'nothing'],
    // What its driver does besides: a fault of its device, its removal, or a subscription for one fault more.
    driver: ['faults', 'removes', 'inserts', 'idle'],
  },
  bounds: 'one attempt to reap a page; one device fault, removal or insertion of a driver',
  setup(m, { classic, covers }) {
    const p = m.process('P', { pages: 2 });
    const x = p.mmap({ pages: 1, touched: true });
    p.oomVictim();
    const gpu0 = mirror(m, p);
    if (classic === 'nouveau')
      p.mmuNotifier(new NouveauMnOps(new NouveauSvmm(m.kernel, m.device('gpu1', { mirrors: p }), p.mm)));
    const sub = p.intervalNotifier(covers === 'page' ? x : { start: 1, end: 2 }, tearDown(gpu0));
    const temporary = p.intervalNotifier(x, tearDown(gpu0), { inserted: false });
    return { p, x, sub, temporary, killed: m.flag('killed') };
  },
  agents: ({ p, x, sub, temporary, killed }, { driver }) => ({
    *reaper() {
      yield* oom_reap_task(p.mm, 1);
      yield* write(killed, 1);
    },
    ...(driver !== 'idle' && {
      *driver() {
        if (driver === 'removes') {
          yield* awaitValue(killed, 1); // its file is closed
          yield* mmu_interval_notifier_remove(sub);
        } else {
          if (driver === 'inserts') yield* mmu_interval_notifier_insert(temporary, p.mm, x.start, 1);
          yield* mmu_interval_read_begin(driver === 'inserts' ? temporary : sub);
        }
        see('the driver has gone on');
      },
    }),
  }),
  sometimes: ['the driver has gone on'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'driver=removes': 'safe',
    'driver=inserts': 'safe',
    'covers=nothing,driver=inserts': 'safe',
    'classic=nouveau,driver=idle': leaks('NOTIFY-BALANCE'),
    'classic=nouveau,covers=nothing,driver=idle': leaks('NOTIFY-BALANCE'),
    'classic=nouveau': deadlocks(),
    'classic=nouveau,driver=removes': deadlocks(),
    'classic=nouveau,driver=inserts': deadlocks(),
    'classic=nouveau,covers=nothing,driver=inserts': deadlocks(),
    'classic=nouveau,__mmu_notifier_invalidate_range_start.undo=interval': 'safe',
    'classic=nouveau,__mmu_notifier_invalidate_range_start.undo=interval,driver=removes': 'safe',
    'classic=nouveau,__mmu_notifier_invalidate_range_start.undo=interval,driver=inserts': 'safe',
  },
});

/**
 * The same among classic subscriptions. KVM counts the ranges that are under way, and a fault of the guest begins anew
 * while one covers its page. Another subscription refuses the range; the one that can fail has no end to be told of, so
 * all others are.
 */
export const n30c = scenario({
  id: 'N-30c',
  family: 'interval-notifiers',
  title: 'the OOM reaper, and a start that fails for another one',
  question: 'Is a classic subscription told of the end of a range that another one has refused?',
  machine: { cpus: 2, frames: 3, ptrsPerPte: 2, fill: 'demand', rcuCallbacks: 0 },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  knobs: {
    other: ['none', 'refuses'],
    'mn_hlist_invalidate_range_start.undo': ['end', 'none'],
  },
  bounds: 'one attempt to reap a page; a store of the guest, with as many faults as it takes',
  setup(m, { other }) {
    const { p, x, kvm } = guest(m);
    p.oomVictim();
    if (other === 'refuses')
      p.mmuNotifier({
        *invalidate_range_start(_, { blockable }) {
          return blockable ? 0 : -EAGAIN;
        },
      });
    return { p, x, kvm };
  },
  agents: ({ p, x, kvm }) => ({
    *reaper() {
      yield* oom_reap_task(p.mm, 1);
    },
    *vcpu() {
      yield* vcpu(kvm, x.start);
    },
  }),
  sometimes: ['the guest stored', 'retried'],
  expect: {
    base: safe(plain),
    'other=refuses': safe(plain),
    'mn_hlist_invalidate_range_start.undo=none': safe(plain),
    'other=refuses,mn_hlist_invalidate_range_start.undo=none': livelocks(),
  },
});
