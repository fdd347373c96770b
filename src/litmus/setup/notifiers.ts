// SPDX-License-Identifier: MIT
import type { Mm } from '../../linux/include/mm_types.js';
import {
  MmuIntervalNotifier,
  type MmuIntervalNotifierOps,
  MmuNotifier,
  type MmuNotifierOps,
} from '../../linux/include/mmu_notifier.js';
import type { Kernel } from '../../linux/kernel.js';
import { mmu_notifier_free_rcu } from '../../linux/mm/mmu_notifier-get.js';

export interface IntervalNotifierOptions {
  readonly inserted?: boolean;
  readonly ready?: boolean;
}

/** See Process.intervalNotifier(). */
export function addIntervalNotifier(
  kernel: Kernel,
  mm: Mm,
  { start, end }: { readonly start: number; readonly end: number },
  ops: MmuIntervalNotifierOps,
  { inserted = true, ready = inserted }: IntervalNotifierOptions,
): MmuIntervalNotifier {
  // A user's file is not type-checked before it runs.
  if (typeof (ops as Partial<typeof ops> | undefined)?.invalidate !== 'function')
    throw new Error(
      `${mm.name}.intervalNotifier(range, ops): ops needs *invalidate(sub, range, cur_seq) { … }`,
    );
  const { interval_subs, system } = kernel;
  const subscriptions = kernel.notifierSubscriptions(mm);
  const number = interval_subs.length;
  const sub = new MmuIntervalNotifier(system, `sub${number}`, mm, number, ops);
  interval_subs.push(sub);
  subscriptions.interval_subs.push(sub);
  kernel.guardMm(mm);
  const { knobs } = kernel;
  if (knobs['mmu_interval_notifier.updates'] !== 'none') {
    sub.addProposed(system, knobs['mmu_interval_notifier_find.hold'] === 'refcount');
    subscriptions.wq ??= system.cell(`${mm.name}.notifiers.wq`);
  }
  if (knobs['mmu_interval_notifier.assert'] !== 'none')
    subscriptions.itree_map ??= system.cell(`${mm.name}.itree`, 0, { lockClass: 'itree', sleeps: true });
  if (ready) subscriptions.installed = subscriptions.has_itree = undefined;
  if (!inserted) return sub;
  sub.life.init(1);
  sub.users?.init(1);
  sub.in_tree.init(1);
  sub.start.init(start);
  sub.last.init(end - 1);
  sub.invalidate_seq.init(subscriptions.invalidate_seq.value - 1);
  subscriptions.mm_count.init(subscriptions.mm_count.value + 1);
  return sub;
}

/** See Process.mmuNotifier(). */
export function addNotifier(kernel: Kernel, mm: Mm, ops: MmuNotifierOps, registered: boolean): MmuNotifier {
  const { notifiers, system } = kernel;
  const subscriptions = kernel.notifierSubscriptions(mm);
  kernel.mmu_notifier_srcu ??= kernel.addSrcu('mmu_notifier');
  const number = notifiers.length;
  const subscription = new MmuNotifier(system, `notifier${number}`, mm, number, ops);
  notifiers.push(subscription);
  subscriptions.notifiers.push(subscription);
  if (ops.free_notifier !== undefined)
    subscription.rcu = kernel.mmu_notifier_srcu.addHead(subscription.name, () =>
      mmu_notifier_free_rcu(subscription),
    );
  if (!registered) return subscription;
  subscriptions.installed = undefined;
  subscription.users?.init(1);
  subscription.life.init(1);
  subscription.hashed.init(1);
  subscription.next.init(subscriptions.first.value);
  subscriptions.first.init(number + 1);
  subscriptions.mm_count.init(subscriptions.mm_count.value + 1);
  return subscription;
}
