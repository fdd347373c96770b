// SPDX-License-Identifier: GPL-2.0-only
/** include/linux/mmu_notifier.h: the hooks for classic subscriptions beside start, end and release. */
import type { Path } from '../../core/path.js';
import {
  __mmu_notifier_arch_invalidate_secondary_tlbs,
  __mmu_notifier_clear_flush_young,
  __mmu_notifier_clear_young,
  __mmu_notifier_test_young,
} from '../mm/mmu_notifier-hooks.js';
import { __mmu_notifier_subscriptions_destroy, mmu_notifier_get_locked } from '../mm/mmu_notifier-get.js';
import { mmap_write_lock, mmap_write_unlock } from './mmap_lock.js';
import type { Mm } from './mm_types.js';
import { mm_has_notifiers, type MmuNotifier, type MmuNotifierOps } from './mmu_notifier.js';

/** Whether somebody can have subscribed with that method. */
const anyHas = (mm: Mm, method: keyof MmuNotifierOps): boolean =>
  mm.notifier_subscriptions?.notifiers.some(({ ops }) => ops[method] !== undefined) === true;

/** @context does not sleep; the PTL may be held @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_clear_flush_young: adapted (no access where nobody has the method) */
export function* mmu_notifier_clear_flush_young(mm: Mm, start: number, end: number): Path<boolean> {
  if (!anyHas(mm, 'clear_flush_young')) return false;
  const subscriptions = yield* mm_has_notifiers(mm);
  return subscriptions !== undefined && (yield* __mmu_notifier_clear_flush_young(subscriptions, start, end));
}

/** @context does not sleep; the PTL may be held @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_clear_young: adapted (no access where nobody has the method) */
export function* mmu_notifier_clear_young(mm: Mm, start: number, end: number): Path<boolean> {
  if (!anyHas(mm, 'clear_young')) return false;
  const subscriptions = yield* mm_has_notifiers(mm);
  return subscriptions !== undefined && (yield* __mmu_notifier_clear_young(subscriptions, start, end));
}

/** @context does not sleep; the PTL may be held @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_test_young: adapted (no access where nobody has the method) */
export function* mmu_notifier_test_young(mm: Mm, address: number): Path<boolean> {
  if (!anyHas(mm, 'test_young')) return false;
  const subscriptions = yield* mm_has_notifiers(mm);
  return subscriptions !== undefined && (yield* __mmu_notifier_test_young(subscriptions, address));
}

/**
 * CPUs have dropped [start, end) from their TLBs: so do devices that walk the same page tables.
 * @context does not sleep; the PTL may be held
 * @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_arch_invalidate_secondary_tlbs: adapted (no access where nobody has the method)
 */
export function* mmu_notifier_arch_invalidate_secondary_tlbs(mm: Mm, start: number, end: number): Path {
  if (!anyHas(mm, 'arch_invalidate_secondary_tlbs')) return;
  const subscriptions = yield* mm_has_notifiers(mm);
  if (subscriptions !== undefined)
    yield* __mmu_notifier_arch_invalidate_secondary_tlbs(subscriptions, start, end);
}

/** As mmu_notifier_get_locked() for who does not have mmap_lock. @context may sleep; takes mmap_lock for write @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_get: faithful */
export function* mmu_notifier_get(ops: MmuNotifierOps, mm: Mm): Path<MmuNotifier | undefined> {
  yield* mmap_write_lock(mm);
  const ret = yield* mmu_notifier_get_locked(ops, mm);
  yield* mmap_write_unlock(mm);
  return ret;
}

/** The mm goes, and with it what it keeps of its subscribers. @context nobody has the mm @kernel 6.12 include/linux/mmu_notifier.h mmu_notifier_subscriptions_destroy: faithful */
export function* mmu_notifier_subscriptions_destroy(mm: Mm): Path {
  const subscriptions = yield* mm_has_notifiers(mm);
  if (subscriptions !== undefined) yield* __mmu_notifier_subscriptions_destroy(subscriptions);
}
