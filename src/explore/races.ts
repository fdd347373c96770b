// SPDX-License-Identifier: MIT
import type { Access } from '../core/ops.js';

/** KCSAN: two pending accesses to one cell, one a write, one plain. Returns the cell and the two agents, if any. */
export function dataRace(
  agents: number,
  accessOf: (agent: number) => Access,
): { cell: number; x: number; y: number } | undefined {
  for (let x = 0; x < agents; x++) {
    const one = accessOf(x);
    if (!one.plain) continue;
    for (let y = 0; y < agents; y++) {
      const other = accessOf(y);
      if (x === y || (other.plain && y < x)) continue;
      for (const cell of one.writes)
        if (other.writes.includes(cell) || other.reads.includes(cell)) return { cell, x, y };
      for (const cell of one.reads) if (other.writes.includes(cell)) return { cell, x, y };
    }
  }
  return undefined;
}
