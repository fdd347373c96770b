// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../../core/path.js';
import { bits, type Cell, type System, type ValueType } from '../../../core/system.js';
import { current, type Kernel } from '../../kernel.js';

const readers: ValueType = {
  name: 'readers',
  show: (mask) => (mask === 0 ? 'none' : `tasks ${bits(mask).join(' ')}`),
};

/**
 * struct srcu_struct: readers of one domain, which may sleep. Per task the nesting and the readers that its
 * synchronize_srcu() waits for; interrupts off and rcu_read_lock() say nothing to it.
 * @kernel 6.12 include/linux/srcutree.h struct srcu_struct: adapted (a set of readers in place of two counters)
 */
export class SrcuStruct {
  readonly nesting: Cell[] = [];
  readonly waitsFor: Cell[] = [];

  constructor(
    private readonly system: System,
    readonly name: string,
    readonly number: number,
  ) {}

  addTask(agent: number): void {
    const task = this.system.agents[agent]!.name;
    this.nesting[agent] = this.system.cell(`${task}.${this.name}.srcu_nesting`);
    this.waitsFor[agent] = this.system.cell(`${task}.${this.name}.gp_readers`, 0, { type: readers });
  }

  readers(): number {
    return this.nesting.reduce((mask, cell, agent) => mask | (cell.value > 0 ? 1 << agent : 0), 0);
  }
}

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
        const { nesting, waitsFor, name } = srcu[a]!;
        const own = nesting[agent]!;
        if (own.value === 0) system.fail('LOCK', `srcu_read_unlock(${name}) without srcu_read_lock()`);
        else system.set(own.at, own.value - 1);
        if (own.value === 0)
          for (const cell of waitsFor)
            if ((cell.value >> agent) & 1) system.set(cell.at, cell.value & ~(1 << agent));
        return 0;
      },
      touches: (a, _b, _c, agent, access) =>
        void access.writes.push(srcu[a]!.nesting[agent]!.at, ...srcu[a]!.waitsFor.map((cell) => cell.at)),
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
        return 0;
      },
      touches: (a, _b, _c, agent, access) => {
        access.writes.push(srcu[a]!.waitsFor[agent]!.at);
        access.reads.push(...srcu[a]!.nesting.map((cell) => cell.at));
      },
      describe: (a) => `${srcu[a]!.name}: grace period begins`,
    }),
    srcuGpWait: system.op({
      name: 'srcu_gp_wait',
      enabled: (a, _b, _c, agent) => srcu[a]!.waitsFor[agent]!.value === 0,
      waits: (a, _b, _c, agent) => ({
        until: `the readers of ${srcu[a]!.name}`,
        agents: bits(srcu[a]!.waitsFor[agent]!.value),
        by: 'srcu_read_unlock()',
        inside: ['srcu-lock'],
      }),
      exec: () => 0,
      touches: (a, _b, _c, agent, access) =>
        void access.reads.push(srcu[a]!.waitsFor[agent]!.at, ...srcu[a]!.nesting.map((cell) => cell.at)),
      describe: (a) => `${srcu[a]!.name}: grace period is over`,
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
