// SPDX-License-Identifier: GPL-2.0-only
import { request, type Path } from '../../core/path.js';
import { testAndSetBits, write } from '../../core/primitives.js';
import type { Cell } from '../../core/system.js';
import { current, type Kernel } from '../kernel.js';
import { executes, type Module } from './module.js';

/** struct work_struct, of a kernel with one queue. @kernel 6.12 include/linux/workqueue_types.h struct work_struct: adapted (whether a worker runs it is kept with it) */
export class WorkStruct {
  /** WORK_STRUCT_PENDING: it is queued. */
  readonly pending: Cell;
  /** A worker runs its function. */
  readonly running: Cell;
  /** Index in `kernel.works`. */
  readonly number: number;

  constructor(
    { system, works }: Kernel,
    name: string,
    /** Whose code `func` is. */
    readonly owner: Module,
    readonly func: () => Path,
  ) {
    this.pending = system.cell(`${name}.pending`);
    this.running = system.cell(`${name}.running`);
    this.number = works.push(this) - 1;
  }
}

export function defineWorkqueueOps({ system, works }: Kernel) {
  const queued = (): WorkStruct[] => works.filter(({ pending }) => pending.value !== 0);
  return {
    /** Waits for a work that is queued and takes it: any. Observes its number. */
    workTake: system.op({
      name: 'worker_thread',
      drains: false,
      enabled: () => queued().length > 0,
      waits: () => ({ until: 'work', by: 'queue_work()' }),
      choices: () => queued().length,
      exec: (_a, _b, _c, _agent, choice) => {
        const { pending, running, number } = queued()[choice]!;
        system.set(pending.at, 0);
        system.set(running.at, 1);
        return number;
      },
      touches: (_a, _b, _c, _agent, access) => {
        for (const { pending, running } of works) access.writes.push(pending.at, running.at);
      },
    }),
    /** Waits until work a is neither queued nor run. */
    workFlush: system.op({
      name: 'flush_work',
      sleeps: true,
      drains: false,
      enabled: (a) => works[a]!.pending.value === 0 && works[a]!.running.value === 0,
      waits: (a) => ({
        until: `the end of ${system.cells[works[a]!.pending.at]!.name.replace(/\.pending$/, '')}`,
        agents: system.agentsNamed('kworker'),
        by: 'worker_thread()',
      }),
      exec: () => 0,
      touches: (a, _b, _c, _agent, access) =>
        void access.reads.push(works[a]!.pending.at, works[a]!.running.at),
    }),
  };
}

/** Has a worker run the work, unless it is queued already. Returns whether it was not. @context any @kernel 6.12 kernel/workqueue.c queue_work: adapted (one queue) */
export function* queue_work(work: WorkStruct): Path<boolean> {
  return !(yield* testAndSetBits(work.pending, 1));
}

/** Waits until the work's function has returned, if it was queued before. @context may sleep @kernel 6.12 kernel/workqueue.c flush_work: adapted (also for one that is queued meanwhile) */
export function* flush_work(work: WorkStruct): Path {
  yield* request(current.kernel.op.workFlush, work.number);
}

/** Runs a work's function; the last that its owner executes is the return from it. @context may sleep @kernel 6.12 kernel/workqueue.c process_one_work: adapted (the owner's code is executed up to the return of its function) */
function* process_one_work({ owner, func, running }: WorkStruct): Path {
  yield* executes(owner);
  yield* func();
  yield* executes(owner);
  yield* write(running, 0);
}

/** A daemon agent that runs what is queued. @context may sleep @kernel 6.12 kernel/workqueue.c worker_thread: adapted (one) */
export function* worker_thread(): Path {
  for (;;) {
    const number = yield* request(current.kernel.op.workTake);
    yield* process_one_work(current.kernel.works[number]!);
  }
}
