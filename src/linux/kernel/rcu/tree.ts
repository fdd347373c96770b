// SPDX-License-Identifier: GPL-2.0-only
import type { Access } from '../../../core/ops.js';
import { request, type Path } from '../../../core/path.js';
import { bits, type Cell, type ValueType } from '../../../core/system.js';
import { current, type Kernel } from '../../kernel.js';

const readers: ValueType = {
  name: 'readers',
  show: (mask) => (mask === 0 ? 'none' : `tasks ${bits(mask).join(' ')}`),
};

/** Arguments of callbacks from here on stand for objects that were made at set-up, the ones below for frames. */
const FIRST_OBJECT = 2048;

/** What a callback works on: a frame number plus one, or an object. */
const callbackArgOf = (names: readonly string[]): ValueType => ({
  name: 'callback argument',
  show: (value) =>
    value === 0 ? 'none' : value >= FIRST_OBJECT ? (names[value - FIRST_OBJECT] ?? '?') : `f${value - 1}`,
  rename: (value, to) => (value === 0 || value >= FIRST_OBJECT ? value : to[value - 1]! + 1),
  frameOf: (value) => (value >= FIRST_OBJECT ? -1 : value - 1),
});

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
  private readonly objects: object[] = [];
  private readonly objectNames: string[] = [];
  readonly callbackArg = callbackArgOf(this.objectNames);

  constructor(
    private readonly kernel: Kernel,
    callbacks: number,
  ) {
    for (let i = 0; i < callbacks; i++) this.addCallback();
  }

  /** One more callback that can be outstanding. */
  addCallback(): Callback {
    const { system } = this.kernel;
    const i = this.callbacks.length;
    const slot = {
      func: system.cell(`rcu_cb[${i}].func`),
      arg: system.cell(`rcu_cb[${i}].arg`, 0, { type: this.callbackArg }),
      mask: system.cell(`rcu_cb[${i}].readers`, 0, { type: readers }),
    };
    this.callbacks.push(slot);
    return slot;
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

  /** What says whether a task is inside a read-side section. */
  touchesReader(agent: number, access: Access): void {
    const { system, machine } = this.kernel;
    const { cpu } = system.agents[agent]!;
    access.reads.push(this.nesting[agent]!.at);
    if (cpu >= 0) access.reads.push(machine.irqsOff[cpu]!.at);
  }

  /** tso: all that readers stored before they left is in memory, as a full barrier on each CPU sees to. */
  barrierPassed(): boolean {
    const { system } = this.kernel;
    return system.storeBuffers.every((buffer) => system.mem[buffer] === 0);
  }

  /** The tasks that are inside a read-side section now. */
  readers(): number {
    let mask = 0;
    this.nesting.forEach((_nesting, agent) => {
      if (this.reads(agent)) mask |= 1 << agent;
    });
    return mask;
  }

  private reads(agent: number): boolean {
    if ((this.nesting[agent]?.value ?? 0) > 0) return true;
    const { cpu } = this.kernel.system.agents[agent]!;
    return (
      cpu >= 0 &&
      this.kernel.machine.irqsOff[cpu]!.value !== 0 &&
      this.kernel.knobs['rcu.flavour'] === 'consolidated'
    );
  }

  /** Puts the callbacks in the order of their functions, free slots last: which slot one has makes no difference. */
  sortCallbacks(): void {
    const { set } = this.kernel.system;
    const queued = this.callbacks
      .map(({ func, arg, mask }) => ({ func: func.value, arg: arg.value, mask: mask.value }))
      .filter(({ func }) => func !== 0)
      .sort((x, y) => x.func - y.func);
    this.callbacks.forEach(({ func, arg, mask }, i) => {
      set(func.at, queued[i]?.func ?? 0);
      set(arg.at, queued[i]?.arg ?? 0);
      set(mask.at, queued[i]?.mask ?? 0);
    });
  }

  /** A task may have left its last read-side section. */
  quiescent(agent: number): void {
    const { system } = this.kernel;
    if (this.reads(agent)) return;
    for (const cell of this.maskCells()) {
      const mask = system.mem[cell]!;
      if ((mask >> agent) & 1) system.set(cell, mask & ~(1 << agent));
    }
  }

  /** Makes a callback function known by name. Only at set-up. */
  register(name: string, func: (pfn: number) => Path): void {
    this.numbers.set(name, this.functions.push(func));
  }

  /** The same for a function that works on an object: what `head` was called with. */
  registerObject<T extends object>(name: string, func: (object: T) => Path): void {
    this.register(name, (number) => func(this.objects[number + 1 - FIRST_OBJECT] as T));
  }

  /** struct rcu_head of an object: what call_rcu() is given for it. Only at set-up. */
  head(object: object, name: string): number {
    this.objectNames.push(name);
    return this.objects.push(object) - 1 + FIRST_OBJECT - 1;
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
      mover: 'right',
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
      mover: 'left',
      exec: (_a, _b, _c, agent) => {
        const nesting = rcu.nesting[agent]!;
        if (nesting.value === 0) system.fail('LOCK', 'rcu_read_unlock() without rcu_read_lock()');
        else system.set(nesting.at, nesting.value - 1);
        rcu.quiescent(agent);
        return 0;
      },
      drains: false,
      touches: (_a, _b, _c, agent, access) => {
        access.writes.push(rcu.nesting[agent]!.at, ...rcu.maskCells());
        rcu.touchesReader(agent, access);
      },
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
      enabled: (_a, _b, _c, agent) => rcu.waitsFor[agent]!.value === 0 && rcu.barrierPassed(),
      waits: (_a, _b, _c, agent) => ({
        until: 'the readers of RCU',
        agents: bits(rcu.waitsFor[agent]!.value),
        by: 'rcu_read_unlock()',
        inside: ['rcu-lock', 'irq-off'],
      }),
      exec: () => 0,
      touches: (_a, _b, _c, agent, access) =>
        access.reads.push(rcu.waitsFor[agent]!.at, ...rcu.readerCells(), ...system.storeBuffers),
      describe: () => 'grace period is over',
    }),
    /** Queues function a on frame b - 1. */
    callRcu: system.op({
      name: 'call_rcu',
      exec: (a, b) => {
        let slot = rcu.callbacks.at(-1);
        if (slot?.func.value !== 0) slot = system.growable ? rcu.addCallback() : undefined;
        if (slot === undefined)
          throw new Error(
            `expected a free RCU callback slot: the scenario has ${rcu.callbacks.length} (rcuCallbacks)`,
          );
        system.set(slot.func.at, a);
        system.set(slot.arg.at, b);
        system.set(slot.mask.at, rcu.readers());
        rcu.sortCallbacks();
        return 0;
      },
      args: ['plain', rcu.callbackArg, 'plain'],
      touches: (_a, _b, _c, _agent, access) => {
        for (const { func, arg, mask } of rcu.callbacks) access.writes.push(func.at, arg.at, mask.at);
        access.reads.push(...rcu.readerCells());
      },
      describe: (_a, b) => `queue ${rcu.callbackArg.show(b)} for after a grace period`,
    }),
    /** Takes a callback whose grace period is over; observes function * 4096 + frame. */
    rcuTake: system.op({
      name: 'rcu_do_batch',
      enabled: () =>
        rcu.callbacks.some(({ func, mask }) => func.value !== 0 && mask.value === 0) && rcu.barrierPassed(),
      waits: () => ({
        until: 'a callback, and the readers that it waits for',
        agents: bits(rcu.callbacks.reduce((mask, slot) => mask | slot.mask.value, 0)),
        by: 'rcu_read_unlock()',
        inside: ['rcu-lock', 'irq-off'],
      }),
      choices: () => rcu.callbacks.filter(({ func, mask }) => func.value !== 0 && mask.value === 0).length,
      exec: (_a, _b, _c, _agent, choice) => {
        const slot = rcu.callbacks.filter(({ func, mask }) => func.value !== 0 && mask.value === 0)[choice]!;
        const taken = (slot.func.value << 12) | slot.arg.value;
        system.set(slot.func.at, 0);
        system.set(slot.arg.at, 0);
        rcu.sortCallbacks();
        return taken;
      },
      result: {
        name: 'callback',
        show: (value) => `func ${value >> 12} on ${rcu.callbackArg.show(value & 4095)}`,
        rename: (value, to) => (value & ~4095) | rcu.callbackArg.rename!(value & 4095, to),
      },
      touches: (_a, _b, _c, _agent, access) => {
        for (const { func, arg, mask } of rcu.callbacks) {
          access.writes.push(func.at, arg.at, mask.at);
        }
        access.reads.push(...rcu.readerCells(), ...system.storeBuffers);
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
 * Runs the callback `func` (a name given to `RcuState.register`) after a grace period, on a frame or on the object
 * whose `RcuState.head` is given in its place.
 * @kernel 6.12 kernel/rcu/tree.c call_rcu: adapted (bounded number of outstanding callbacks)
 */
export function* call_rcu(func: string, pfn: number): Path {
  yield* request(current.kernel.op.callRcu, current.kernel.rcu.callback(func), pfn + 1);
}

/**
 * The RCU softirq: a daemon agent that runs callbacks whose grace period is over, in any order.
 * @kernel 6.12 kernel/rcu/tree.c rcu_do_batch: adapted (one callback at a time, of one list)
 */
export function* rcu_core(): Path {
  for (;;) {
    const taken = yield* request(current.kernel.op.rcuTake);
    yield* current.kernel.rcu.functions[(taken >> 12) - 1]!((taken & 4095) - 1);
  }
}
