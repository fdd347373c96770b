// SPDX-License-Identifier: MIT
import { GUP_PIN_COUNTING_BIAS } from '../linux/include/mm_types.js';
import type { Kernel } from '../linux/kernel.js';
import {
  GupTest,
  pin_longterm_test_read,
  pin_longterm_test_start,
  pin_longterm_test_stop,
} from '../linux/mm/gup_test.js';
import type { Runner } from './workload.js';

/** An open file of the GUP test driver; a forked child shares it. */
interface OpenFile {
  count: number;
}

/** The GUP test driver: what it has pinned, once for the whole system, and who has its file open. */
export class Pins {
  private readonly gup_test: GupTest;
  /** By process. */
  private readonly files: (OpenFile | undefined)[] = [];

  constructor(
    private readonly kernel: Kernel,
    private readonly run: Runner,
  ) {
    this.gup_test = new GupTest(kernel.system);
  }

  isOpen(process: number): boolean {
    return this.files[process] !== undefined;
  }

  /** Pins; opens the file if the process has it not. Returns 0 or a negative error number. */
  pin(process: number, agent: number, addr: number, pages: number, flags: number): number {
    this.files[process] ??= { count: 1 };
    return this.hold(() => this.run(agent, () => pin_longterm_test_start(this.gup_test, addr, pages, flags)));
  }

  unpin(agent: number): void {
    this.hold(() => this.run(agent, () => pin_longterm_test_stop(this.gup_test)));
  }

  /** The contents of what is pinned, or a negative error number. */
  read(agent: number): number[] | number {
    return this.run(agent, () => pin_longterm_test_read(this.gup_test));
  }

  fork(parent: number, child: number): void {
    const file = this.files[parent];
    this.files[child] = file;
    if (file !== undefined) file.count++;
  }

  /** The last who has the file open releases what is pinned, whoever pinned it. */
  exit(process: number, agent: number): void {
    const file = this.files[process];
    this.files[process] = undefined;
    if (file !== undefined && --file.count === 0) this.unpin(agent);
  }

  /** Keeps the pins that REF-SUM has to know of: what the driver has pinned after `change`. */
  private hold<T>(change: () => T): T {
    for (const pfn of this.pinned()) this.kernel.hold(pfn, -GUP_PIN_COUNTING_BIAS);
    const result = change();
    for (const pfn of this.pinned()) this.kernel.hold(pfn, GUP_PIN_COUNTING_BIAS);
    return result;
  }

  /** The frames that the driver has pinned; the zero page is never counted. */
  private pinned(): number[] {
    const { zero_page } = this.kernel;
    const nr = Math.max(0, this.gup_test.nr.value - 1);
    return Array.from({ length: nr }, (_, i) => this.gup_test.page(i).value - 1).filter(
      (pfn) => pfn !== zero_page?.pfn,
    );
  }
}
