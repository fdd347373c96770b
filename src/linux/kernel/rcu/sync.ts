// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../../core/path.js';
import { add, addReturn, equals, read, write } from '../../../core/primitives.js';
import { holder, type Cell, type ValueType } from '../../../core/system.js';
import { current, knob, type Kernel } from '../../kernel.js';
import { spin_lock, spin_unlock } from '../locking/spinlock.js';
import { call_rcu, synchronize_rcu } from './tree.js';

/**
 * rcu_sync->gp_state. IDLE: readers are fast. ENTER: the first writer waits its grace period. PASSED: writers are
 * there. EXIT: the last one has left, a callback will make it idle after a grace period. REPLAY: one came and left
 * while that callback was out.
 */
export const GP = { IDLE: 0, ENTER: 1, PASSED: 2, EXIT: 3, REPLAY: 4 } as const;
const gpState: ValueType = {
  name: 'gp_state',
  show: (value) => Object.keys(GP)[value] ?? '?',
};

/** @kernel 6.12 include/linux/rcu_sync.h struct rcu_sync: faithful */
export class RcuSync {
  readonly gp_state: Cell;
  readonly gp_count: Cell;
  /** gp_wait.lock. */
  readonly rss_lock: Cell;
  readonly cb_head: number;

  constructor(kernel: Kernel, name: string) {
    const { system } = kernel;
    this.gp_state = system.cell(`${name}.gp_state`, GP.IDLE, { type: gpState });
    this.gp_count = system.cell(`${name}.gp_count`);
    this.rss_lock = system.cell(`${name}.rss_lock`, 0, { type: holder, lockClass: 'rss_lock' });
    this.cb_head = kernel.rcu.head(this, name);
  }
}

export function defineRcuSyncOps({ system }: Kernel) {
  return {
    /** Waits until the grace period of the first writer is over. a = gp_state. */
    rcuSyncWait: system.op({
      name: 'rcu_sync_wait',
      sleeps: true,
      enabled: (a) => system.mem[a]! >= GP.PASSED,
      waits: (a) => ({
        until: `${system.cells[a]!.name} to be ${gpState.show(GP.PASSED)}`,
        agents: system.agentsNamed('rcu'),
        by: 'rcu_sync_func()',
      }),
      exec: () => 0,
      args: ['cell', 'plain', 'plain'],
      touches: (a, _b, _c, _agent, access) => void access.reads.push(a),
      describe: (a) => `rcu_sync is ${gpState.show(system.mem[a]!)}: no grace period to wait for`,
    }),
  };
}

/**
 * A grace period has passed since the state was entered: with writers about, it is PASSED; else the exit is done, or
 * has to wait once more because somebody came and left in between.
 * @context softirq, or the first writer
 * @kernel 6.12 kernel/rcu/sync.c rcu_sync_func: adapted (interrupts are not switched off)
 */
export function* rcu_sync_func(rsp: RcuSync): Path {
  yield* spin_lock(rsp.rss_lock);
  if (!(yield* equals(rsp.gp_count, 0))) yield* write(rsp.gp_state, GP.PASSED);
  else if (yield* equals(rsp.gp_state, GP.REPLAY)) {
    yield* write(rsp.gp_state, GP.EXIT);
    yield* call_rcu('rcu_sync_func', rsp.cb_head);
  } else yield* write(rsp.gp_state, GP.IDLE);
  yield* spin_unlock(rsp.rss_lock);
}

/**
 * A writer comes: readers take the slow path from here on. Only a writer that finds the state IDLE, or ENTER, waits for
 * a grace period; PASSED, EXIT and REPLAY mean that readers are slow already, and that is all the caller asked for.
 * @context may sleep
 * @kernel 6.12 kernel/rcu/sync.c rcu_sync_enter: faithful
 */
export function* rcu_sync_enter(rsp: RcuSync): Path {
  yield* spin_lock(rsp.rss_lock);
  const idle = yield* equals(rsp.gp_state, GP.IDLE);
  if (idle) yield* write(rsp.gp_state, GP.ENTER);
  yield* add(rsp.gp_count, 1);
  yield* spin_unlock(rsp.rss_lock);
  if (idle) {
    if (knob('mem_hotplug_begin.gp') !== 'never') yield* synchronize_rcu();
    yield* rcu_sync_func(rsp);
    return;
  }
  yield* request(current.kernel.op.rcuSyncWait, rsp.gp_state.at);
}

/**
 * A writer leaves: after the last one readers become fast again, one grace period later.
 * @kernel 6.12 kernel/rcu/sync.c rcu_sync_exit: faithful
 */
export function* rcu_sync_exit(rsp: RcuSync): Path {
  yield* spin_lock(rsp.rss_lock);
  if ((yield* addReturn(rsp.gp_count, -1)) === 0) {
    const gp_state = yield* read(rsp.gp_state);
    if (gp_state === GP.PASSED) {
      yield* write(rsp.gp_state, GP.EXIT);
      yield* call_rcu('rcu_sync_func', rsp.cb_head);
    } else if (gp_state === GP.EXIT) yield* write(rsp.gp_state, GP.REPLAY);
  }
  yield* spin_unlock(rsp.rss_lock);
}

/** @context RCU reader @kernel 6.12 include/linux/rcu_sync.h rcu_sync_is_idle: faithful */
export function* rcu_sync_is_idle(rsp: RcuSync): Path<boolean> {
  return yield* equals(rsp.gp_state, GP.IDLE);
}
