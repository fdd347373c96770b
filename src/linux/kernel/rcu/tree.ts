// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../../core/path.js';
import { bits, type Cell, frameRef, type ValueType } from '../../../core/system.js';
import { current, type Kernel } from '../../kernel.js';

const readers: ValueType = {
  name: 'readers',
  show: (mask) => (mask === 0 ? 'none' : `tasks ${bits(mask).join(' ')}`),
};

/** A call_rcu() callback that can be outstanding: which function, on which frame, and the readers it waits for. */
interface Callback {
  readonly func: Cell;
  readonly arg: Cell;
  readonly mask: Cell;
}

/**
 * What RCU keeps: per task the read-side nesting and the readers that its synchronize_rcu() waits for; per callback
 * slot the same. A grace period is the set of readers that were inside when it began, each taken out as it leaves:
 * no reader that came later delays it, as in the kernel no reader that came later needs to.
 */
export class RcuState {
  readonly nesting: Cell[] = [];
  readonly waitsFor: Cell[] = [];
  readonly callbacks: Callback[] = [];
  /** Callback functions by number, from 1. */
  readonly functions: ((pfn: number) => Path)[] = [];
  private readonly numbers = new Map<string, number>();

  constructor(
    private readonly kernel: Kernel,
    callbacks: number,
  ) {
    const { system } = kernel;
    for (let i = 0; i < callbacks; i++) {
      this.callbacks.push({
        func: system.cell(`rcu_cb[${i}].func`),
        arg: system.cell(`rcu_cb[${i}].arg`, 0, { type: frameRef }),
        mask: system.cell(`rcu_cb[${i}].readers`, 0, { type: readers }),
      });
    }
  }

  addTask(agent: number): void {
    const { system } = this.kernel;
    const { name } = system.agents[agent]!;
    this.nesting[agent] = system.cell(`${name}.rcu_read_lock_nesting`);
    this.waitsFor[agent] = system.cell(`${name}.gp_readers`, 0, { type: readers });
  }

  maskCells(): number[] {
    return [
      ...this.waitsFor.filter((cell) => cell !== undefined),
      ...this.callbacks.map(({ mask }) => mask),
    ].map((cell) => cell.at);
  }

  readerCells(): number[] {
    return [...this.nesting.filter((cell) => cell !== undefined), ...this.kernel.machine.irqsOff].map(
      (cell) => cell.at,
    );
  }

  /** The tasks that are inside a read-side section now. */
  readers(): number {
    let mask = 0;
    this.nesting.forEach((nesting, agent) => {
      const { cpu } = this.kernel.system.agents[agent]!;
      if (nesting.value > 0 || (cpu >= 0 && this.kernel.machine.irqsOff[cpu]!.value !== 0))
        mask |= 1 << agent;
    });
    return mask;
  }

  /** A task may have left its last read-side section. */
  quiescent(agent: number): void {
    const { system, machine } = this.kernel;
    const { cpu } = system.agents[agent]!;
    if ((this.nesting[agent]?.value ?? 0) > 0 || (cpu >= 0 && machine.irqsOff[cpu]!.value !== 0)) return;
    for (const cell of this.maskCells()) {
      const mask = system.mem[cell]!;
      if ((mask >> agent) & 1) system.set(cell, mask & ~(1 << agent));
    }
  }

  /** Makes a callback function known by name. Only at set-up. */
  register(name: string, func: (pfn: number) => Path): void {
    this.numbers.set(name, this.functions.push(func));
  }

  /** The number of a callback function, for requests. */
  callback(name: string): number {
    const number = this.numbers.get(name);
    if (number === undefined) throw new Error(`expected a registered RCU callback, got ${name}`);
    return number;
  }
}

export function defineRcuOps(kernel: Kernel) {
  const { system, rcu } = kernel;
  return {
    rcuReadLock: system.op({
      name: 'rcu_read_lock',
      role: 'rcu-lock',
      exec: (_a, _b, _c, agent) => {
        const nesting = rcu.nesting[agent]!;
        system.set(nesting.at, nesting.value + 1);
        return 0;
      },
      drains: false,
      touches: (_a, _b, _c, agent, access) => access.writes.push(rcu.nesting[agent]!.at),
    }),
    rcuReadUnlock: system.op({
      name: 'rcu_read_unlock',
      role: 'rcu-unlock',
      exec: (_a, _b, _c, agent) => {
        const nesting = rcu.nesting[agent]!;
        if (nesting.value === 0) system.fail('LOCK', 'rcu_read_unlock() without rcu_read_lock()');
        else system.set(nesting.at, nesting.value - 1);
        rcu.quiescent(agent);
        return 0;
      },
      drains: false,
      touches: (_a, _b, _c, agent, access) => access.writes.push(rcu.nesting[agent]!.at, ...rcu.maskCells()),
    }),
    gpStart: system.op({
      name: 'gp_start',
      sleeps: true,
      exec: (_a, _b, _c, agent) => {
        if ((rcu.readers() >> agent) & 1)
          system.fail('GP-RULE', 'synchronize_rcu() inside an RCU read-side section waits for itself');
        system.set(rcu.waitsFor[agent]!.at, rcu.readers());
        return 0;
      },
      touches: (_a, _b, _c, agent, access) => {
        access.writes.push(rcu.waitsFor[agent]!.at);
        access.reads.push(...rcu.readerCells());
      },
      describe: () => 'grace period begins',
    }),
    gpWait: system.op({
      name: 'gp_wait',
      enabled: (_a, _b, _c, agent) => rcu.waitsFor[agent]!.value === 0,
      exec: () => 0,
      touches: (_a, _b, _c, agent, access) => access.reads.push(rcu.waitsFor[agent]!.at),
      describe: () => 'grace period is over',
    }),
    /** Queues function a on frame b - 1. */
    callRcu: system.op({
      name: 'call_rcu',
      exec: (a, b) => {
        const slot = rcu.callbacks.find(({ func }) => func.value === 0);
        if (slot === undefined)
          throw new Error(
            `expected a free RCU callback slot: the scenario has ${rcu.callbacks.length} (rcuCallbacks)`,
          );
        system.set(slot.func.at, a);
        system.set(slot.arg.at, b);
        system.set(slot.mask.at, rcu.readers());
        return 0;
      },
      args: ['plain', frameRef, 'plain'],
      touches: (_a, _b, _c, _agent, access) => {
        for (const { func, arg, mask } of rcu.callbacks) access.writes.push(func.at, arg.at, mask.at);
        access.reads.push(...rcu.readerCells());
      },
      describe: (_a, b) => `queue f${b - 1} for after a grace period`,
    }),
    /** Takes a callback whose grace period is over; observes function * 4096 + frame. */
    rcuTake: system.op({
      name: 'rcu_do_batch',
      enabled: () => rcu.callbacks.some(({ func, mask }) => func.value !== 0 && mask.value === 0),
      choices: () => rcu.callbacks.filter(({ func, mask }) => func.value !== 0 && mask.value === 0).length,
      exec: (_a, _b, _c, _agent, choice) => {
        const slot = rcu.callbacks.filter(({ func, mask }) => func.value !== 0 && mask.value === 0)[choice]!;
        const taken = (slot.func.value << 12) | slot.arg.value;
        system.set(slot.func.at, 0);
        system.set(slot.arg.at, 0);
        return taken;
      },
      result: {
        name: 'callback',
        show: (value) => `func ${value >> 12} on f${(value & 4095) - 1}`,
        rename: (value, to) => (value & ~4095) | ((value & 4095) === 0 ? 0 : to[(value & 4095) - 1]! + 1),
      },
      touches: (_a, _b, _c, _agent, access) => {
        for (const { func, arg, mask } of rcu.callbacks) {
          access.writes.push(func.at, arg.at);
          access.reads.push(mask.at);
        }
      },
    }),
  };
}

/**
 * Begins an RCU read-side section; nests.
 * @kernel 6.12 include/linux/rcupdate.h rcu_read_lock: faithful
 */
export function* rcu_read_lock(): Path {
  yield* request(current.kernel.op.rcuReadLock);
}

/** @kernel 6.12 include/linux/rcupdate.h rcu_read_unlock: faithful */
export function* rcu_read_unlock(): Path {
  yield* request(current.kernel.op.rcuReadUnlock);
}

/**
 * Waits until every reader (rcu_read_lock, interrupts off) that was inside at the call has left.
 * @context may sleep
 * @kernel 6.12 kernel/rcu/tree.c synchronize_rcu: adapted (the shortest grace period that is allowed)
 */
export function* synchronize_rcu(): Path {
  yield* request(current.kernel.op.gpStart);
  yield* request(current.kernel.op.gpWait);
}

/**
 * Runs the callback `func` (a name given to `RcuState.register`) on a frame after a grace period.
 * @kernel 6.12 kernel/rcu/tree.c call_rcu: adapted (bounded number of outstanding callbacks)
 */
export function* call_rcu(func: string, pfn: number): Path {
  yield* request(current.kernel.op.callRcu, current.kernel.rcu.callback(func), pfn + 1);
}

/**
 * The RCU softirq: a daemon agent that runs callbacks whose grace period is over, in any order.
 * @kernel 6.12 kernel/rcu/tree.c rcu_do_batch: adapted
 */
export function* rcu_core(): Path {
  for (;;) {
    const taken = yield* request(current.kernel.op.rcuTake);
    yield* current.kernel.rcu.functions[(taken >> 12) - 1]!((taken & 4095) - 1);
  }
}
