// SPDX-License-Identifier: GPL-2.0-only
/** mm/mmu_notifier.c: the operations that only the proposals of v5 and v6 make. */
import type { Access } from '../../core/ops.js';
import { LIFE, type MmuIntervalNotifier } from '../include/mmu_notifier.js';
import type { Kernel } from '../kernel.js';

/** What of the tree and of deferred_list mmu_interval_notifier_find() looks at. */
export const FIND = { TREE: 0, NO_REMOVAL: 1, DEFERRED: 2 } as const;

/** Addresses in a page, as a shift: all that counts is that there is more than one. */
export const ADDRESSES_SHIFT = 4;

/** Subscriptions change their range, are given up, released and found. */
export function defineProposalOps(kernel: Kernel) {
  const { system, mms, interval_subs } = kernel;
  /** The pages of a pending update; undefined: none is. As v6 keeps them: mmu_notifier-proposals.ts. */
  const pending = ({ updated_start, updated_last }: MmuIntervalNotifier) =>
    updated_last === undefined || updated_last.value === 0
      ? undefined
      : { start: updated_start!.value >> ADDRESSES_SHIFT, last: updated_last.value >> ADDRESSES_SHIFT };
  /** The range in which `sub` is to be found, for who looks at `how` much. */
  const seenAt = (sub: MmuIntervalNotifier, how: number): { start: number; last: number } | undefined => {
    const { in_tree, deferred, start, last } = sub;
    const own = { start: start.value, last: last.value };
    if (how === FIND.TREE || deferred.value === 0) return in_tree.value === 0 ? undefined : own;
    const update = pending(sub);
    if (in_tree.value !== 0 && update === undefined) return undefined; // queued to be removed
    if (how === FIND.NO_REMOVAL) return in_tree.value === 0 ? undefined : own;
    return update ?? own;
  };
  const touchesLife = (a: number, access: Access): void =>
    void access.writes.push(interval_subs[a]!.life.at, interval_subs[a]!.deferred.at);

  return {
    /** Sleeps until bit b of wait queue a is clear. */
    wqSleep: system.op({
      name: 'wait_event',
      drains: false,
      sleeps: true,
      args: ['cell', 'plain', 'plain'],
      enabled: (a, b) => (system.mem[a]! & b) === 0,
      waits: (a) => ({
        until: 'wake_up_all()',
        counted: mms.flatMap(({ notifier_subscriptions: subscriptions }) =>
          subscriptions?.wq?.at === a ? [subscriptions.active_invalidate_ranges.at] : [],
        ),
        by: 'mmu_notifier_invalidate_range_end()',
      }),
      exec: () => 0,
      touches: (a, _b, _c, _agent, access) => void access.reads.push(a),
      describe: () => 'is woken',
    }),
    /** interval_tree.start and .last of subscription a become b and c: only out of the tree. */
    intervalSet: system.op({
      name: 'interval_tree.start, last',
      exec: (a, b, c) => {
        const { name, in_tree, start, last } = interval_subs[a]!;
        system.touch(start.at);
        if (in_tree.value !== 0)
          system.fail('LIST-CORRUPT', `the range of ${name} is changed while it is in the tree`);
        system.set(start.at, b);
        system.set(last.at, c);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => {
        const { in_tree, start, last } = interval_subs[a]!;
        access.reads.push(in_tree.at);
        access.writes.push(start.at, last.at);
      },
      describe: (a, b, c) => `the range of ${interval_subs[a]!.name} becomes ${b}..${c}`,
    }),
    /** Ghost: subscription a is given up; it has to be released by the end. */
    subscriptionPut: system.op({
      name: 'mmu_interval_notifier_put',
      exec: (a) => {
        const { life, deferred } = interval_subs[a]!;
        system.touch(deferred.at);
        system.set(life.at, LIFE.PUT);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => touchesLife(a, access),
      describe: (a) => `mmu_interval_notifier_put(${interval_subs[a]!.name})`,
    }),
    /** ops->release of subscription a is about to be called: it leaves removed_list, and is its driver's again. */
    subscriptionRelease: system.op({
      name: 'ops->release',
      exec: (a) => {
        const { name, life, deferred, in_tree } = interval_subs[a]!;
        system.touch(deferred.at);
        if (in_tree.value !== 0 || deferred.value !== 0)
          system.fail('SUB-LIFE', `${name} is released, and the mm has it still`);
        system.set(life.at, LIFE.DRIVER);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => {
        access.reads.push(interval_subs[a]!.in_tree.at);
        touchesLife(a, access);
      },
      describe: (a) => `ops->release(${interval_subs[a]!.name})`,
    }),
    /** Ghost: mmu_interval_notifier_remove() of a subscription with ops->release is about to return: its caller frees it. */
    subscriptionFreed: system.op({
      name: 'mmu_interval_notifier_remove',
      exec: (a) => (system.set(interval_subs[a]!.life.at, LIFE.DRIVER), 0),
      touches: (a, _b, _c, _agent, access) => void access.writes.push(interval_subs[a]!.life.at),
      describe: (a) => `${interval_subs[a]!.name} is its driver's again, the mm is not dropped`,
    }),
    /** The first subscription with the ops of a that intersects b = start << 15 | last; c is of FIND. Number + 1, or 0. */
    itreeFind: system.op({
      name: 'mmu_interval_notifier_find',
      exec: (a, b, c) => {
        let found: MmuIntervalNotifier | undefined;
        let first = 0;
        const { ops, mm } = interval_subs[a]!;
        for (const sub of mm.notifier_subscriptions!.interval_subs) {
          const range = sub.ops === ops ? seenAt(sub, c) : undefined;
          if (range === undefined || range.start > (b & 32767) || range.last < b >> 15) continue;
          if (found !== undefined && range.start >= first) continue;
          found = sub;
          first = range.start;
        }
        if (found === undefined) return 0;
        system.touch(found.in_tree.at);
        return found.number + 1;
      },
      touches: (a, _b, _c, _agent, access) => {
        for (const sub of interval_subs[a]!.mm.notifier_subscriptions!.interval_subs)
          for (const cell of [
            sub.in_tree,
            sub.start,
            sub.last,
            sub.deferred,
            sub.updated_start,
            sub.updated_last,
          ])
            if (cell !== undefined) access.reads.push(cell.at);
      },
      describe: (_a, _b, _c, observed) =>
        `mmu_interval_notifier_find() = ${observed === 0 ? 'none' : interval_subs[observed - 1]!.name}`,
    }),
    /** Ghost: the tree of mm a has to stand still until the end of what was begun. */
    itreeHold: system.op({
      name: 'mmu_interval_notifier_find',
      exec: (a) => {
        const { walks } = mms[a]!.notifier_subscriptions!;
        system.set(walks.at, walks.value + 1);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) =>
        void access.writes.push(mms[a]!.notifier_subscriptions!.walks.at),
      describe: (a) => `the interval tree of ${mms[a]!.name} is locked for read`,
    }),
  };
}
