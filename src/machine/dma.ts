// SPDX-License-Identifier: MIT
import { frameRef } from '../core/system.js';
import type { Machine } from './machine.js';
import { Use } from './frame.js';

/** What a device without an MMU of its own does to memory: it reaches frames by number, whatever the page tables say. */
export function defineDmaOps(machine: Machine) {
  const { system, frames } = machine;
  const reach = (frame: number): void => {
    const { use, number } = frames[frame]!;
    if (use.value !== Use.DATA)
      system.fail('FRAME-REUSE', `DMA to f${number}, which is ${use.type.show(use.value)}`);
  };
  return {
    /** Stores b in frame a - 1. */
    dmaWrite: system.op({
      name: 'dma_write',
      drains: false,
      exec: (a, b) => {
        reach(a - 1);
        const { data } = frames[a - 1]!;
        if (data !== undefined) system.set(data.at, b);
        return 0;
      },
      args: [frameRef, 'plain', 'plain'],
      touches: (a, _b, _c, _agent, access) => {
        const { use, data } = frames[a - 1]!;
        access.reads.push(use.at);
        if (data !== undefined) access.writes.push(data.at);
      },
      describe: (a, b) => `DMA: f${a - 1} = ${b}`,
    }),
    /** Observes the contents of frame a - 1. */
    dmaRead: system.op({
      name: 'dma_read',
      drains: false,
      exec: (a) => {
        reach(a - 1);
        return frames[a - 1]!.data?.value ?? 0;
      },
      args: [frameRef, 'plain', 'plain'],
      touches: (a, _b, _c, _agent, access) => {
        const { use, data } = frames[a - 1]!;
        access.reads.push(use.at);
        if (data !== undefined) access.reads.push(data.at);
      },
      describe: (a, _b, _c, observed) => `DMA: f${a - 1} is ${observed}`,
    }),
  };
}
