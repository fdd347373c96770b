// SPDX-License-Identifier: GPL-2.0-only
import type { Access } from '../../core/ops.js';
import { request, type Path } from '../../core/path.js';
import {
  add,
  claim,
  equals,
  lockMapAcquire,
  lockMapRelease,
  read,
  setBits,
  testBits,
  write,
} from '../../core/primitives.js';
import { EAGAIN, EINVAL, EOVERFLOW } from '../include/errno.js';
import { lockdep_assert_held, mmap_assert_write_locked } from '../include/lockdep.js';
import { mmap_write_lock, mmap_write_unlock } from '../include/mmap_lock.js';
import type { Mm, Rwsem } from '../include/mm_types.js';
import {
  MMU_NOTIFY,
  mmu_notifier_range_blockable,
  type MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  type MmuNotifier,
  type MmuNotifierRange,
  type MmuNotifierSubscriptions,
} from '../include/mmu_notifier.js';
import { current, knob, type Kernel } from '../kernel.js';
import { down_write, up_write } from '../kernel/locking/rwsem.js';
import { spin_lock, spin_unlock } from '../kernel/locking/spinlock.js';
import { type SrcuStruct, srcu_read_lock, srcu_read_unlock, synchronize_srcu } from '../kernel/rcu/srcu.js';

/** The tree's order: by start, then by insertion, which is the order of set-up here. */
const before = (x: MmuIntervalNotifier, y: MmuIntervalNotifier): boolean =>
  x.start.value < y.start.value || (x.start.value === y.start.value && x.number < y.number);

/**
 * The interval tree and the list, each look-up and each edit one step: edits are made under the lock, look-ups where
 * nobody edits. TREE-FROZEN: somebody edits the tree while a walk that goes without the lock is under way.
 */
export function defineMmuNotifierOps(kernel: Kernel) {
  const { system, mms, interval_subs, notifiers } = kernel;
  const subscriptionsOf = (mm: number): MmuNotifierSubscriptions => mms[mm]!.notifier_subscriptions!;
  /** The first node of the tree that intersects [start, last], behind `after`; number + 1, or 0. */
  const lookUp = (
    { interval_subs: all }: MmuNotifierSubscriptions,
    start: number,
    last: number,
    after?: MmuIntervalNotifier,
  ): number => {
    let found: MmuIntervalNotifier | undefined;
    for (const sub of all) {
      if (sub.in_tree.value === 0 || sub.start.value > last || sub.last.value < start) continue;
      system.touch(sub.in_tree.at);
      if (after !== undefined && !before(after, sub)) continue;
      if (found === undefined || before(sub, found)) found = sub;
    }
    return found === undefined ? 0 : found.number + 1;
  };
  const edit = (sub: MmuIntervalNotifier, linked: number): void => {
    const { walks } = sub.mm.notifier_subscriptions!;
    if (walks.value !== 0)
      system.fail(
        'TREE-FROZEN',
        `${sub.name} is ${linked ? 'inserted into' : 'removed from'} the interval tree while a walk is under way`,
      );
    system.touch(sub.in_tree.at);
    if (sub.in_tree.value === linked)
      system.fail('TREE-FROZEN', `${sub.name} is ${linked ? 'already' : 'not'} in the interval tree`);
    system.set(sub.in_tree.at, linked);
  };
  const touchesEdit = (sub: MmuIntervalNotifier, access: Access): void => {
    access.reads.push(sub.mm.notifier_subscriptions!.walks.at);
    access.writes.push(sub.in_tree.at);
  };
  const treeCells = (subscriptions: MmuNotifierSubscriptions): number[] =>
    subscriptions.interval_subs.flatMap(({ in_tree, start, last }) => [in_tree.at, start.at, last.at]);
  const listed = (value: number): string => (value === 0 ? 'none' : interval_subs[value - 1]!.name);

  return {
    /** interval_tree_iter_first(): a = mm, [b, c] = addresses. Observes number + 1 of a subscription, or 0. */
    itreeFirst: system.op({
      name: 'interval_tree_iter_first',
      drains: false,
      exec: (a, b, c) => {
        const subscriptions = subscriptionsOf(a);
        for (const page of subscriptions.open.slice(b, c + 1)) system.set(page.at, page.value + 1);
        const found = lookUp(subscriptions, b, c);
        if (found !== 0) system.set(subscriptions.walks.at, subscriptions.walks.value + 1);
        return found;
      },
      touches: (a, _b, _c, _agent, access) => {
        const subscriptions = subscriptionsOf(a);
        access.reads.push(...treeCells(subscriptions));
        access.writes.push(subscriptions.walks.at, ...subscriptions.open.map(({ at }) => at));
      },
      describe: (_a, _b, _c, observed) => `interval_tree_iter_first() = ${listed(observed)}`,
    }),
    /** interval_tree_iter_next(): a = the subscription that the walk stands at. */
    itreeNext: system.op({
      name: 'interval_tree_iter_next',
      drains: false,
      exec: (a, b, c) => {
        const sub = interval_subs[a]!;
        const subscriptions = sub.mm.notifier_subscriptions!;
        system.touch(sub.in_tree.at);
        const found = lookUp(subscriptions, b, c, sub);
        if (found === 0) system.set(subscriptions.walks.at, subscriptions.walks.value - 1);
        return found;
      },
      touches: (a, _b, _c, _agent, access) => {
        const subscriptions = interval_subs[a]!.mm.notifier_subscriptions!;
        access.reads.push(...treeCells(subscriptions));
        access.writes.push(subscriptions.walks.at);
      },
      describe: (_a, _b, _c, observed) => `interval_tree_iter_next() = ${listed(observed)}`,
    }),
    /** interval_tree_insert(): a = subscription. */
    itreeInsert: system.op({
      name: 'interval_tree_insert',
      exec: (a) => (edit(interval_subs[a]!, 1), 0),
      touches: (a, _b, _c, _agent, access) => touchesEdit(interval_subs[a]!, access),
      describe: (a) => `interval_tree_insert(${interval_subs[a]!.name})`,
    }),
    /** interval_tree_remove(): a = subscription. */
    itreeRemove: system.op({
      name: 'interval_tree_remove',
      exec: (a) => (edit(interval_subs[a]!, 0), 0),
      touches: (a, _b, _c, _agent, access) => touchesEdit(interval_subs[a]!, access),
      describe: (a) => `interval_tree_remove(${interval_subs[a]!.name})`,
    }),
    /**
     * --active_invalidate_ranges: a = mm, b = 1: the walk of the tree ends here, c = the range, packed as start << 15 |
     * end. Observes the result.
     */
    invActiveDec: system.op({
      name: '--active_invalidate_ranges',
      exec: (a, b, c) => {
        const { active_invalidate_ranges: active, walks, open } = subscriptionsOf(a);
        system.set(active.at, active.value - 1);
        for (const page of open.slice(c >> 15, c & 32767)) system.set(page.at, page.value - 1);
        if (b === 1) system.set(walks.at, walks.value - 1);
        return active.value;
      },
      touches: (a, _b, _c, _agent, access) => {
        const { active_invalidate_ranges, walks, open } = subscriptionsOf(a);
        access.reads.push(active_invalidate_ranges.at);
        access.writes.push(active_invalidate_ranges.at, walks.at, ...open.map(({ at }) => at));
      },
    }),
    /** invalidate_seq++: a = mm. Observes the first subscription on deferred_list + 1, or 0. */
    invSeqEven: system.op({
      name: 'invalidate_seq++',
      exec: (a) => {
        const { invalidate_seq, interval_subs: all } = subscriptionsOf(a);
        system.set(invalidate_seq.at, nextSeq(invalidate_seq.value, kernel.options.seqModulus ?? 0));
        return (all.find(({ deferred }) => deferred.value !== 0)?.number ?? -1) + 1;
      },
      touches: (a, _b, _c, _agent, access) => {
        const { invalidate_seq, interval_subs: all } = subscriptionsOf(a);
        access.writes.push(invalidate_seq.at);
        access.reads.push(...all.map(({ deferred }) => deferred.at));
      },
      describe: (a) => `${mms[a]!.name}.invalidate_seq is even again`,
    }),
    /** hlist_del(&deferred_item) of subscription a; observes the next one on deferred_list + 1, or 0. */
    deferredDel: system.op({
      name: 'hlist_del',
      exec: (a) => {
        const sub = interval_subs[a]!;
        system.touch(sub.deferred.at);
        system.set(sub.deferred.at, 0);
        const { interval_subs: all } = sub.mm.notifier_subscriptions!;
        return (all.find(({ deferred }) => deferred.value !== 0)?.number ?? -1) + 1;
      },
      touches: (a, _b, _c, _agent, access) => {
        access.writes.push(interval_subs[a]!.deferred.at);
        access.reads.push(
          ...interval_subs[a]!.mm.notifier_subscriptions!.interval_subs.map(({ deferred }) => deferred.at),
        );
      },
    }),
    /** wait_event() until cell a is not b. */
    invSeqWait: system.op({
      name: 'wait_event',
      drains: false,
      sleeps: true,
      args: ['cell', 'plain', 'plain'],
      enabled: (a, b) => system.mem[a] !== b,
      exec: () => 0,
      touches: (a, _b, _c, _agent, access) => void access.reads.push(a),
      describe: (_a, b) => `wait_event(invalidate_seq != ${b})`,
    }),
    /** What an insert does before anybody knows the subscription: a = subscription, [b, c] = its range. */
    intervalInit: system.op({
      name: 'mmu_interval_notifier_insert',
      exec: (a, b, c) => {
        const sub = interval_subs[a]!;
        if (sub.life.value !== 0)
          system.fail('SUB-LIFE', `${sub.name} is inserted, and the mm knows it already`);
        const { mm_count } = sub.mm.notifier_subscriptions!;
        system.set(sub.life.at, 1);
        system.set(sub.in_tree.at, 0);
        system.set(sub.start.at, b);
        system.set(sub.last.at, c);
        system.set(mm_count.at, mm_count.value + 1);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => {
        const { life, in_tree, start, last, mm } = interval_subs[a]!;
        access.writes.push(life.at, in_tree.at, start.at, last.at, mm.notifier_subscriptions!.mm_count.at);
      },
      describe: (a, b, c) => `mmu_interval_notifier_insert(${interval_subs[a]!.name}, ${b}..${c})`,
    }),
    /** mmdrop() at the end of a removal: a = number, b = 0 for an interval, 1 for a classic one. */
    subscriptionDrop: system.op({
      name: 'mmdrop',
      exec: (a, b) => {
        const { life, mm } = b === 0 ? interval_subs[a]! : notifiers[a]!;
        const { mm_count } = mm.notifier_subscriptions!;
        system.set(mm_count.at, mm_count.value - 1);
        system.set(life.at, 0);
        return 0;
      },
      touches: (a, b, _c, _agent, access) => {
        const { life, mm } = b === 0 ? interval_subs[a]! : notifiers[a]!;
        access.writes.push(life.at, mm.notifier_subscriptions!.mm_count.at);
      },
      describe: (a, b) => `${(b === 0 ? interval_subs[a]! : notifiers[a]!).name} is its driver's again`,
    }),
    /** hlist_add_head_rcu() of classic subscription a, with the mmgrab(). */
    hlistAddHead: system.op({
      name: 'hlist_add_head_rcu',
      exec: (a) => {
        const sub = notifiers[a]!;
        const { first, mm_count } = sub.mm.notifier_subscriptions!;
        if (sub.life.value !== 0)
          system.fail('SUB-LIFE', `${sub.name} is registered, and the mm knows it already`);
        system.set(sub.life.at, 1);
        system.set(mm_count.at, mm_count.value + 1);
        system.set(sub.next.at, first.value);
        system.set(sub.hashed.at, 1);
        system.set(first.at, a + 1);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => {
        const { life, next, hashed, mm } = notifiers[a]!;
        const { first, mm_count } = mm.notifier_subscriptions!;
        access.writes.push(life.at, next.at, hashed.at, first.at, mm_count.at);
      },
      describe: (a) => `${notifiers[a]!.name} is registered`,
    }),
    /** hlist_del_init_rcu() of classic subscription a: readers that stand at it find their way on. */
    hlistDelInit: system.op({
      name: 'hlist_del_init_rcu',
      exec: (a) => {
        const sub = notifiers[a]!;
        system.touch(sub.hashed.at);
        if (sub.hashed.value === 0) return 0;
        const { first } = sub.mm.notifier_subscriptions!;
        const pprev =
          first.value === a + 1
            ? first
            : notifiers.find((each) => each.hashed.value && each.next.value === a + 1)!.next;
        system.touch(pprev.at);
        system.set(pprev.at, sub.next.value);
        system.set(sub.hashed.at, 0);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => {
        const { first, notifiers: all } = notifiers[a]!.mm.notifier_subscriptions!;
        access.writes.push(first.at, ...all.flatMap(({ next, hashed }) => [next.at, hashed.at]));
      },
      describe: (a) => `${notifiers[a]!.name} leaves the list`,
    }),
  };
}

/** The sequence number that follows: it wraps where the scenario says so, which keeps its parity. */
const nextSeq = (seq: number, modulus: number): number => (modulus === 0 ? seq + 1 : (seq + 1) % modulus);
const previousSeq = (seq: number, modulus: number): number =>
  modulus === 0 ? seq - 1 : (seq + modulus - 1) % modulus;

const subscriptionOf = (number: number): MmuIntervalNotifier | undefined =>
  number === 0 ? undefined : current.kernel.interval_subs[number - 1]!;

/** The global SRCU domain of all mms; undefined where nobody can register a classic notifier. */
const srcuDomain = (): SrcuStruct => current.kernel.mmu_notifier_srcu!;

/** @context subscriptions->lock held @kernel 6.12 mm/mmu_notifier.c mn_itree_is_invalidating: faithful */
function* mn_itree_is_invalidating(subscriptions: MmuNotifierSubscriptions): Path<boolean> {
  lockdep_assert_held(subscriptions.lock);
  return yield* testBits(subscriptions.invalidate_seq, 1);
}

/**
 * Counts an invalidation in. If it hits a subscription, the sequence number becomes odd and the tree stands still from
 * then on, so that the walk needs no lock. Returns the first subscription that is hit, and the number for it.
 * @context does not sleep
 * @kernel 6.12 mm/mmu_notifier.c mn_itree_inv_start_range: adapted (the number is read only if it is needed)
 */
export function* mn_itree_inv_start_range(
  subscriptions: MmuNotifierSubscriptions,
  range: MmuNotifierRange,
): Path<{ res: MmuIntervalNotifier | undefined; seq: number }> {
  let seq = 0;
  yield* spin_lock(subscriptions.lock);
  yield* add(subscriptions.active_invalidate_ranges, 1);
  const res = subscriptionOf(
    yield* request(current.kernel.op.itreeFirst, range.mm.number, range.start, range.end - 1),
  );
  if (res !== undefined) {
    yield* setBits(subscriptions.invalidate_seq, 1);
    seq = yield* read(subscriptions.invalidate_seq);
  }
  yield* spin_unlock(subscriptions.lock);
  return { res, seq };
}

/** The next subscription that the range hits. @context between a hit and its end: no lock @kernel 6.12 mm/mmu_notifier.c mn_itree_inv_next: faithful */
export function* mn_itree_inv_next(
  interval_sub: MmuIntervalNotifier,
  range: MmuNotifierRange,
): Path<MmuIntervalNotifier | undefined> {
  return subscriptionOf(
    yield* request(current.kernel.op.itreeNext, interval_sub.number, range.start, range.end - 1),
  );
}

/**
 * Counts an invalidation out. The last one makes the number even, makes up for the edits of the tree that were put off,
 * and wakes those who wait for the number. `walking`: the caller has not come to the end of its walk.
 * @context does not sleep
 * @kernel 6.12 mm/mmu_notifier.c mn_itree_inv_end: adapted (is told the range, for a ghost; deferred items in the order of set-up; who waits looks at the number)
 */
export function* mn_itree_inv_end(
  subscriptions: MmuNotifierSubscriptions,
  { start, end }: MmuNotifierRange,
  walking = false,
): Path {
  const { op } = current.kernel;
  yield* spin_lock(subscriptions.lock);
  const active = yield* request(
    op.invActiveDec,
    subscriptions.mm.number,
    walking ? 1 : 0,
    (start << 15) | end,
  );
  const others = active !== 0 && knob('mn_itree_inv_end.even') === 'last-end';
  if (others || !(yield* mn_itree_is_invalidating(subscriptions))) {
    yield* spin_unlock(subscriptions.lock);
    return;
  }
  let interval_sub = subscriptionOf(yield* request(op.invSeqEven, subscriptions.mm.number));
  while (interval_sub !== undefined) {
    const empty = yield* equals(interval_sub.in_tree, 0);
    yield* request(empty ? op.itreeInsert : op.itreeRemove, interval_sub.number);
    interval_sub = subscriptionOf(yield* request(op.deferredDel, interval_sub.number));
  }
  yield* spin_unlock(subscriptions.lock);
}

/**
 * Begins to read page-table entries in order to copy them. Returns a number for mmu_interval_read_retry(): that one
 * tells whether an invalidation has come between. Waits while one is under way that this subscription has heard of.
 * @context may sleep; no lock held that a callback takes
 * @kernel 6.12 mm/mmu_notifier.c mmu_interval_read_begin: faithful
 */
export function* mmu_interval_read_begin(interval_sub: MmuIntervalNotifier): Path<number> {
  const subscriptions = interval_sub.mm.notifier_subscriptions!;
  const { op, __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  yield* spin_lock(subscriptions.lock);
  const seq = yield* read(interval_sub.invalidate_seq);
  const is_invalidating = yield* equals(subscriptions.invalidate_seq, seq);
  yield* spin_unlock(subscriptions.lock);
  lockMapAcquire(map!);
  lockMapRelease(map!);
  if (is_invalidating && knob('mmu_interval_read_begin.wait') === 'on')
    yield* request(op.invSeqWait, subscriptions.invalidate_seq.at, seq);
  return seq;
}

/** Tells all interval subscriptions that the mm goes away. @context may sleep @kernel 6.12 mm/mmu_notifier.c mn_itree_release: faithful */
function* mn_itree_release(subscriptions: MmuNotifierSubscriptions): Path {
  const range: MmuNotifierRange = {
    mm: subscriptions.mm,
    start: 0,
    end: subscriptions.mm.space.pages,
    event: MMU_NOTIFY.RELEASE,
    owner: 0,
    blockable: true,
  };
  const { res, seq: cur_seq } = yield* mn_itree_inv_start_range(subscriptions, range);
  let interval_sub = res;
  while (interval_sub !== undefined) {
    const ret = yield* interval_sub.ops.invalidate(interval_sub, range, cur_seq);
    yield* claim(ret, 'WARN-ON', 'a callback refuses a blockable range (mn_itree_release)');
    interval_sub = yield* mn_itree_inv_next(interval_sub, range);
  }
  yield* mn_itree_inv_end(subscriptions, range);
}

/**
 * Tells all classic subscriptions that the mm goes away, and takes them off the list.
 * @context may sleep
 * @kernel 6.12 mm/mmu_notifier.c mn_hlist_release: faithful
 */
function* mn_hlist_release(subscriptions: MmuNotifierSubscriptions): Path {
  const { mm } = subscriptions;
  const { op, notifiers } = current.kernel;
  yield* srcu_read_lock(srcuDomain());
  let at = yield* read(subscriptions.first);
  while (at !== 0) {
    const subscription = notifiers[at - 1]!;
    if (subscription.ops.release !== undefined) yield* subscription.ops.release(subscription, mm);
    at = yield* read(subscription.next);
  }
  yield* spin_lock(subscriptions.lock);
  for (;;) {
    const first = yield* read(subscriptions.first);
    if (first === 0) break;
    yield* request(op.hlistDelInit, first - 1);
  }
  yield* spin_unlock(subscriptions.lock);
  yield* srcu_read_unlock(srcuDomain());
  // mmu_notifier_unregister() may have taken one off before, whose ->release() still runs.
  yield* synchronize_srcu(srcuDomain());
}

/** Whether the mm has a tree. @kernel 6.12 mm/mmu_notifier.c has_itree: adapted (no access where the answer can't change) */
function* hasItree(subscriptions: MmuNotifierSubscriptions): Path<boolean> {
  if (subscriptions.interval_subs.length === 0) return false;
  return subscriptions.has_itree === undefined || (yield* read(subscriptions.has_itree)) !== 0;
}

/** Whether the mm has classic subscriptions. @kernel 6.12 include/linux/list.h hlist_empty: adapted (no access where there can be none) */
function* hlistEmpty(subscriptions: MmuNotifierSubscriptions): Path<boolean> {
  return subscriptions.notifiers.length === 0 || (yield* equals(subscriptions.first, 0));
}

/**
 * The last user of the mm has gone: all subscribers let go of it, before its pages are freed.
 * @context may sleep
 * @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_release: faithful
 */
export function* __mmu_notifier_release(subscriptions: MmuNotifierSubscriptions): Path {
  if (yield* hasItree(subscriptions)) yield* mn_itree_release(subscriptions);
  if (!(yield* hlistEmpty(subscriptions))) yield* mn_hlist_release(subscriptions);
}

/**
 * Calls the interval subscriptions that the range hits. If one would have to sleep and may not, the invalidation ends
 * here: the caller does not call the end.
 * @context may sleep if the range is blockable
 * @kernel 6.12 mm/mmu_notifier.c mn_itree_invalidate: faithful
 */
function* mn_itree_invalidate(
  subscriptions: MmuNotifierSubscriptions,
  range: MmuNotifierRange,
): Path<number> {
  const { res, seq: cur_seq } = yield* mn_itree_inv_start_range(subscriptions, range);
  let interval_sub = res;
  while (interval_sub !== undefined) {
    const ret = yield* interval_sub.ops.invalidate(interval_sub, range, cur_seq);
    if (!ret) {
      yield* claim(
        !mmu_notifier_range_blockable(range),
        'WARN-ON',
        'a callback refuses a blockable range (mn_itree_invalidate)',
      );
      yield* mn_itree_inv_end(subscriptions, range, true);
      return -EAGAIN;
    }
    interval_sub = yield* mn_itree_inv_next(interval_sub, range);
  }
  return 0;
}

/**
 * Calls the classic subscriptions, all of them, even after one that would have to sleep: then those that have begun are
 * told of the end, since the caller won't call it.
 * @context may sleep if the range is blockable
 * @kernel 6.12 mm/mmu_notifier.c mn_hlist_invalidate_range_start: faithful
 */
function* mn_hlist_invalidate_range_start(
  subscriptions: MmuNotifierSubscriptions,
  range: MmuNotifierRange,
): Path<number> {
  const { notifiers, non_block_map } = current.kernel;
  let ret = 0;
  yield* srcu_read_lock(srcuDomain());
  let at = yield* read(subscriptions.first);
  while (at !== 0) {
    const subscription = notifiers[at - 1]!;
    const { ops } = subscription;
    if (ops.invalidate_range_start !== undefined) {
      if (!mmu_notifier_range_blockable(range)) lockMapAcquire(non_block_map!); // non_block_start()
      const _ret = yield* ops.invalidate_range_start(subscription, range);
      if (!mmu_notifier_range_blockable(range)) lockMapRelease(non_block_map!); // non_block_end()
      if (_ret !== 0) {
        yield* claim(
          !mmu_notifier_range_blockable(range) && _ret === -EAGAIN,
          'WARN-ON',
          'a callback fails in a blockable range (mn_hlist_invalidate_range_start)',
        );
        yield* claim(
          ops.invalidate_range_end === undefined,
          'WARN-ON',
          'a notifier whose start can fail has an end (mn_hlist_invalidate_range_start)',
        );
        ret = _ret;
      }
    }
    at = yield* read(subscription.next);
  }
  if (ret !== 0) {
    at = yield* read(subscriptions.first);
    while (at !== 0) {
      const subscription = notifiers[at - 1]!;
      if (subscription.ops.invalidate_range_end !== undefined)
        yield* subscription.ops.invalidate_range_end(subscription, range);
      at = yield* read(subscription.next);
    }
  }
  yield* srcu_read_unlock(srcuDomain());
  return ret;
}

/**
 * The interval subscriptions first, then the classic ones. When a classic one fails, the interval part stays begun.
 * @context may sleep if the range is blockable
 * @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_invalidate_range_start: faithful
 */
export function* __mmu_notifier_invalidate_range_start(
  subscriptions: MmuNotifierSubscriptions,
  range: MmuNotifierRange,
): Path<number> {
  if (yield* hasItree(subscriptions)) {
    const ret = yield* mn_itree_invalidate(subscriptions, range);
    if (ret !== 0) return ret;
  }
  if (yield* hlistEmpty(subscriptions)) return 0;
  return yield* mn_hlist_invalidate_range_start(subscriptions, range);
}

/** @context may sleep if the range is blockable @kernel 6.12 mm/mmu_notifier.c mn_hlist_invalidate_end: faithful */
function* mn_hlist_invalidate_end(subscriptions: MmuNotifierSubscriptions, range: MmuNotifierRange): Path {
  const { notifiers, non_block_map } = current.kernel;
  yield* srcu_read_lock(srcuDomain());
  let at = yield* read(subscriptions.first);
  while (at !== 0) {
    const subscription = notifiers[at - 1]!;
    const { ops } = subscription;
    if (ops.invalidate_range_end !== undefined) {
      if (!mmu_notifier_range_blockable(range)) lockMapAcquire(non_block_map!);
      yield* ops.invalidate_range_end(subscription, range);
      if (!mmu_notifier_range_blockable(range)) lockMapRelease(non_block_map!);
    }
    at = yield* read(subscription.next);
  }
  yield* srcu_read_unlock(srcuDomain());
}

/** @context may sleep if the range is blockable @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_invalidate_range_end: faithful */
export function* __mmu_notifier_invalidate_range_end(
  subscriptions: MmuNotifierSubscriptions,
  range: MmuNotifierRange,
): Path {
  const { __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  lockMapAcquire(map!);
  if (yield* hasItree(subscriptions)) yield* mn_itree_inv_end(subscriptions, range);
  if (!(yield* hlistEmpty(subscriptions))) yield* mn_hlist_invalidate_end(subscriptions, range);
  lockMapRelease(map!);
}

/** Keeps out all who change page tables of the mm. @context mmap_lock held for write; may sleep @kernel 6.12 mm/mmap.c mm_take_all_locks: adapted (the one anon_vma that an mm has; no files) */
function* mm_take_all_locks(mm: Mm): Path<Rwsem | undefined> {
  const anon_vma = current.kernel.anon_vmas[mm.number + 1];
  if (anon_vma !== undefined) yield* down_write(anon_vma);
  return anon_vma;
}

/**
 * Registers a classic notifier; without one, makes the mm ready for interval notifiers. mm_take_all_locks() waits for
 * all who walk the mm's VMAs or rmaps, so no invalidation is under way that has not seen the subscription.
 * @context mmap_lock held for write; may sleep
 * @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_register: adapted (memory does not run out)
 */
export function* __mmu_notifier_register(subscription: MmuNotifier | undefined, mm: Mm): Path<number> {
  mmap_assert_write_locked(mm);
  const subscriptions = mm.notifier_subscriptions!;
  const anon_vma = yield* mm_take_all_locks(mm);
  if (subscriptions.installed !== undefined) yield* write(subscriptions.installed, 1);
  if (subscription !== undefined) {
    yield* spin_lock(subscriptions.lock);
    yield* request(current.kernel.op.hlistAddHead, subscription.number);
    yield* spin_unlock(subscriptions.lock);
  } else if (subscriptions.has_itree !== undefined) yield* write(subscriptions.has_itree, 1);
  if (anon_vma !== undefined) yield* up_write(anon_vma); // mm_drop_all_locks()
  return 0;
}

/**
 * Subscribes to all of an mm.
 * @context may sleep; takes mmap_lock for write; the caller has mm_users
 * @kernel 6.12 mm/mmu_notifier.c mmu_notifier_register: faithful
 */
export function* mmu_notifier_register(subscription: MmuNotifier | undefined, mm: Mm): Path<number> {
  yield* mmap_write_lock(mm);
  const ret = yield* __mmu_notifier_register(subscription, mm);
  yield* mmap_write_unlock(mm);
  return ret;
}

/**
 * Ends a classic subscription: ->release() has run when it returns, by us or by exit_mmap(), and no method runs any
 * more.
 * @context may sleep; not from a callback
 * @kernel 6.12 mm/mmu_notifier.c mmu_notifier_unregister: faithful
 */
export function* mmu_notifier_unregister(subscription: MmuNotifier, mm: Mm): Path {
  const subscriptions = mm.notifier_subscriptions!;
  if (!(yield* equals(subscription.hashed, 0))) {
    yield* srcu_read_lock(srcuDomain());
    if (subscription.ops.release !== undefined) yield* subscription.ops.release(subscription, mm);
    yield* srcu_read_unlock(srcuDomain());
    yield* spin_lock(subscriptions.lock);
    yield* request(current.kernel.op.hlistDelInit, subscription.number);
    yield* spin_unlock(subscriptions.lock);
  }
  yield* synchronize_srcu(srcuDomain());
  yield* request(current.kernel.op.subscriptionDrop, subscription.number, 1);
}

/**
 * Links a subscription. While an invalidation is under way nobody knows what it covers, so the subscription counts as
 * hit; while the tree stands still, linking it is left to the last end. Its number is always odd, as callbacks set it.
 * @context does not sleep
 * @kernel 6.12 mm/mmu_notifier.c __mmu_interval_notifier_insert: adapted (mm_users is looked at where the scenario counts them; fields and mmgrab() are one step)
 */
function* __mmu_interval_notifier_insert(
  interval_sub: MmuIntervalNotifier,
  subscriptions: MmuNotifierSubscriptions,
  start: number,
  length: number,
): Path<number> {
  const { op, options } = current.kernel;
  const partial = knob('mmu_interval_notifier_insert.partial');
  const full = knob('mmu_interval_notifier_insert.full');
  const { mm_users } = interval_sub.mm;
  if (length === 0) return -EOVERFLOW;
  if (mm_users !== undefined && (yield* equals(mm_users, 0))) return -EINVAL;
  yield* request(op.intervalInit, interval_sub.number, start, start + length - 1);
  yield* spin_lock(subscriptions.lock);
  if (full === 'retry') {
    while (yield* mn_itree_is_invalidating(subscriptions)) {
      yield* spin_unlock(subscriptions.lock);
      yield* spin_lock(subscriptions.lock);
    }
  }
  const active = !(yield* equals(subscriptions.active_invalidate_ranges, 0));
  const odd = active && (yield* mn_itree_is_invalidating(subscriptions));
  if (active && (odd || partial !== 'as-idle')) {
    if (odd && full === 'defer') yield* write(interval_sub.deferred, 1);
    else {
      if (!odd && partial === 'mark') yield* setBits(subscriptions.invalidate_seq, 1);
      yield* request(op.itreeInsert, interval_sub.number);
    }
    yield* write(interval_sub.invalidate_seq, yield* read(subscriptions.invalidate_seq));
  } else {
    const seq = yield* read(subscriptions.invalidate_seq);
    yield* claim(
      (seq & 1) === 0,
      'WARN-ON',
      'the number is odd and nobody invalidates (mmu_interval_notifier_insert)',
    );
    yield* write(interval_sub.invalidate_seq, previousSeq(seq, options.seqModulus ?? 0));
    yield* request(op.itreeInsert, interval_sub.number);
  }
  yield* spin_unlock(subscriptions.lock);
  return 0;
}

function sameOps(interval_sub: MmuIntervalNotifier, mm: Mm, ops: MmuIntervalNotifierOps): void {
  if (interval_sub.mm !== mm || interval_sub.ops !== ops)
    throw new Error(`expected ${interval_sub.name} to be inserted with the mm and ops that set-up gave it`);
}

/**
 * Subscribes to [start, start + length). The mm's first one takes mmap_lock, and lockdep is told that it may.
 * @context may sleep; the caller has mm_users
 * @kernel 6.12 mm/mmu_notifier.c mmu_interval_notifier_insert: faithful
 */
export function* mmu_interval_notifier_insert(
  interval_sub: MmuIntervalNotifier,
  mm: Mm,
  start: number,
  length: number,
  ops: MmuIntervalNotifierOps = interval_sub.ops,
): Path<number> {
  sameOps(interval_sub, mm, ops);
  lockMapAcquire(mm.mmap_lock.count); // might_lock()
  lockMapRelease(mm.mmap_lock.count);
  const subscriptions = mm.notifier_subscriptions!;
  const installed = subscriptions.installed === undefined || (yield* read(subscriptions.installed)) !== 0;
  if (!installed || !(yield* hasItree(subscriptions))) {
    const ret = yield* mmu_notifier_register(undefined, mm);
    if (ret !== 0) return ret;
  }
  return yield* __mmu_interval_notifier_insert(interval_sub, subscriptions, start, length);
}

/**
 * As mmu_interval_notifier_insert() for who has mmap_lock.
 * @context mmap_lock held for write
 * @kernel 6.12 mm/mmu_notifier.c mmu_interval_notifier_insert_locked: faithful
 */
export function* mmu_interval_notifier_insert_locked(
  interval_sub: MmuIntervalNotifier,
  mm: Mm,
  start: number,
  length: number,
  ops: MmuIntervalNotifierOps = interval_sub.ops,
): Path<number> {
  sameOps(interval_sub, mm, ops);
  mmap_assert_write_locked(mm);
  const subscriptions = mm.notifier_subscriptions!;
  const installed = subscriptions.installed === undefined || (yield* read(subscriptions.installed)) !== 0;
  if (!installed || !(yield* hasItree(subscriptions))) {
    const ret = yield* __mmu_notifier_register(undefined, mm);
    if (ret !== 0) return ret;
  }
  return yield* __mmu_interval_notifier_insert(interval_sub, subscriptions, start, length);
}

/** Under the lock, so that the last end has done with the subscription. @context does not sleep @kernel 6.12 mm/mmu_notifier.c mmu_interval_seq_released: faithful */
function* mmu_interval_seq_released(subscriptions: MmuNotifierSubscriptions, seq: number): Path<boolean> {
  yield* spin_lock(subscriptions.lock);
  const ret = !(yield* equals(subscriptions.invalidate_seq, seq));
  yield* spin_unlock(subscriptions.lock);
  return ret;
}

/**
 * Ends an interval subscription. While the tree stands still that is left to the last end, and waited for.
 * @context may sleep; not from a callback, and no lock held that a callback takes
 * @kernel 6.12 mm/mmu_notifier.c mmu_interval_notifier_remove: faithful
 */
export function* mmu_interval_notifier_remove(interval_sub: MmuIntervalNotifier): Path {
  const subscriptions = interval_sub.mm.notifier_subscriptions!;
  const { op, __mmu_notifier_invalidate_range_start_map: map } = current.kernel;
  let seq = 0;
  yield* spin_lock(subscriptions.lock);
  if (yield* mn_itree_is_invalidating(subscriptions)) {
    if (yield* equals(interval_sub.in_tree, 0)) yield* write(interval_sub.deferred, 0);
    else {
      yield* write(interval_sub.deferred, 1);
      seq = yield* read(subscriptions.invalidate_seq);
    }
  } else yield* request(op.itreeRemove, interval_sub.number);
  yield* spin_unlock(subscriptions.lock);
  lockMapAcquire(map!);
  lockMapRelease(map!);
  const wait = knob('mmu_interval_notifier_remove.wait');
  if (seq !== 0 && wait !== 'none') {
    let released = false;
    while (!released) {
      yield* request(op.invSeqWait, subscriptions.invalidate_seq.at, seq);
      released = wait === 'lockless' || (yield* mmu_interval_seq_released(subscriptions, seq));
    }
  }
  yield* request(op.subscriptionDrop, interval_sub.number, 0);
}
