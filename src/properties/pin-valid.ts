// SPDX-License-Identifier: MIT
import { request, type Path } from '../core/path.js';
import { frameRef } from '../core/system.js';
import type { Mm, Page } from '../linux/include/mm_types.js';
import type { Kernel } from '../linux/kernel.js';
import { VMA } from '../linux/mm/vma-tree.js';
import { Use } from '../machine/machine.js';
import { frameOf, PTE } from '../machine/pte.js';

/** How far the look-up that is watched has come. */
const Watch = { IDLE: 0, OPEN: 1, UNMAPPED: 2 } as const;
const WATCH_NAMES = ['idle', 'mapped since', 'was unmapped'];

/**
 * PIN-VALID: a pinned page is not freed, and as long as the process itself does not unmap the address, whatever is
 * mapped there is that page: what a device writes to it, the process reads. Ghost state beside one pin of `addr`.
 */
export class PinHold {
  private readonly ops: { open: number; hold: number; release: number };

  constructor(
    kernel: Kernel,
    readonly name: string,
    mm: Mm,
    addr: number,
  ) {
    const { system, machine } = kernel;
    const held = system.cell(`${name}.pinned`, 0, { type: frameRef });
    const watch = system.cell(`${name}.watch`, 0, {
      type: { name: 'watch', show: (value) => WATCH_NAMES[value] ?? '?' },
    });
    const covered = (): boolean =>
      mm.vmas.some(
        (vma) => vma.attached.value === VMA.ATTACHED && vma.vm_start.value <= addr && addr < vma.vm_end.value,
      );
    system.monitors.push({
      cells: [watch, ...mm.vmas.flatMap((vma) => [vma.attached, vma.vm_start, vma.vm_end])],
      update: () => {
        if (watch.value === Watch.OPEN && !covered()) system.set(watch.at, Watch.UNMAPPED);
      },
    });
    system.invariants.push({
      property: 'PIN-VALID',
      when: 'always',
      cells: [held, watch, ...machine.leafCells(mm.space, addr), ...machine.frames.map(({ use }) => use)],
      check: () => {
        if (held.value === 0) return undefined;
        const frame = machine.frames[held.value - 1]!;
        if (frame.use.value !== Use.DATA)
          return `f${frame.number} is pinned by ${name}, and is ${frame.use.type.show(frame.use.value)}`;
        const entry = machine.leaf(mm.space, addr);
        if (watch.value === Watch.OPEN && (entry & PTE.PRESENT) !== 0 && frameOf(entry) !== frame.number)
          return `${mm.name} page ${addr} maps f${frameOf(entry)}, and f${frame.number} is pinned for it`;
        return undefined;
      },
    });
    const touches = (
      _a: number,
      _b: number,
      _c: number,
      _agent: number,
      access: { writes: number[] },
    ): void => void access.writes.push(held.at, watch.at);
    this.ops = {
      open: system.op({ name: `${name}_open`, exec: () => (system.set(watch.at, Watch.OPEN), 0), touches }),
      hold: system.op({
        name: `${name}_hold`,
        exec: (a) => (system.set(held.at, a), 0),
        args: [frameRef, 'plain', 'plain'],
        touches,
      }),
      release: system.op({
        name: `${name}_release`,
        exec: () => {
          system.set(held.at, 0);
          system.set(watch.at, Watch.IDLE);
          return 0;
        },
        touches,
      }),
    };
  }

  /** Right before the call that pins. */
  *begin(): Path {
    yield* request(this.ops.open);
  }

  /** Right after the call: `page` is pinned now, undefined if the call failed. */
  *hold(page: Page | undefined): Path {
    if (page === undefined) yield* request(this.ops.release);
    else yield* request(this.ops.hold, page.pfn + 1);
  }

  /** Right before the pin is given up. */
  *release(): Path {
    yield* request(this.ops.release);
  }
}
