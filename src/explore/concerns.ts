// SPDX-License-Identifier: MIT
import type { System } from '../core/system.js';

// One word says which invariants and monitors a step concerns; with more of them than bits, some share one.
export const INVARIANT_BITS = 20;
export const MONITOR_BITS = 10;
export const INVARIANTS = (1 << INVARIANT_BITS) - 1;
export const MONITORS = ((1 << MONITOR_BITS) - 1) << INVARIANT_BITS;

/** By cell: the bits of the invariants that always hold, and of the monitors, that look at it. */
export function concernsOf(system: System): Int32Array {
  const concerns = new Int32Array(system.cells.length);
  system.invariants
    .filter(({ when }) => when === 'always')
    .forEach(({ cells }, i) => {
      for (const cell of cells) concerns[cell.at]! |= 1 << (i % INVARIANT_BITS);
    });
  system.monitors.forEach(({ cells }, i) => {
    for (const cell of cells) concerns[cell.at]! |= 1 << (INVARIANT_BITS + (i % MONITOR_BITS));
  });
  return concerns;
}
