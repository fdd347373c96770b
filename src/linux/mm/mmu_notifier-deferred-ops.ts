// SPDX-License-Identifier: GPL-2.0-only
/** mm/mmu_notifier.c: deferred_list, and the number whose becoming even has it made up for. */
import type { Access } from '../../core/ops.js';
import type { MmuIntervalNotifier, MmuNotifierSubscriptions } from '../include/mmu_notifier.js';
import type { Kernel } from '../kernel.js';

/** The sequence number that follows: it wraps where the scenario says so, which keeps its parity. */
export const nextSeq = (seq: number, modulus: number): number =>
  modulus === 0 ? seq + 1 : (seq + 1) % modulus;

/**
 * deferred_list is a list that grows at its head: what was put off last is made up for first. LIST-CORRUPT: an item is
 * linked that is linked already, or unlinked that is not. In C nothing notices at that moment: what follows is lost, or met
 * twice.
 */
export function defineDeferredOps(kernel: Kernel) {
  const { system, mms, interval_subs } = kernel;
  /** The one on deferred_list at a place from the end, or undefined. */
  const deferredAt = ({ interval_subs: all }: MmuNotifierSubscriptions, place: number) =>
    all.find(({ deferred }) => deferred.value === place);
  const lengthOf = ({ interval_subs: all }: MmuNotifierSubscriptions): number =>
    Math.max(0, ...all.map(({ deferred }) => deferred.value));
  /** Number + 1 of the first one on deferred_list, or 0. */
  const deferredFirst = (subscriptions: MmuNotifierSubscriptions): number =>
    (deferredAt(subscriptions, Math.max(1, lengthOf(subscriptions)))?.number ?? -1) + 1;
  const touchesDeferred = ({ mm }: MmuIntervalNotifier, access: Access): void => {
    access.writes.push(...mm.notifier_subscriptions!.interval_subs.map(({ deferred }) => deferred.at));
  };

  return {
    /** invalidate_seq++: a = mm. Observes the first subscription on deferred_list + 1, or 0. */
    invSeqEven: system.op({
      name: 'invalidate_seq++',
      exec: (a) => {
        const subscriptions = mms[a]!.notifier_subscriptions!;
        const { invalidate_seq } = subscriptions;
        system.set(invalidate_seq.at, nextSeq(invalidate_seq.value, kernel.options.seqModulus ?? 0));
        return deferredFirst(subscriptions);
      },
      touches: (a, _b, _c, _agent, access) => {
        const { invalidate_seq, interval_subs: all } = mms[a]!.notifier_subscriptions!;
        access.writes.push(invalidate_seq.at);
        access.reads.push(...all.map(({ deferred }) => deferred.at));
      },
      describe: (a) => `${mms[a]!.name}.invalidate_seq is even again`,
    }),
    /** hlist_add_head(&deferred_item, &deferred_list) of subscription a: what is on a list already spoils it. */
    deferredAdd: system.op({
      name: 'hlist_add_head',
      exec: (a) => {
        const sub = interval_subs[a]!;
        const subscriptions = sub.mm.notifier_subscriptions!;
        system.touch(sub.deferred.at);
        if (sub.deferred.value !== 0) {
          system.fail('LIST-CORRUPT', `${sub.name} is added to deferred_list, and is on it already`);
          return 0;
        }
        const first = deferredAt(subscriptions, Math.max(1, lengthOf(subscriptions)));
        if (first !== undefined) system.touch(first.deferred.at);
        system.set(sub.deferred.at, lengthOf(subscriptions) + 1);
        return 0;
      },
      touches: (a, _b, _c, _agent, access) => touchesDeferred(interval_subs[a]!, access),
      describe: (a) => `${interval_subs[a]!.name} is put on deferred_list`,
    }),
    /** hlist_del(&deferred_item) of subscription a; observes the next one on deferred_list + 1, or 0. */
    deferredDel: system.op({
      name: 'hlist_del',
      exec: (a) => {
        const sub = interval_subs[a]!;
        const subscriptions = sub.mm.notifier_subscriptions!;
        system.touch(sub.deferred.at);
        const place = sub.deferred.value;
        if (place === 0) {
          system.fail('LIST-CORRUPT', `${sub.name} is taken off deferred_list, and is not on it`);
          return 0;
        }
        for (const each of subscriptions.interval_subs) {
          if (each !== sub && Math.abs(each.deferred.value - place) === 1 && each.deferred.value !== 0)
            system.touch(each.deferred.at); // its neighbours are linked with each other
          if (each.deferred.value > place) system.set(each.deferred.at, each.deferred.value - 1);
        }
        system.set(sub.deferred.at, 0);
        return place === 1 ? 0 : deferredAt(subscriptions, place - 1)!.number + 1;
      },
      touches: (a, _b, _c, _agent, access) => touchesDeferred(interval_subs[a]!, access),
    }),
  };
}
