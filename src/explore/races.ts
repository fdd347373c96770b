// SPDX-License-Identifier: MIT
import { Op } from '../core/ops.js';
import type { Automaton } from './automaton.js';

/** KCSAN: two pending accesses to one cell, one a write, one plain. Returns the cell and the two agents, if any. */
export function dataRace(
  automaton: Automaton,
  nodeOf: (agent: number) => number,
  agents: number,
): { cell: number; x: number; y: number } | undefined {
  const { op, plain } = automaton;
  for (let x = 0; x < agents; x++) {
    if (plain[nodeOf(x)] === 0) continue;
    const one = automaton.access(nodeOf(x));
    for (let y = 0; y < agents; y++) {
      const node = nodeOf(y);
      if (x === y || op[node] === Op.DONE || op[node] === Op.FAIL) continue;
      if (plain[node] === 1 && y < x) continue;
      const other = automaton.access(node);
      for (const cell of one.writes)
        if (other.writes.includes(cell) || other.reads.includes(cell)) return { cell, x, y };
      for (const cell of one.reads) if (other.writes.includes(cell)) return { cell, x, y };
    }
  }
  return undefined;
}
