// SPDX-License-Identifier: MIT
import { request, type Path } from '../core/path.js';
import { claim } from '../core/primitives.js';
import { frameSet, type Cell } from '../core/system.js';
import type { Kernel } from '../linux/kernel.js';
import { pfnOf } from '../machine/pte.js';

/**
 * NO-TORN: ghost state beside one lockless read of an entry of a process that maps one page. The value read is judged
 * by the frame it names: a frame that was mapped (by its _mapcount) at some instant of the read, or none.
 */
export class TornWatch {
  private readonly open: Cell;
  private readonly mapped: Cell;
  private readonly ops: { begin: number; judge: number };

  constructor(kernel: Kernel, name: string) {
    const { system } = kernel;
    this.open = system.cell(`${name}.open`);
    this.mapped = system.cell(`${name}.mapped`, 0, { type: frameSet });
    const now = (): number =>
      kernel.mem_map.reduce((set, page) => set | (page._mapcount.value > 0 ? 1 << page.pfn : 0), 0);
    system.monitors.push({
      cells: [this.open, this.mapped, ...kernel.mem_map.map((page) => page._mapcount)],
      update: () => {
        if (this.open.value !== 0) system.set(this.mapped.at, this.mapped.value | now());
      },
    });
    this.ops = {
      begin: system.op({
        name: `${name}_begin`,
        exec: () => {
          system.set(this.mapped.at, 0);
          system.set(this.open.at, 1);
          return 0;
        },
        touches: (_a, _b, _c, _agent, access) => void access.writes.push(this.open.at, this.mapped.at),
      }),
      /** Ends the watch; observes whether frame a was mapped during it. */
      judge: system.op({
        name: `${name}_judge`,
        exec: (a) => {
          const was = a < 31 && ((this.mapped.value >> a) & 1) !== 0;
          system.set(this.mapped.at, 0);
          system.set(this.open.at, 0);
          return was ? 1 : 0;
        },
        touches: (_a, _b, _c, _agent, access) => void access.writes.push(this.open.at, this.mapped.at),
      }),
    };
  }

  /** Right before the read. */
  *begin(): Path {
    yield* request(this.ops.begin);
  }

  /** Right after the read, with what it returned. */
  *judge(pte: number): Path {
    const existed = (yield* request(this.ops.judge, pfnOf(pte))) !== 0;
    yield* claim(pte === 0 || existed, 'NO-TORN', 'the value that was read never was the value of the entry');
  }
}
