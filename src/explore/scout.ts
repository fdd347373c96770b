// SPDX-License-Identifier: MIT
import { Op } from '../core/ops.js';
import type { System } from '../core/system.js';
import { Automaton } from './automaton.js';
import { Walker } from './walker.js';

const RUNS = 16;
const STEPS = 400;

/**
 * Locks that somebody tries or looks at, as far as a few runs at random show: they can't be fused. The search would find
 * out by itself, but it would have to start again. Leaves `system.mem` at any state.
 */
export function lookedAt(system: System, initial: Int32Array): Set<number> {
  const locks = new Set<number>();
  system.lockClasses.forEach((lockClass, cell) => lockClass !== undefined && locks.add(cell));
  const found = new Set<number>();
  if (locks.size === 0) return found;
  const automaton = new Automaton(system);
  const always = system.invariants.filter(({ when }) => when === 'always');
  const broken = (): boolean => always.some((invariant) => invariant.check() !== undefined);
  const below = random(1);
  for (let run = 0; run < RUNS; run++) {
    system.mem.set(initial);
    const walker = new Walker(system, automaton, false);
    for (let i = 0; i < STEPS; i++) {
      const ready = system.agents.flatMap((_, agent) => (walker.enabled(agent) ? [agent] : []));
      if (ready.length === 0) break;
      const agent = ready[below(ready.length)]!;
      if (!walker.step(agent, below(walker.outcomes(agent))).sound || broken()) break;
    }
  }
  for (let node = 1; node < automaton.size; node++) {
    const op = automaton.op[node]!;
    if (op === Op.LOCK || op === Op.UNLOCK || op === Op.DONE || op === Op.FAIL) continue;
    const { reads, writes } = automaton.access(node);
    for (const cell of [...reads, ...writes]) if (locks.has(cell)) found.add(cell);
  }
  return found;
}

/** Numbers below a bound: a linear congruence, the same each time. */
function random(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 4294967296) * bound);
  };
}
