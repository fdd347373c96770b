// SPDX-License-Identifier: GPL-2.0-only
import { type Path, read, scenario, see, testAndSetBits, violates, write } from '../../litmus/index.js';
import {
  executes,
  free_module,
  kfreeNotifier,
  madvise_dontneed,
  mmput,
  mmu_notifier_get,
  mmu_notifier_put,
  mmu_notifier_synchronize,
  mmu_notifier_unregister,
  Module,
  type MmuNotifier,
  type MmuNotifierOps,
} from '../../linux/index.js';
import { deviceFlush, deviceUnmap } from '../../machine/machine.js';
import { mirror } from './mirror.js';

/**
 * mmu_notifier_unregister() beside what may walk past the subscription: an invalidation, and the exit of the process,
 * which takes it off the list as well. Both wait for the SRCU readers: the one so that the driver can free the
 * subscription, the other so that pages are not freed while a release() that it has not called still runs.
 */
export const n29 = scenario({
  id: 'N-29',
  family: 'interval-notifiers',
  title: 'a classic subscription ends',
  question: 'What do mmu_notifier_unregister() and exit wait for?',
  machine: { cpus: 2, frames: 2, fill: 'demand', rcuCallbacks: 0 },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  knobs: {
    beside: ['dontneed', 'exit'],
    from: ['thread', 'callback'],
    // Of two calls at once, both tear down, or the second one leaves it to the first.
    release: ['each', 'once'],
    'mmu_notifier_unregister.wait': ['srcu', 'none'],
    'mn_hlist_release.wait': ['srcu', 'none'],
  },
  bounds:
    'one page that a device has; one mmu_notifier_unregister(), one MADV_DONTNEED or the exit of the process',
  setup(m, { release, from }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    p.users(1);
    const { gpu } = mirror(m, p);
    gpu.pte[0]!.init(m.kernel.machine.leaf(p.mm.space, x.start));
    const released = m.flag('released');
    function* tearDown(): Path {
      yield* deviceUnmap(gpu, x.start, x.end);
      yield* deviceFlush(gpu, x.start, x.end);
    }
    const ops: MmuNotifierOps = {
      *release() {
        if (release === 'once' && (yield* testAndSetBits(released, 1))) return;
        yield* tearDown();
      },
      *invalidate_range_start() {
        yield* tearDown();
        if (from === 'callback') yield* mmu_notifier_unregister(sub, p.mm);
        return 0;
      },
    };
    const sub: MmuNotifier = p.mmuNotifier(ops);
    return { p, x, sub };
  },
  agents: ({ p, x, sub }, { beside, from }) => ({
    ...(from === 'thread' && {
      *driver() {
        yield* mmu_notifier_unregister(sub, p.mm);
        see('unregistered');
      },
    }),
    *other() {
      if (beside === 'exit') yield* mmput(p.mm);
      else yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['unregistered'],
  expect: {
    base: 'safe',
    'machine=bcast': 'safe',
    'beside=exit': 'safe',
    'beside=exit,release=once': 'safe',
    'from=callback': violates('GP-RULE'),
    'mmu_notifier_unregister.wait=none': violates('SUB-LIFE'),
    'beside=exit,mmu_notifier_unregister.wait=none': violates('SUB-LIFE'),
    'beside=exit,mn_hlist_release.wait=none': 'safe',
    'beside=exit,release=once,mn_hlist_release.wait=none': violates('SPTE-COHERENT'),
  },
});

/**
 * One subscription for all who want one with the same ops: mmu_notifier_get() finds it, the last mmu_notifier_put() frees
 * it, when nobody can walk past it any more. Nobody waits for that, so that a put needs no context.
 */
export const n29b = scenario({
  id: 'N-29b',
  family: 'interval-notifiers',
  title: 'a classic subscription with several users',
  question: 'When may mmu_notifier_put() free a subscription?',
  machine: { cpus: 3, frames: 2, fill: 'demand', rcuCallbacks: 0 },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  knobs: {
    'mmu_notifier_put.free': ['call_srcu', 'at-once'],
    // The left user's: his own, or by release() when the process exits. 'twice': both users' are.
    puts: ['each', 'by-release', 'twice'],
    beside: ['dontneed', 'exit'],
  },
  bounds:
    'two users with one mmu_notifier_get() and mmu_notifier_put() each, one MADV_DONTNEED or the exit of the process',
  setup(m, { puts }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    p.users(3);
    const allocated = [m.flag('allocated0'), m.flag('allocated1')];
    const pool: MmuNotifier[] = [];
    const ops: MmuNotifierOps = {
      *invalidate_range_start() {
        see('told');
        return 0;
      },
      *release(sub) {
        if (puts === 'by-release') yield* mmu_notifier_put(sub);
      },
      *alloc_notifier() {
        for (const [i, one] of allocated.entries()) if (!(yield* testAndSetBits(one, 1))) return pool[i];
        return undefined;
      },
      *free_notifier(sub) {
        yield* kfreeNotifier(sub);
        yield* write(allocated[sub.number]!, 0);
        see('freed');
      },
    };
    for (const _ of allocated) pool.push(p.mmuNotifier(ops, { registered: false }));
    return { p, x, ops };
  },
  agents: ({ p, x, ops }, { puts, beside }) => {
    function* user(putsItself: boolean): Path {
      const sub = yield* mmu_notifier_get(ops, p.mm);
      if (sub === undefined) return;
      if ((yield* read(sub.users!)) === 2) see('shared');
      yield* mmput(p.mm);
      if (putsItself) yield* mmu_notifier_put(sub);
      if (puts === 'twice') yield* mmu_notifier_put(sub);
    }
    return {
      left: () => user(puts !== 'by-release'),
      right: () => user(true),
      *other() {
        if (beside === 'exit') yield* mmput(p.mm);
        else yield* madvise_dontneed(x.vma, x.start, x.end);
      },
    };
  },
  sometimes: ['shared', 'freed'],
  expect: {
    base: 'safe',
    'beside=exit': 'safe',
    'puts=by-release,beside=exit': 'safe',
    'mmu_notifier_put.free=at-once': violates('SUB-LIFE'),
    'mmu_notifier_put.free=at-once,beside=exit': violates('SUB-LIFE'),
    'mmu_notifier_put.free=at-once,puts=by-release,beside=exit': violates('SUB-LIFE'),
    'puts=twice': violates('WARN-ON'),
  },
});

/**
 * free_notifier() is code of the driver's module, and runs some time after mmu_notifier_put(): before the module goes it
 * calls mmu_notifier_synchronize(). That waits for a grace period, not for callbacks whose grace period is over already:
 * they have run by then only if they stand before its own callback, on one list.
 */
export const n29c = scenario({
  id: 'N-29c',
  family: 'interval-notifiers',
  title: 'the module of a classic subscription goes',
  question: 'Does mmu_notifier_synchronize() wait for free_notifier()?',
  machine: { cpus: 2, frames: 2, fill: 'demand', rcuCallbacks: 0 },
  kernelKnobs: { 'mmu_gather.table_free': 'with-flush' },
  knobs: {
    unload: ['synchronize', 'at-once'],
    'call_srcu.list': ['boot-cpu', 'per-cpu'],
    'mmu_notifier_synchronize.waits': ['grace-period', 'callbacks'],
  },
  bounds: 'one mmu_notifier_put() and the unloading of its module, one MADV_DONTNEED',
  setup(m) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const module = new Module(m.kernel.system, 'driver');
    const sub = p.mmuNotifier({
      *invalidate_range_start() {
        yield* executes(module);
        return 0;
      },
      *free_notifier(it) {
        yield* kfreeNotifier(it);
        yield* executes(module);
        see('freed');
      },
    });
    return { x, sub, module };
  },
  agents: ({ x, sub, module }, { unload }) => ({
    *rmmod() {
      yield* mmu_notifier_put(sub);
      if (unload === 'synchronize') yield* mmu_notifier_synchronize();
      yield* free_module(module);
      see('unloaded');
    },
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
  }),
  sometimes: ['freed', 'unloaded'],
  expect: {
    base: 'safe',
    'mmu_notifier_synchronize.waits=callbacks': 'safe',
    'call_srcu.list=per-cpu,mmu_notifier_synchronize.waits=callbacks': 'safe',
    'call_srcu.list=per-cpu': violates('DRIVER-LIVE'),
    'unload=at-once': violates('DRIVER-LIVE'),
  },
});
