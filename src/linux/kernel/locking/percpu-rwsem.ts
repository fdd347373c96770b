// SPDX-License-Identifier: GPL-2.0-only
import type { Path } from '../../../core/path.js';
import { add, awaitValue, equals, lock, unlock } from '../../../core/primitives.js';
import { holder, type Cell } from '../../../core/system.js';
import type { Kernel } from '../../kernel.js';
import { RcuSync, rcu_sync_enter, rcu_sync_exit, rcu_sync_is_idle } from '../rcu/sync.js';
import { rcu_read_lock, rcu_read_unlock } from '../rcu/tree.js';

/** @kernel 6.12 include/linux/percpu-rwsem.h struct percpu_rw_semaphore: adapted (the per-CPU counts are one count) */
export class PercpuRwSemaphore {
  readonly rss: RcuSync;
  /** Set while a writer has the lock, or waits for the readers to leave. */
  readonly block: Cell;
  readonly read_count: Cell;

  constructor(kernel: Kernel, name: string) {
    this.rss = new RcuSync(kernel, `${name}.rss`);
    this.block = kernel.system.cell(`${name}.block`, 0, { type: holder, lockClass: name, sleeps: true });
    this.read_count = kernel.system.cell(`${name}.read_count`);
  }
}

/**
 * Excludes readers and other writers.
 * @context may sleep
 * @kernel 6.12 kernel/locking/percpu-rwsem.c percpu_down_write: adapted (any waiting writer may be next, not the first)
 */
export function* percpu_down_write(sem: PercpuRwSemaphore): Path {
  yield* rcu_sync_enter(sem.rss); // readers take the slow path
  yield* lock(sem.block);
  yield* awaitValue(sem.read_count, 0);
}

/** @kernel 6.12 kernel/locking/percpu-rwsem.c percpu_up_write: faithful */
export function* percpu_up_write(sem: PercpuRwSemaphore): Path {
  yield* unlock(sem.block);
  yield* rcu_sync_exit(sem.rss);
}

/** Counts itself in, then looks whether a writer is there. @kernel 6.12 kernel/locking/percpu-rwsem.c __percpu_down_read_trylock: faithful */
function* __percpu_down_read_trylock(sem: PercpuRwSemaphore): Path<boolean> {
  yield* add(sem.read_count, 1);
  if (yield* equals(sem.block, 0)) return true;
  yield* add(sem.read_count, -1);
  return false;
}

/**
 * Holds writers off. Fast while no writer is about: only the grace period of the first writer tells it of the reader.
 * @context may sleep
 * @kernel 6.12 include/linux/percpu-rwsem.h percpu_down_read: adapted (preempt_disable() is rcu_read_lock())
 */
export function* percpu_down_read(sem: PercpuRwSemaphore): Path {
  yield* rcu_read_lock();
  if (yield* rcu_sync_is_idle(sem.rss)) yield* add(sem.read_count, 1);
  else {
    while (!(yield* __percpu_down_read_trylock(sem))) {
      yield* rcu_read_unlock();
      yield* awaitValue(sem.block, 0);
      yield* rcu_read_lock();
    }
  }
  yield* rcu_read_unlock();
}

/** @kernel 6.12 include/linux/percpu-rwsem.h percpu_up_read: adapted (one count: fast and slow path are the same) */
export function* percpu_up_read(sem: PercpuRwSemaphore): Path {
  yield* add(sem.read_count, -1);
}
