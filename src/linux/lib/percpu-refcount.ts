// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../core/path.js';
import { add, addUnless, read, setBits, subAndTest, testBits, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { knob, type Kernel } from '../kernel.js';
import { call_rcu, rcu_read_lock, rcu_read_unlock } from '../kernel/rcu/tree.js';

/** Flags in the low bits of percpu_count_ptr. */
const __PERCPU_REF_ATOMIC = 1;
const __PERCPU_REF_DEAD = 2;
const __PERCPU_REF_ATOMIC_DEAD = 3;
/** Keeps the atomic count above zero for as long as references are counted per CPU. */
const PERCPU_COUNT_BIAS = 64;

/** @kernel 6.12 include/linux/percpu-refcount.h struct percpu_ref: adapted (the per-CPU counts are one count) */
export class PercpuRef {
  /** The flags of percpu_count_ptr. */
  readonly percpu_count_ptr: Cell;
  readonly percpu_count: Cell;
  /** data->count. */
  readonly count: Cell;
  readonly rcu: number;
  /** 1: percpu_ref_exit() was called, the object that contains the count may be freed. */
  readonly exited: Cell;

  /** A live reference count with the initial reference and `references` more. */
  constructor(
    kernel: Kernel,
    name: string,
    references: number,
    readonly release: () => Path,
  ) {
    const { system } = kernel;
    this.exited = system.cell(`${name}.exited`);
    const guard = { cell: this.exited, alive: 1, what: name, property: () => 'PGMAP-LIVE' };
    this.percpu_count_ptr = system.cell(`${name}.percpu_count_ptr`, 0, {
      guard,
      type: {
        name: 'percpu_ref',
        show: (value) => ['percpu', 'atomic', 'dead', 'atomic, dead'][value] ?? '?',
      },
    });
    this.percpu_count = system.cell(`${name}.percpu_count`, references, { guard });
    this.count = system.cell(`${name}.count`, PERCPU_COUNT_BIAS + 1, { guard });
    this.rcu = kernel.rcu.head(this, name);
  }
}

/** ATOMIC and DEAD are tested together: DEAD may be seen first. @kernel 6.12 include/linux/percpu-refcount.h __ref_is_percpu: faithful */
function* __ref_is_percpu(ref: PercpuRef): Path<boolean> {
  return !(yield* testBits(ref.percpu_count_ptr, __PERCPU_REF_ATOMIC_DEAD));
}

/** @kernel 6.12 include/linux/percpu-refcount.h percpu_ref_get_many: faithful */
export function* percpu_ref_get_many(ref: PercpuRef, nr: number): Path {
  yield* rcu_read_lock();
  if (yield* __ref_is_percpu(ref)) yield* add(ref.percpu_count, nr);
  else yield* add(ref.count, nr);
  yield* rcu_read_unlock();
}

/** @kernel 6.12 include/linux/percpu-refcount.h percpu_ref_get: faithful */
export function* percpu_ref_get(ref: PercpuRef): Path {
  yield* percpu_ref_get_many(ref, 1);
}

/**
 * Takes a reference unless the count was killed. Between the look at the mode and the count is the window that the
 * grace period of the switch closes.
 * @context RCU reader
 * @kernel 6.12 include/linux/percpu-refcount.h percpu_ref_tryget_live_rcu: faithful
 */
export function* percpu_ref_tryget_live_rcu(ref: PercpuRef): Path<boolean> {
  if (yield* __ref_is_percpu(ref)) {
    yield* add(ref.percpu_count, 1);
    return true;
  }
  if (yield* testBits(ref.percpu_count_ptr, __PERCPU_REF_DEAD)) return false;
  return yield* addUnless(ref.count, 1, 0);
}

/** @kernel 6.12 include/linux/percpu-refcount.h percpu_ref_tryget_live: faithful */
export function* percpu_ref_tryget_live(ref: PercpuRef): Path<boolean> {
  yield* rcu_read_lock();
  const ret = yield* percpu_ref_tryget_live_rcu(ref);
  yield* rcu_read_unlock();
  return ret;
}

/** Drops references; the last one calls the release function. @kernel 6.12 include/linux/percpu-refcount.h percpu_ref_put_many: faithful */
export function* percpu_ref_put_many(ref: PercpuRef, nr: number): Path {
  yield* rcu_read_lock();
  if (yield* __ref_is_percpu(ref)) yield* add(ref.percpu_count, -nr);
  else if (yield* subAndTest(ref.count, nr)) yield* ref.release();
  yield* rcu_read_unlock();
}

/** @kernel 6.12 include/linux/percpu-refcount.h percpu_ref_put: faithful */
export function* percpu_ref_put(ref: PercpuRef): Path {
  yield* percpu_ref_put_many(ref, 1);
}

/**
 * No CPU counts in its own counter any more: their sum joins the atomic count, and the bias goes.
 * @context softirq
 * @kernel 6.12 lib/percpu-refcount.c percpu_ref_switch_to_atomic_rcu: adapted (percpu_ref_call_confirm_rcu folded in)
 */
export function* percpu_ref_switch_to_atomic_rcu(ref: PercpuRef): Path {
  const count = yield* read(ref.percpu_count);
  yield* add(ref.count, count - PERCPU_COUNT_BIAS);
  yield* percpu_ref_put(ref);
}

/** @kernel 6.12 lib/percpu-refcount.c __percpu_ref_switch_to_atomic: faithful */
function* __percpu_ref_switch_to_atomic(ref: PercpuRef): Path {
  yield* setBits(ref.percpu_count_ptr, __PERCPU_REF_ATOMIC);
  yield* percpu_ref_get(ref); // until the sum is there
  if (knob('percpu_ref.switch') === 'gp') yield* call_rcu('percpu_ref_switch_to_atomic_rcu', ref.rcu);
  else yield* percpu_ref_switch_to_atomic_rcu(ref);
}

/**
 * Drops the initial reference: no new live references, and the count reaches zero when the others are gone.
 * @context any
 * @kernel 6.12 lib/percpu-refcount.c percpu_ref_kill_and_confirm: adapted (no confirmation; one killer, so no percpu_ref_switch_lock)
 */
export function* percpu_ref_kill(ref: PercpuRef): Path {
  yield* setBits(ref.percpu_count_ptr, __PERCPU_REF_DEAD);
  if (!(yield* testBits(ref.percpu_count_ptr, __PERCPU_REF_ATOMIC)))
    yield* __percpu_ref_switch_to_atomic(ref);
  yield* percpu_ref_put(ref);
}

/**
 * Nobody uses the count any more; its owner may free it.
 * @kernel 6.12 lib/percpu-refcount.c percpu_ref_exit: adapted (only marks it)
 */
export function* percpu_ref_exit(ref: PercpuRef): Path {
  yield* write(ref.exited, 1);
}
