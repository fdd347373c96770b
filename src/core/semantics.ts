// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, type LockRole, noAccess, Op, type Access } from './ops.js';
import type { System } from './system.js';

/**
 * What each operation does, for every driver: the explorers, the replay and the straight-through mode execute steps
 * through here and nowhere else.
 */
export interface Semantics {
  /** May agent's request take its step now? */
  enabled(agent: number, op: number, a: number, b: number, c: number): boolean;
  /** How many outcomes the step has. */
  choices(agent: number, op: number, a: number, b: number, c: number): number;
  /** Takes the step (it must be enabled); returns the observed value, leaves `system.fault` if it broke something. */
  execute(agent: number, op: number, a: number, b: number, c: number, choice: number): number;
}

/** Operations whose first argument is the cell they touch. */
export function namesCell(op: number): boolean {
  return op >= Op.LOAD && op <= Op.BIT_LOCK;
}

/** What an operation does to locks and context. */
export function roleOf(system: System, op: number): LockRole | undefined {
  if (op === Op.LOCK || op === Op.BIT_LOCK) return 'acquire';
  if (op === Op.TRYLOCK) return 'try';
  if (op === Op.UNLOCK) return 'release';
  return op >= FIRST_OWN_OP ? system.ops[op - FIRST_OWN_OP]!.role : undefined;
}

/** Whether other agents can keep a request from being carried out. */
export function mayBlock(system: System, op: number): boolean {
  if (op >= FIRST_OWN_OP) return system.ops[op - FIRST_OWN_OP]!.enabled !== undefined;
  return (
    op === Op.LOCK ||
    op === Op.AWAIT_EQ ||
    op === Op.AWAIT_CLEAR ||
    op === Op.BIT_LOCK ||
    op === Op.DRAIN ||
    op === Op.DONE
  );
}

const onlyReads = (op: number): boolean =>
  op === Op.LOAD ||
  op === Op.READ ||
  op === Op.EQ ||
  op === Op.TEST ||
  op === Op.AWAIT_EQ ||
  op === Op.AWAIT_CLEAR;

/** The semantics of `system`. Writes go through `system.set`, which must not be replaced afterwards. */
export function semantics(system: System): Semantics {
  const { agents, ops, gates, storeBuffers, storeBufferDepth: depth, growable } = system;
  const set = system.set;
  const fixedMem = system.mem;
  const tso = system.memory === 'tso';
  const gated = gates.some((gate) => gate >= 0);
  const guarded = system.guards.some((guard) => guard !== undefined) || growable;

  /** First cell of the store buffer that agent's stores enter, or -1: hardware agents have none. */
  const bufferOf = (agent: number): number => {
    const { cpu } = agents[agent]!;
    return cpu < 0 ? -1 : storeBuffers[cpu]!;
  };
  const bufferIsEmpty = (agent: number): boolean => {
    const buffer = bufferOf(agent);
    return buffer < 0 || system.mem[buffer] === 0;
  };
  const bufferIsFull = (agent: number): boolean => {
    const buffer = bufferOf(agent);
    return buffer >= 0 && system.mem[buffer + 2 * (depth - 1)] !== 0;
  };
  /** Store forwarding: the youngest buffered store to the cell, else memory. */
  const forwarded = (agent: number, cell: number): number => {
    const mem = system.mem;
    const buffer = bufferOf(agent);
    let value = mem[cell]!;
    if (buffer >= 0)
      for (let i = 0; i < depth; i++) if (mem[buffer + 2 * i] === cell + 1) value = mem[buffer + 2 * i + 1]!;
    return value;
  };
  const buffered = (agent: number, cell: number, value: number): void => {
    const buffer = bufferOf(agent);
    if (buffer < 0) return set(cell, value);
    let i = 0;
    while (system.mem[buffer + 2 * i] !== 0) i++;
    set(buffer + 2 * i, cell + 1);
    set(buffer + 2 * i + 1, value);
  };
  const drainOldest = (buffer: number): void => {
    const mem = system.mem;
    const cell = mem[buffer]! - 1;
    const value = mem[buffer + 1]!;
    for (let i = 0; i < depth - 1; i++) {
      set(buffer + 2 * i, mem[buffer + 2 * i + 2]!);
      set(buffer + 2 * i + 1, mem[buffer + 2 * i + 3]!);
    }
    set(buffer + 2 * depth - 2, 0);
    set(buffer + 2 * depth - 1, 0);
    if (guarded) system.touch(cell);
    set(cell, value);
  };

  function enabled(agent: number, op: number, a: number, b: number, c: number): boolean {
    const mem = growable ? system.mem : fixedMem;
    if (gated) {
      const gate = gates[agent]!;
      if (gate >= 0 && mem[gate] !== 0 && mem[gate] !== agent + 1) return false;
    }
    if (tso) {
      if (op === Op.STORE || op === Op.WRITE || op === Op.UNLOCK) return !bufferIsFull(agent);
      const reads =
        op === Op.LOAD ||
        op === Op.READ ||
        op === Op.EQ ||
        op === Op.TEST ||
        op === Op.NOP ||
        op === Op.CHOOSE ||
        op === Op.DRAIN;
      const drains = op >= FIRST_OWN_OP ? (ops[op - FIRST_OWN_OP]!.drains ?? true) : !reads;
      if (drains && !bufferIsEmpty(agent)) return false;
    }
    switch (op) {
      case Op.DONE:
      case Op.FAIL:
        return false;
      case Op.LOCK:
        return mem[a] === 0;
      case Op.AWAIT_EQ:
        return mem[a] === b;
      case Op.AWAIT_CLEAR:
      case Op.BIT_LOCK:
        return (mem[a]! & b) === 0;
      case Op.DRAIN:
        return mem[a] !== 0;
    }
    if (op >= FIRST_OWN_OP) {
      const own = ops[op - FIRST_OWN_OP]!;
      return own.enabled === undefined || own.enabled(a, b, c, agent);
    }
    return true;
  }

  function choices(agent: number, op: number, a: number, b: number, c: number): number {
    if (op === Op.CHOOSE) return a;
    if (op < FIRST_OWN_OP) return 1;
    const own = ops[op - FIRST_OWN_OP]!;
    return own.choices === undefined ? 1 : own.choices(a, b, c, agent);
  }

  function execute(agent: number, op: number, a: number, b: number, c: number, choice: number): number {
    const mem = growable ? system.mem : fixedMem;
    if (guarded && op <= Op.BIT_LOCK) system.touch(a, onlyReads(op));
    switch (op) {
      case Op.LOAD:
      case Op.READ:
        return tso ? forwarded(agent, a) : mem[a]!;
      case Op.STORE:
      case Op.WRITE:
        if (tso) buffered(agent, a, b);
        else set(a, b);
        return 0;
      case Op.EQ:
        return (tso ? forwarded(agent, a) : mem[a]) === b ? 1 : 0;
      case Op.TEST:
        return ((tso ? forwarded(agent, a) : mem[a]!) & b) !== 0 ? 1 : 0;
      case Op.XCHG: {
        const old = mem[a]!;
        set(a, b);
        return old;
      }
      case Op.CMPXCHG:
        if (mem[a] !== b) return 0;
        set(a, c);
        return 1;
      case Op.ADD:
        set(a, mem[a]! + b);
        return 0;
      case Op.ADD_RETURN: {
        const sum = mem[a]! + b;
        set(a, sum);
        return sum;
      }
      case Op.ADD_UNLESS:
        if (mem[a] === c) return 0;
        set(a, mem[a]! + b);
        return 1;
      case Op.SUB_AND_TEST: {
        const rest = mem[a]! - b;
        set(a, rest);
        return rest === 0 ? 1 : 0;
      }
      case Op.TEST_AND_SET: {
        const old = mem[a]!;
        set(a, old | b);
        return (old & b) !== 0 ? 1 : 0;
      }
      case Op.SET_BITS:
        set(a, mem[a]! | b);
        return 0;
      case Op.CLEAR_BITS:
        set(a, mem[a]! & ~b);
        return 0;
      case Op.TEST_AND_CLEAR: {
        const old = mem[a]!;
        set(a, old & ~b);
        return (old & b) !== 0 ? 1 : 0;
      }
      case Op.LOCK:
        set(a, agent + 1);
        return 0;
      case Op.TRYLOCK:
        if (mem[a] !== 0) return 0;
        set(a, agent + 1);
        return 1;
      case Op.UNLOCK:
        if ((tso ? forwarded(agent, a) : mem[a]) !== agent + 1)
          system.fail('LOCK', `${system.cells[a]!.name} is released by an agent that does not hold it`);
        if (tso) buffered(agent, a, 0);
        else set(a, 0);
        return 0;
      case Op.BIT_LOCK:
        set(a, mem[a]! | b);
        return 0;
      case Op.AWAIT_EQ:
      case Op.AWAIT_CLEAR:
      case Op.FENCE:
      case Op.NOP:
        return 0;
      case Op.CHOOSE:
        return choice;
      case Op.DRAIN:
        drainOldest(a);
        return 0;
    }
    if (op >= FIRST_OWN_OP) return ops[op - FIRST_OWN_OP]!.exec(a, b, c, agent, choice);
    throw new Error(`expected an operation that can be executed, got ${system.opName(op)}`);
  }

  return { enabled, choices, execute };
}

/** Lists what a request reads and writes into `access` (which it empties first) and returns it. */
export function accessOf(
  system: System,
  agent: number,
  op: number,
  a: number,
  b: number,
  c: number,
  access: Access = noAccess(),
): Access {
  access.reads.length = access.writes.length = access.silent.length = 0;
  access.plain = op === Op.LOAD || op === Op.STORE;
  switch (op) {
    case Op.DONE:
    case Op.FAIL:
    case Op.CHOOSE:
    case Op.NOP:
    case Op.FENCE:
      return access;
    case Op.LOAD:
    case Op.READ:
    case Op.EQ:
    case Op.TEST:
    case Op.AWAIT_EQ:
    case Op.AWAIT_CLEAR:
      access.reads.push(a);
      return access;
    case Op.STORE:
    case Op.WRITE:
    case Op.UNLOCK:
      access.writes.push(a);
      return access;
    case Op.DRAIN:
      access.writes.push(a);
      return access;
  }
  if (op >= FIRST_OWN_OP) system.ops[op - FIRST_OWN_OP]!.touches(a, b, c, agent, access);
  else {
    access.reads.push(a);
    access.writes.push(a);
  }
  return access;
}
