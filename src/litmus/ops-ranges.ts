// SPDX-License-Identifier: MIT
import type { Mm } from '../linux/include/mm_types.js';
import { MMU_NOTIFY, type MmuNotifierRange } from '../linux/include/mmu_notifier.js';
import type { Kernel } from '../linux/kernel.js';

const EVENTS = new Map<number, string>(Object.entries(MMU_NOTIFY).map(([name, event]) => [event, name]));

/**
 * The ranges that notifiers are told of while an operation is executed, as the recorder shows those of a real kernel. An
 * mm has notifiers from the first open of a device on; what the end of the whole mm tells is not shown.
 */
export class Ranges {
  private readonly told = new Set<Mm>();
  private lines: string[] = [];

  constructor(
    kernel: Kernel,
    private readonly stride: number,
    private readonly processOf: (mm: Mm) => number,
  ) {
    kernel.onRange = (range) => this.add(range);
  }

  /** Somebody has subscribed. */
  subscribed(mm: Mm): void {
    this.told.add(mm);
  }

  /** The mm begins anew. */
  begin(mm: Mm): void {
    this.told.delete(mm);
  }

  /** The lines since they were last taken. */
  take(): string[] {
    const { lines } = this;
    this.lines = [];
    return lines;
  }

  private add({ mm, start, end, event }: MmuNotifierRange): void {
    if (!this.told.has(mm) || (start === 0 && end === mm.space.pages)) return;
    const region = Math.floor(start / this.stride);
    const [from, to] = [start, end].map((page) => page - region * this.stride);
    this.lines.push(`  P${this.processOf(mm)} notify R${region}[${from}..${to}) ${EVENTS.get(event)}`);
  }
}
