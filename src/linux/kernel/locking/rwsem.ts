// SPDX-License-Identifier: GPL-2.0-only
import type { OpDefinition } from '../../../core/ops.js';
import { request, type Path } from '../../../core/path.js';
import type { System } from '../../../core/system.js';
import type { Rwsem } from '../../include/mm_types.js';
import { current } from '../../kernel.js';

/**
 * A reader may enter while no writer holds the lock or waits for it, so a writer is not starved. A writer that finds
 * the lock taken queues first. a = the count cell, b = the waiters cell.
 */
export function defineRwsemOps(system: System) {
  const value = (cell: number): number => system.mem[cell]!;
  const op = (definition: Omit<OpDefinition, 'args' | 'touches'> & Partial<OpDefinition>): number =>
    system.op({
      args: ['cell', 'cell', 'plain'],
      touches: (a, b, _c, _agent, access) => void access.writes.push(a, b),
      ...definition,
    });
  /** Those that leave: nobody waits in them, and who is next comes by himself. */
  const release: Pick<OpDefinition, 'role' | 'mover' | 'touches'> = {
    role: 'release',
    mover: 'left',
    touches: (a, _b, _c, _agent, access) => void access.writes.push(a),
  };
  const show = (text: string) => (a: number) => `${text}(${system.cells[a]!.name})`;
  return {
    downRead: op({
      name: 'down_read',
      role: 'acquire',
      shared: true,
      queued: true,
      enabled: (a, b) => value(a) >= 0 && value(b) === 0,
      exec: (a) => (system.set(a, value(a) + 1), 0),
      touches: (a, b, _c, _agent, access) => void (access.writes.push(a), access.reads.push(b)),
      describe: show('down_read'),
    }),
    downReadTrylock: op({
      name: 'down_read_trylock',
      role: 'try',
      shared: true,
      exec: (a, b) => {
        if (value(a) < 0 || value(b) !== 0) return 0;
        system.set(a, value(a) + 1);
        return 1;
      },
    }),
    upRead: op({
      ...release,
      name: 'up_read',
      exec: (a) => {
        if (value(a) <= 0) system.fail('LOCK', `${system.cells[a]!.name}: up_read() without a reader`);
        system.set(a, value(a) - 1);
        return 0;
      },
      describe: show('up_read'),
    }),
    /** Takes the lock, or queues: observes which. */
    downWriteBegin: op({
      name: 'down_write',
      role: 'acquire',
      exec: (a, b) => {
        if (value(a) === 0) {
          system.set(a, -1);
          return 1;
        }
        system.set(b, value(b) + 1);
        return 0;
      },
      describe: show('down_write'),
    }),
    downWriteWait: op({
      name: 'down_write_wait',
      queued: true,
      enabled: (a) => value(a) === 0,
      exec: (a, b) => {
        system.set(a, -1);
        system.set(b, value(b) - 1);
        return 0;
      },
    }),
    downWriteTrylock: op({
      name: 'down_write_trylock',
      role: 'try',
      exec: (a) => {
        if (value(a) !== 0) return 0;
        system.set(a, -1);
        return 1;
      },
    }),
    upWrite: op({
      ...release,
      name: 'up_write',
      exec: (a) => {
        if (value(a) !== -1) system.fail('LOCK', `${system.cells[a]!.name}: up_write() without a writer`);
        system.set(a, 0);
        return 0;
      },
      describe: show('up_write'),
    }),
    downgradeWrite: op({
      name: 'downgrade_write',
      role: 'downgrade',
      exec: (a) => {
        if (value(a) !== -1)
          system.fail('LOCK', `${system.cells[a]!.name}: downgrade_write() without a writer`);
        system.set(a, 1);
        return 0;
      },
      describe: show('downgrade_write'),
    }),
  };
}

/** @context may sleep @kernel 6.12 kernel/locking/rwsem.c down_read: adapted (no spinning, no lock stealing) */
export function* down_read(sem: Rwsem): Path {
  yield* request(current.kernel.op.downRead, sem.count.at, sem.waiters.at);
}
/** @kernel 6.12 kernel/locking/rwsem.c down_read_trylock: faithful */
export function* down_read_trylock(sem: Rwsem): Path<boolean> {
  return (yield* request(current.kernel.op.downReadTrylock, sem.count.at, sem.waiters.at)) !== 0;
}
/** @kernel 6.12 kernel/locking/rwsem.c up_read: faithful */
export function* up_read(sem: Rwsem): Path {
  yield* request(current.kernel.op.upRead, sem.count.at, sem.waiters.at);
}
/** @context may sleep @kernel 6.12 kernel/locking/rwsem.c down_write: adapted (a waiting writer keeps new readers out) */
export function* down_write(sem: Rwsem): Path {
  if (yield* request(current.kernel.op.downWriteBegin, sem.count.at, sem.waiters.at)) return;
  yield* request(current.kernel.op.downWriteWait, sem.count.at, sem.waiters.at);
}
/** @kernel 6.12 kernel/locking/rwsem.c down_write_trylock: faithful */
export function* down_write_trylock(sem: Rwsem): Path<boolean> {
  return (yield* request(current.kernel.op.downWriteTrylock, sem.count.at, sem.waiters.at)) !== 0;
}
/** As {@link down_write}, while a lock of the same class is held. @context may sleep @kernel 6.12 kernel/locking/rwsem.c down_write_nested: adapted (as down_write) */
export function* down_write_nested(sem: Rwsem, subclass: number): Path {
  if (yield* request(current.kernel.op.downWriteBegin, sem.count.at, sem.waiters.at, subclass)) return;
  yield* request(current.kernel.op.downWriteWait, sem.count.at, sem.waiters.at);
}
/** @kernel 6.12 kernel/locking/rwsem.c up_write: faithful */
export function* up_write(sem: Rwsem): Path {
  yield* request(current.kernel.op.upWrite, sem.count.at, sem.waiters.at);
}
/** @kernel 6.12 kernel/locking/rwsem.c downgrade_write: faithful */
export function* downgrade_write(sem: Rwsem): Path {
  yield* request(current.kernel.op.downgradeWrite, sem.count.at, sem.waiters.at);
}
