// SPDX-License-Identifier: MIT
import { request, type Path } from '../core/path.js';
import { claim } from '../core/primitives.js';
import { type Cell, frameRef, frameSet } from '../core/system.js';
import type { Mm, Page } from '../linux/include/mm_types.js';
import type { Kernel } from '../linux/kernel.js';
import { cpuEntry, isExclusive } from './device.js';
import { pfnOf } from '../machine/pte.js';

/**
 * OWNER of one call of make_device_exclusive(): ghost state that collects the frames for which the process has had a
 * device-exclusive entry at the address during the call. A page that is returned must be one of them. It may have lost
 * the entry since: that is the business of the driver's notifier.
 */
export class MadeWatch {
  private readonly open: Cell;
  private readonly made: Cell;
  private readonly ops: { begin: number; judge: number };

  constructor(
    kernel: Kernel,
    private readonly name: string,
    mm: Mm,
    addr: number,
  ) {
    const { system } = kernel;
    this.open = system.cell(`${name}.open`);
    this.made = system.cell(`${name}.made`, 0, { type: frameSet });
    system.monitors.push({
      cells: [this.open, this.made, ...mm.pmd, ...kernel.mem_map.flatMap(({ frame }) => frame.pte)],
      update: () => {
        const entry = cpuEntry(kernel, mm, addr);
        if (this.open.value !== 0 && isExclusive(entry))
          system.set(this.made.at, this.made.value | (1 << pfnOf(entry)));
      },
    });
    const touches = (
      _a: number,
      _b: number,
      _c: number,
      _agent: number,
      access: { writes: number[] },
    ): void => void access.writes.push(this.open.at, this.made.at);
    this.ops = {
      begin: system.op({
        name: `${name}_begin`,
        exec: () => {
          system.set(this.made.at, 0);
          system.set(this.open.at, 1);
          return 0;
        },
        touches,
      }),
      /** Ends the watch; observes whether frame a - 1 was made exclusive during it. */
      judge: system.op({
        name: `${name}_judge`,
        exec: (a) => {
          const was = ((this.made.value >> (a - 1)) & 1) !== 0;
          system.set(this.made.at, 0);
          system.set(this.open.at, 0);
          return was ? 1 : 0;
        },
        args: [frameRef, 'plain', 'plain'],
        touches,
      }),
    };
  }

  /** Right before the call. */
  *begin(): Path {
    yield* request(this.ops.begin);
  }

  /** Right after the call, with a page that it returned. */
  *judge(page: Page): Path {
    const was = (yield* request(this.ops.judge, page.pfn + 1)) !== 0;
    yield* claim(
      was,
      'OWNER',
      `${this.name}: a page that the process did not have at that address was made exclusive`,
    );
  }
}
