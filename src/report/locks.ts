// SPDX-License-Identifier: MIT
/** Which locks an agent holds, to be said once, beside the call that took them. */
import type { Trace, TraceLine } from '../explore/trace.js';
import type { Call, Calls } from './calls.js';
import { cellName } from './words.js';

interface Held {
  readonly cell: string;
  /** The call that took it, innermost. */
  readonly by: Call;
  said: boolean;
}

export class HeldLocks {
  private readonly held: Held[][];

  constructor(
    private readonly trace: Trace,
    private readonly calls: Calls,
  ) {
    this.held = trace.agents.map(() => []);
  }

  /** Takes note of what a step locked or unlocked. A step that is shown says so itself. */
  after(step: TraceLine, shown: boolean): void {
    const mine = this.held[step.agent]!;
    for (const { cell, from, to } of step.changes) {
      if (this.trace.cells[cell]?.lock === undefined) continue;
      const at = mine.findIndex((lock) => lock.cell === cell);
      if (to === 'free') {
        if (at >= 0) mine.splice(at, 1);
      } else if (from === 'free' && at < 0) mine.push({ cell, by: this.calls.get(step.index)!, said: shown });
    }
  }

  /**
   * Locks to name beside a step, by the innermost of the calls `around` it that took each; under undefined those that
   * none of them took.
   */
  toSay(agent: number, around: readonly Call[]): Map<Call | undefined, string[]> {
    const found = new Map<Call | undefined, string[]>();
    for (const lock of this.held[agent]!) {
      if (lock.said) continue;
      lock.said = true;
      const taker = around.findLast((call) => isWithin(lock.by, call));
      found.set(taker, [...(found.get(taker) ?? []), cellName(this.trace, lock.cell)]);
    }
    return found;
  }
}

function isWithin(inner: Call, outer: Call): boolean {
  for (let at: Call | undefined = inner; at !== undefined; at = at.parent) if (at === outer) return true;
  return false;
}
