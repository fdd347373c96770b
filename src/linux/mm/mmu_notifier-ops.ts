// SPDX-License-Identifier: GPL-2.0-only
/** mm/mmu_notifier.c: the tree and the list of an mm, operation by operation. */
import type { Access } from '../../core/ops.js';
import { LIFE, type MmuIntervalNotifier, type MmuNotifierSubscriptions } from '../include/mmu_notifier.js';
import type { Kernel } from '../kernel.js';

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
      system.fail('LIST-CORRUPT', `${sub.name} is ${linked ? 'already' : 'not'} in the interval tree`);
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
    /**
     * interval_tree_iter_first(): a = mm, [b, c] = addresses; c is less than 0 at the release of the mm, and is all of
     * it then. Observes number + 1 of a subscription, or 0.
     */
    itreeFirst: system.op({
      name: 'interval_tree_iter_first',
      drains: false,
      exec: (a, b, last) => {
        const subscriptions = subscriptionsOf(a);
        const c = last < 0 ? mms[a]!.space.pages - 1 : last;
        if (last < 0)
          for (const { in_tree, released } of subscriptions.interval_subs)
            if (in_tree.value !== 0 && released !== undefined) system.set(released.at, 1);
        for (const page of subscriptions.open.slice(b, c + 1)) system.set(page.at, page.value + 1);
        const found = lookUp(subscriptions, b, c);
        if (found !== 0) system.set(subscriptions.walks.at, subscriptions.walks.value + 1);
        return found;
      },
      touches: (a, _b, _c, _agent, access) => {
        const subscriptions = subscriptionsOf(a);
        access.reads.push(...treeCells(subscriptions));
        access.writes.push(subscriptions.walks.at, ...subscriptions.open.map(({ at }) => at));
        for (const { released } of subscriptions.interval_subs)
          if (released !== undefined) access.writes.push(released.at);
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
    /** wait_event() until cell a is not b. */
    invSeqWait: system.op({
      name: 'wait_event',
      drains: false,
      sleeps: true,
      args: ['cell', 'plain', 'plain'],
      enabled: (a, b) => system.mem[a] !== b,
      waits: (a) => ({
        until: `${system.cells[a]!.name} to change`,
        counted: mms.flatMap(({ notifier_subscriptions: subscriptions }) =>
          subscriptions?.invalidate_seq.at === a ? [subscriptions.active_invalidate_ranges.at] : [],
        ),
        by: 'mmu_notifier_invalidate_range_end()',
      }),
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
        system.set(sub.life.at, LIFE.KNOWN);
        if (sub.users !== undefined) system.set(sub.users.at, 1);
        system.set(sub.in_tree.at, 0);
        system.set(sub.start.at, b);
        system.set(sub.last.at, c);
        system.set(mm_count.at, mm_count.value + 1);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => {
        const { life, users, in_tree, start, last, mm } = interval_subs[a]!;
        if (users !== undefined) access.writes.push(users.at);
        access.writes.push(life.at, in_tree.at, start.at, last.at, mm.notifier_subscriptions!.mm_count.at);
      },
      describe: (a, b, c) => `mmu_interval_notifier_insert(${interval_subs[a]!.name}, ${b}..${c})`,
    }),
    /**
     * mmdrop() at the end of a removal: a = number, b = 0 for an interval, 1 for a classic one. Observes whether it was
     * the last reference on the mm.
     */
    subscriptionDrop: system.op({
      name: 'mmdrop',
      exec: (a, b) => {
        const { life, mm } = b === 0 ? interval_subs[a]! : notifiers[a]!;
        const { mm_count } = mm.notifier_subscriptions!;
        system.touch(mm_count.at);
        system.set(mm_count.at, mm_count.value - 1);
        system.set(life.at, 0);
        return mm_count.value === 0 ? 1 : 0;
      },
      touches: (a, b, _c, _agent, access) => {
        const { life, mm } = b === 0 ? interval_subs[a]! : notifiers[a]!;
        access.writes.push(life.at, mm.notifier_subscriptions!.mm_count.at);
      },
      describe: (a, b) => `${(b === 0 ? interval_subs[a]! : notifiers[a]!).name} is its driver's again`,
    }),
    /** kfree() of what classic subscription a is a part of. */
    subscriptionFree: system.op({
      name: 'kfree',
      exec: (a) => {
        const { life, name, hashed } = notifiers[a]!;
        if (life.value === 0) system.fail('SUB-LIFE', `${name} is freed, and it is its driver's already`);
        if (hashed.value !== 0) system.fail('SUB-LIFE', `${name} is freed, and it is on the list`);
        system.set(life.at, 0);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => {
        access.writes.push(notifiers[a]!.life.at);
        access.reads.push(notifiers[a]!.hashed.at);
      },
      describe: (a) => `kfree(${notifiers[a]!.name})`,
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
        if (sub.users !== undefined) system.set(sub.users.at, 1);
        system.set(mm_count.at, mm_count.value + 1);
        system.set(sub.next.at, first.value);
        system.set(sub.hashed.at, 1);
        system.set(first.at, a + 1);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => {
        const { life, next, hashed, users, mm } = notifiers[a]!;
        const { first, mm_count } = mm.notifier_subscriptions!;
        access.writes.push(life.at, next.at, hashed.at, first.at, mm_count.at);
        if (users !== undefined) access.writes.push(users.at);
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
