// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../../core/path.js';
import { bits, type Cell, type System, type ValueType } from '../../../core/system.js';
import { current, type Kernel } from '../../kernel.js';

const readers: ValueType = {
  name: 'readers',
  show: (mask) => (mask === 0 ? 'none' : `tasks ${bits(mask).join(' ')}`),
};

const callbacks: ValueType = {
  name: 'callbacks',
  show: (mask) => (mask === 0 ? 'none' : `callbacks ${bits(mask).join(' ')}`),
};

/** Where the rcu_head of an object is. */
const HEAD = { IDLE: 0, QUEUED: 1, INVOKED: 2 } as const;
const headState: ValueType = { name: 'head', show: (value) => ['idle', 'queued', 'runs'][value]! };

/** struct rcu_head for call_srcu(): its callback is queued once at a time. */
interface SrcuHead {
  readonly name: string;
  readonly state: Cell;
  /** The readers that it waits for. */
  readonly mask: Cell;
  func(): Path;
}

/**
 * struct srcu_struct: readers of one domain, which may sleep. Per task the nesting, the readers that its
 * synchronize_srcu() waits for and, where there are any, the callbacks; interrupts off and rcu_read_lock() say nothing
 * to it.
 * @kernel 6.12 include/linux/srcutree.h struct srcu_struct: adapted (a set of readers in place of two counters)
 */
export class SrcuStruct {
  readonly nesting: Cell[] = [];
  readonly waitsFor: Cell[] = [];
  readonly heads: SrcuHead[] = [];
  /** By task: callbacks that it waits for. Empty where nobody calls call_srcu(). */
  readonly waitsForHeads: Cell[] = [];

  constructor(
    private readonly system: System,
    readonly name: string,
    readonly number: number,
  ) {}

  addTask(agent: number): void {
    const task = this.system.agents[agent]!.name;
    this.nesting[agent] = this.system.cell(`${task}.${this.name}.srcu_nesting`);
    this.waitsFor[agent] = this.system.cell(`${task}.${this.name}.gp_readers`, 0, { type: readers });
    if (this.heads.length > 0) this.addHeadWaits(agent);
  }

  private addHeadWaits(agent: number): void {
    const task = this.system.agents[agent]!.name;
    this.waitsForHeads[agent] = this.system.cell(`${task}.${this.name}.callbacks`, 0, { type: callbacks });
  }

  /** Set-up: one more object that call_srcu() can be called for. Returns its number. */
  addHead(name: string, func: () => Path): number {
    const cell = (field: string, type: ValueType): Cell =>
      this.system.cell(`${name}.rcu.${field}`, 0, { type });
    this.heads.push({ name, state: cell('state', headState), mask: cell('readers', readers), func });
    if (this.heads.length === 1) this.nesting.forEach((_, agent) => this.addHeadWaits(agent));
    return this.heads.length - 1;
  }

  /** The callbacks that have not returned. */
  outstanding(): number {
    return this.heads.reduce((mask, { state }, i) => mask | (state.value === HEAD.IDLE ? 0 : 1 << i), 0);
  }

  /** Whose synchronize_srcu() or callback waits for readers. */
  maskCells(): Cell[] {
    return [...this.waitsFor, ...this.heads.map(({ mask }) => mask)];
  }

  readers(): number {
    return this.nesting.reduce((mask, cell, agent) => mask | (cell.value > 0 ? 1 << agent : 0), 0);
  }
}

const isReady = ({ state, mask }: SrcuHead): boolean => state.value === HEAD.QUEUED && mask.value === 0;

/** The domains of a kernel, by number; a = the domain in each request. */
export function defineSrcuOps(kernel: Kernel) {
  const { system, srcu } = kernel;
  return {
    srcuReadLock: system.op({
      name: 'srcu_read_lock',
      role: 'srcu-lock',
      mover: 'right',
      drains: false,
      exec: (a, _b, _c, agent) => {
        const nesting = srcu[a]!.nesting[agent]!;
        system.set(nesting.at, nesting.value + 1);
        return 0;
      },
      touches: (a, _b, _c, agent, access) => void access.writes.push(srcu[a]!.nesting[agent]!.at),
    }),
    srcuReadUnlock: system.op({
      name: 'srcu_read_unlock',
      role: 'srcu-unlock',
      mover: 'left',
      drains: false,
      exec: (a, _b, _c, agent) => {
        const domain = srcu[a]!;
        const own = domain.nesting[agent]!;
        if (own.value === 0) system.fail('LOCK', `srcu_read_unlock(${domain.name}) without srcu_read_lock()`);
        else system.set(own.at, own.value - 1);
        if (own.value === 0)
          for (const cell of domain.maskCells())
            if ((cell.value >> agent) & 1) system.set(cell.at, cell.value & ~(1 << agent));
        return 0;
      },
      touches: (a, _b, _c, agent, access) =>
        void access.writes.push(srcu[a]!.nesting[agent]!.at, ...srcu[a]!.maskCells().map((cell) => cell.at)),
    }),
    srcuGpStart: system.op({
      name: 'srcu_gp_start',
      sleeps: true,
      exec: (a, _b, _c, agent) => {
        const domain = srcu[a]!;
        const mask = domain.readers();
        if ((mask >> agent) & 1)
          system.fail('GP-RULE', `synchronize_srcu(${domain.name}) inside its own read side`);
        system.set(domain.waitsFor[agent]!.at, mask);
        // It waits by a callback of its own: on one list that comes after those that are on it.
        if (domain.heads.length > 0 && kernel.knobs['call_srcu.list'] === 'boot-cpu')
          system.set(domain.waitsForHeads[agent]!.at, domain.outstanding());
        return 0;
      },
      touches: (a, _b, _c, agent, access) => {
        const { waitsFor, waitsForHeads, nesting, heads } = srcu[a]!;
        access.writes.push(waitsFor[agent]!.at);
        access.reads.push(...[...nesting, ...heads.map(({ state }) => state)].map((cell) => cell.at));
        if (heads.length > 0) access.writes.push(waitsForHeads[agent]!.at);
      },
      describe: (a) => `${srcu[a]!.name}: grace period begins`,
    }),
    srcuGpWait: system.op({
      name: 'srcu_gp_wait',
      enabled: (a, _b, _c, agent) =>
        srcu[a]!.waitsFor[agent]!.value === 0 && (srcu[a]!.waitsForHeads[agent]?.value ?? 0) === 0,
      waits: (a, _b, _c, agent) => ({
        until: `the readers of ${srcu[a]!.name}`,
        agents: [
          ...bits(srcu[a]!.waitsFor[agent]!.value),
          ...(srcu[a]!.waitsForHeads[agent]?.value ? system.agentsNamed('srcu') : []),
        ],
        by: 'srcu_read_unlock()',
        inside: ['srcu-lock'],
      }),
      exec: () => 0,
      touches: (a, _b, _c, agent, access) => {
        const { waitsFor, waitsForHeads, nesting } = srcu[a]!;
        access.reads.push(waitsFor[agent]!.at, ...nesting.map((cell) => cell.at));
        if (waitsForHeads[agent] !== undefined) access.reads.push(waitsForHeads[agent].at);
      },
      describe: (a) => `${srcu[a]!.name}: grace period is over`,
    }),
    srcuBarrierStart: system.op({
      name: 'srcu_barrier_start',
      sleeps: true,
      exec: (a, _b, _c, agent) => {
        system.set(srcu[a]!.waitsForHeads[agent]!.at, srcu[a]!.outstanding());
        return 0;
      },
      touches: (a, _b, _c, agent, access) => {
        access.writes.push(srcu[a]!.waitsForHeads[agent]!.at);
        access.reads.push(...srcu[a]!.heads.map(({ state }) => state.at));
      },
      describe: (a) => `${srcu[a]!.name}: wait for callbacks`,
    }),
    srcuBarrierWait: system.op({
      name: 'srcu_barrier_wait',
      enabled: (a, _b, _c, agent) => srcu[a]!.waitsForHeads[agent]!.value === 0,
      waits: (a) => ({
        until: `the callbacks of ${srcu[a]!.name}`,
        agents: system.agentsNamed('srcu'),
        by: 'srcu_invoke_callbacks()',
      }),
      exec: () => 0,
      touches: (a, _b, _c, agent, access) => void access.reads.push(srcu[a]!.waitsForHeads[agent]!.at),
      describe: (a) => `${srcu[a]!.name}: callbacks have returned`,
    }),
    /** call_srcu(): b = head. */
    callSrcu: system.op({
      name: 'call_srcu',
      exec: (a, b) => {
        const domain = srcu[a]!;
        const { state, mask, name } = domain.heads[b]!;
        if (state.value === HEAD.QUEUED)
          system.fail('GP-RULE', `call_srcu() for ${name}, which is queued already`);
        system.set(state.at, HEAD.QUEUED);
        system.set(mask.at, domain.readers());
        return 0;
      },
      touches: (a, b, _c, _agent, access) => {
        const { heads, nesting } = srcu[a]!;
        access.writes.push(heads[b]!.state.at, heads[b]!.mask.at);
        access.reads.push(...nesting.map((cell) => cell.at));
      },
      describe: (a, b) => `call_srcu() for ${srcu[a]!.heads[b]!.name}`,
    }),
    /** Takes a callback whose grace period is over; observes its number. */
    srcuTake: system.op({
      name: 'srcu_invoke_callbacks',
      drains: false,
      enabled: (a) => srcu[a]!.heads.some(isReady),
      waits: (a) => ({
        until: `a callback of ${srcu[a]!.name}, and the readers that it waits for`,
        agents: bits(srcu[a]!.heads.reduce((all, { mask }) => all | mask.value, 0)),
        by: 'srcu_read_unlock()',
        inside: ['srcu-lock'],
      }),
      choices: (a) => srcu[a]!.heads.filter(isReady).length,
      exec: (a, _b, _c, _agent, choice) => {
        const { heads } = srcu[a]!;
        const head = heads.filter(isReady)[choice]!;
        system.set(head.state.at, HEAD.INVOKED);
        return heads.indexOf(head);
      },
      touches: (a, _b, _c, _agent, access) => {
        const { heads, nesting } = srcu[a]!;
        access.writes.push(...heads.map(({ state }) => state.at));
        access.reads.push(...[...nesting, ...heads.map(({ mask }) => mask)].map((cell) => cell.at));
      },
      describe: (a, _b, _c, observed) => `invoke the callback of ${srcu[a]!.heads[observed]!.name}`,
    }),
    /** The callback of head b has returned. */
    srcuDone: system.op({
      name: 'srcu_callback_done',
      drains: false,
      exec: (a, b) => {
        const { heads, waitsForHeads } = srcu[a]!;
        if (heads[b]!.state.value === HEAD.QUEUED) return 0; // again, meanwhile
        system.set(heads[b]!.state.at, HEAD.IDLE);
        for (const { at, value } of waitsForHeads) if ((value >> b) & 1) system.set(at, value & ~(1 << b));
        return 0;
      },
      touches: (a, b, _c, _agent, access) =>
        void access.writes.push(srcu[a]!.heads[b]!.state.at, ...srcu[a]!.waitsForHeads.map(({ at }) => at)),
      describe: (a, b) => `the callback of ${srcu[a]!.heads[b]!.name} has returned`,
    }),
  };
}

/** @context may sleep inside @kernel 6.12 include/linux/srcu.h srcu_read_lock: adapted (no index) */
export function* srcu_read_lock(ssp: SrcuStruct): Path {
  yield* request(current.kernel.op.srcuReadLock, ssp.number);
}
/** @kernel 6.12 include/linux/srcu.h srcu_read_unlock: adapted (no index) */
export function* srcu_read_unlock(ssp: SrcuStruct): Path {
  yield* request(current.kernel.op.srcuReadUnlock, ssp.number);
}
/** Waits for the readers of this domain that were inside at the call. @context may sleep @kernel 6.12 kernel/rcu/srcutree.c synchronize_srcu: adapted (the shortest grace period allowed) */
export function* synchronize_srcu(ssp: SrcuStruct): Path {
  yield* request(current.kernel.op.srcuGpStart, ssp.number);
  yield* request(current.kernel.op.srcuGpWait, ssp.number);
}

/**
 * Runs the callback of an object (SrcuStruct.addHead) after a grace period.
 * @context any
 * @kernel 6.12 kernel/rcu/srcutree.c call_srcu: adapted (the shortest grace period allowed; who is queued already is GP-RULE)
 */
export function* call_srcu(ssp: SrcuStruct, head: number): Path {
  yield* request(current.kernel.op.callSrcu, ssp.number, head);
}
/** Waits for the callbacks that were queued at the call. @context may sleep @kernel 6.12 kernel/rcu/srcutree.c srcu_barrier: faithful */
export function* srcu_barrier(ssp: SrcuStruct): Path {
  yield* request(current.kernel.op.srcuBarrierStart, ssp.number);
  yield* request(current.kernel.op.srcuBarrierWait, ssp.number);
}
/**
 * The work that runs the callbacks of a domain, with bottom halves off: a daemon agent.
 * @kernel 6.12 kernel/rcu/srcutree.c srcu_invoke_callbacks: adapted (one at a time, in any order; one work for all CPUs)
 */
export function* srcu_invoke_callbacks(ssp: SrcuStruct): Path {
  for (;;) {
    const head = yield* request(current.kernel.op.srcuTake, ssp.number);
    yield* ssp.heads[head]!.func();
    yield* request(current.kernel.op.srcuDone, ssp.number, head);
  }
}
