// SPDX-License-Identifier: MIT
import type { Access } from '../core/ops.js';
import { frameRef } from '../core/system.js';
import { Use } from './frame.js';
import type { Machine } from './machine.js';

/**
 * Accesses to the contents of frames that go past the MMU: DMA of a device, and copies by the kernel. Contents are one
 * token, so each is one step; they don't race with user accesses in the sense of KCSAN.
 */
export function defineDmaOps(machine: Machine) {
  const { system, frames } = machine;
  const alive = (number: number, who: string): void => {
    const { use } = frames[number]!;
    if (use.value !== Use.DATA)
      system.fail('FRAME-REUSE', `${who} reaches f${number}, which is ${use.type.show(use.value)}`);
  };
  const touches = (a: number, b: number, access: Access, writes: boolean): void => {
    const { use, data } = frames[a - 1]!;
    access.reads.push(use.at);
    if (data !== undefined) (writes ? access.writes : access.reads).push(data.at);
    if (b > 0) access.reads.push(frames[b - 1]!.use.at, ...[frames[b - 1]!.data].map((cell) => cell!.at));
  };
  return {
    /** A device writes b to frame a - 1. */
    dmaWrite: system.op({
      name: 'dma_write',
      exec: (a, b) => {
        alive(a - 1, 'DMA');
        const { data } = frames[a - 1]!;
        if (data !== undefined) system.set(data.at, b);
        return 0;
      },
      args: [frameRef, 'plain', 'plain'],
      touches: (a, _b, _c, _agent, access) => touches(a, 0, access, true),
      describe: (a, b) => `DMA: f${a - 1} = ${b}`,
    }),
    /** A device reads frame a - 1. */
    dmaRead: system.op({
      name: 'dma_read',
      exec: (a) => {
        alive(a - 1, 'DMA');
        return frames[a - 1]!.data?.value ?? 0;
      },
      args: [frameRef, 'plain', 'plain'],
      touches: (a, _b, _c, _agent, access) => touches(a, 0, access, false),
      describe: (a, _b, _c, observed) => `DMA: f${a - 1} is ${observed}`,
    }),
    /** Copies the contents of frame b - 1 to frame a - 1. */
    copyPage: system.op({
      name: 'copy_page',
      exec: (a, b) => {
        system.set(frames[a - 1]!.data!.at, frames[b - 1]!.data!.value);
        return 0;
      },
      args: [frameRef, frameRef, 'plain'],
      touches: (a, b, _c, _agent, access) => touches(a, b, access, true),
      describe: (a, b) => `f${a - 1} = copy of f${b - 1}`,
    }),
  };
}
