// SPDX-License-Identifier: GPL-2.0-only
/** mm/mmu_notifier.c: classic subscriptions are asked what their device has used, and told what CPUs have flushed. */
import type { Path } from '../../core/path.js';
import { read } from '../../core/primitives.js';
import type { MmuNotifierSubscriptions } from '../include/mmu_notifier.js';
import { current } from '../kernel.js';
import { srcu_read_lock, srcu_read_unlock } from '../kernel/rcu/srcu.js';

/**
 * Whether a device has used pages of [start, end); all are asked, since all are to forget it.
 * @context does not sleep; the PTL may be held
 * @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_clear_flush_young: faithful
 */
export function* __mmu_notifier_clear_flush_young(
  { mm, first }: MmuNotifierSubscriptions,
  start: number,
  end: number,
): Path<boolean> {
  const { notifiers, mmu_notifier_srcu: srcu } = current.kernel;
  let young = false;
  yield* srcu_read_lock(srcu!);
  let at = yield* read(first);
  while (at !== 0) {
    const subscription = notifiers[at - 1]!;
    const { ops } = subscription;
    if (ops.clear_flush_young !== undefined) {
      if (yield* ops.clear_flush_young(subscription, mm, start, end)) young = true;
    }
    at = yield* read(subscription.next);
  }
  yield* srcu_read_unlock(srcu!);
  return young;
}

/** The same; flushing may be left out. @context does not sleep; the PTL may be held @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_clear_young: faithful */
export function* __mmu_notifier_clear_young(
  { mm, first }: MmuNotifierSubscriptions,
  start: number,
  end: number,
): Path<boolean> {
  const { notifiers, mmu_notifier_srcu: srcu } = current.kernel;
  let young = false;
  yield* srcu_read_lock(srcu!);
  let at = yield* read(first);
  while (at !== 0) {
    const subscription = notifiers[at - 1]!;
    const { ops } = subscription;
    if (ops.clear_young !== undefined) {
      if (yield* ops.clear_young(subscription, mm, start, end)) young = true;
    }
    at = yield* read(subscription.next);
  }
  yield* srcu_read_unlock(srcu!);
  return young;
}

/** Whether a device has used a page; the first one that has will do. @context does not sleep; the PTL may be held @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_test_young: faithful */
export function* __mmu_notifier_test_young(
  { mm, first }: MmuNotifierSubscriptions,
  address: number,
): Path<boolean> {
  const { notifiers, mmu_notifier_srcu: srcu } = current.kernel;
  let young = false;
  yield* srcu_read_lock(srcu!);
  let at = yield* read(first);
  while (at !== 0 && !young) {
    const subscription = notifiers[at - 1]!;
    const { ops } = subscription;
    if (ops.test_young !== undefined) young = yield* ops.test_young(subscription, mm, address);
    if (!young) at = yield* read(subscription.next);
  }
  yield* srcu_read_unlock(srcu!);
  return young;
}

/**
 * Devices that walk the CPU's page tables drop [start, end) from their TLBs.
 * @context does not sleep; the PTL may be held
 * @kernel 6.12 mm/mmu_notifier.c __mmu_notifier_arch_invalidate_secondary_tlbs: faithful
 */
export function* __mmu_notifier_arch_invalidate_secondary_tlbs(
  { mm, first }: MmuNotifierSubscriptions,
  start: number,
  end: number,
): Path {
  const { notifiers, mmu_notifier_srcu: srcu } = current.kernel;
  yield* srcu_read_lock(srcu!);
  let at = yield* read(first);
  while (at !== 0) {
    const subscription = notifiers[at - 1]!;
    const { ops } = subscription;
    if (ops.arch_invalidate_secondary_tlbs !== undefined)
      yield* ops.arch_invalidate_secondary_tlbs(subscription, mm, start, end);
    at = yield* read(subscription.next);
  }
  yield* srcu_read_unlock(srcu!);
}
