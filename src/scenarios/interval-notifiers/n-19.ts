// SPDX-License-Identifier: GPL-2.0-only
import { claim, deadlocks, read, scenario, see, violates } from '../../litmus/index.js';
import {
  madvise_dontneed,
  mmu_interval_notifier_find,
  mmu_interval_notifier_find_unlock,
  mmu_interval_notifier_insert_safe,
  mmu_interval_notifier_put,
  mmu_interval_notifier_remove,
  mmu_interval_notifier_update,
  type MmuIntervalNotifierOps,
  mutex_lock,
  mutex_unlock,
} from '../../linux/index.js';
import { mirror, tearDown } from './mirror.js';

const gone = violates('SUB-LIFE');

/**
 * find() gives a driver back what it has inserted, so that it needs no tree of its own. What it returns may be given up
 * already, and is then released by the last end, whatever lock the driver has around its calls. So something has to keep
 * it: the tree locked for read, a reference, or that find() passes over what is on its way out.
 */
export const n19 = scenario({
  id: 'N-19',
  family: 'interval-notifiers',
  title: 'what keeps alive what find() returns',
  question: 'How long may a driver use what mmu_interval_notifier_find() returned?',
  machine: { cpus: 3, frames: 3, fill: 'demand' },
  knobs: {
    'mmu_interval_notifier_find.hold': ['read-locked', 'none', 'active', 'refcount'],
    'mmu_interval_notifier_find.sees': ['tree', 'no-removal'],
    driver: ['unlocked', 'locked'],
    put: ['callback', 'thread', 'nobody'],
    inside: ['look', 'remove'],
  },
  kernelKnobs: { 'mmu_interval_notifier.updates': 'v6' },
  bounds: 'one find with one look at what it returns, one put or remove, one MADV_DONTNEED that hits',
  setup(m, { put }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 1, touched: true });
    const gpu0 = mirror(m, p);
    const { user_lock } = gpu0;
    const callbacks = tearDown(gpu0);
    const ops: MmuIntervalNotifierOps = {
      *invalidate(sub, range, cur_seq) {
        yield* callbacks.invalidate(sub, range, cur_seq);
        if (put !== 'callback') return true;
        yield* mutex_lock(user_lock);
        yield* mmu_interval_notifier_put(sub);
        yield* mutex_unlock(user_lock);
        return true;
      },
      *release() {
        see('released');
      },
    };
    return { p, x, user_lock, ops, sub: p.intervalNotifier(x, ops) };
  },
  agents: ({ p, x, user_lock, ops, sub }, { driver, put, inside }) => ({
    *finder() {
      if (driver === 'locked') yield* mutex_lock(user_lock);
      const found = yield* mmu_interval_notifier_find(p.mm, ops, x.start, x.end - 1);
      if (found !== undefined) {
        yield* read(found.start);
        see('found');
        if (inside === 'remove') yield* mmu_interval_notifier_remove(found);
        yield* mmu_interval_notifier_find_unlock(found);
      } else see('not found');
      if (driver === 'locked') yield* mutex_unlock(user_lock);
    },
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.end);
    },
    ...(put === 'thread' && {
      *registrar() {
        if (driver === 'locked') yield* mutex_lock(user_lock);
        yield* mmu_interval_notifier_put(sub);
        if (driver === 'locked') yield* mutex_unlock(user_lock);
      },
    }),
  }),
  sometimes: ['found', 'not found', 'released'],
  expect: {
    base: 'safe',
    'put=thread': 'safe',
    'put=thread,machine=bcast': 'safe',
    'put=nobody,inside=remove': deadlocks({ reports: ['LOCK-ORDER'] }),
    'mmu_interval_notifier_find.hold=none': gone,
    'mmu_interval_notifier_find.hold=none,put=thread': gone,
    'mmu_interval_notifier_find.hold=none,driver=locked': gone,
    'mmu_interval_notifier_find.hold=none,driver=locked,put=thread': gone,
    'mmu_interval_notifier_find.hold=active,put=thread': gone,
    'mmu_interval_notifier_find.hold=refcount': 'safe',
    'mmu_interval_notifier_find.hold=refcount,put=thread': 'safe',
    'mmu_interval_notifier_find.hold=none,mmu_interval_notifier_find.sees=no-removal': gone,
    'mmu_interval_notifier_find.hold=none,mmu_interval_notifier_find.sees=no-removal,driver=locked': 'safe',
    'mmu_interval_notifier_find.hold=none,mmu_interval_notifier_find.sees=no-removal,driver=locked,put=thread':
      'safe',
    'mmu_interval_notifier_find.hold=none,mmu_interval_notifier_find.sees=no-removal,put=thread': gone,
  },
});

/**
 * What is queued is done as far as the thread is concerned that has queued it. A find() that looks at the tree alone does
 * not find what was inserted, at times, and finds what was given up.
 */
export const n19b = scenario({
  id: 'N-19b',
  family: 'interval-notifiers',
  title: 'find() after a change that is queued',
  question: 'Does find() see what its own thread has changed?',
  machine: { cpus: 2, frames: 4, ptrsPerPte: 2, fill: 'demand' },
  knobs: {
    'mmu_interval_notifier_find.sees': ['deferred', 'no-removal', 'tree'],
    after: ['insert', 'put', 'update'],
  },
  kernelKnobs: { 'mmu_interval_notifier.updates': 'v6' },
  bounds: 'one change and one find after it, one MADV_DONTNEED that hits another subscription',
  setup(m, { after }) {
    const p = m.process('P');
    const x = p.mmap({ pages: 2, touched: true });
    const gpu0 = mirror(m, p);
    p.intervalNotifier({ start: x.start, end: x.start + 1 }, tearDown(gpu0));
    const ops: MmuIntervalNotifierOps = { ...tearDown(gpu0), *release() {} };
    const sub = p.intervalNotifier(
      { start: x.start, end: x.start + 1 },
      ops,
      after === 'insert' ? { inserted: false, ready: true } : {},
    );
    return { p, x, ops, sub };
  },
  agents: ({ p, x, ops, sub }, { after }) => ({
    *driver() {
      const addr = x.start + 1;
      if (after === 'insert') yield* mmu_interval_notifier_insert_safe(sub, p.mm, addr, 1);
      if (after === 'put') yield* mmu_interval_notifier_put(sub);
      if (after === 'update') yield* mmu_interval_notifier_update(sub, addr, addr);
      const at = after === 'insert' ? addr : x.start;
      const found = yield* mmu_interval_notifier_find(p.mm, ops, at, at);
      const right = after === 'insert' ? sub : undefined;
      yield* claim(found === right, 'PROGRAM-ORDER', `find() does not see the ${after} before it`);
      see('as it was left');
    },
    *unmapper() {
      yield* madvise_dontneed(x.vma, x.start, x.start + 1);
    },
  }),
  sometimes: ['as it was left'],
  expect: {
    base: 'safe',
    'after=put': 'safe',
    'after=update': 'safe',
    'mmu_interval_notifier_find.sees=no-removal': violates('PROGRAM-ORDER'),
    'mmu_interval_notifier_find.sees=no-removal,after=put': 'safe',
    'mmu_interval_notifier_find.sees=no-removal,after=update': violates('PROGRAM-ORDER'),
    'mmu_interval_notifier_find.sees=tree': violates('PROGRAM-ORDER'),
    'mmu_interval_notifier_find.sees=tree,after=put': violates('PROGRAM-ORDER'),
    'mmu_interval_notifier_find.sees=tree,after=update': violates('PROGRAM-ORDER'),
  },
});
