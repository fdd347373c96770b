// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import type { Automaton } from './automaton.js';
import type { Known } from './fusion.js';
import { Sharing } from './sharing.js';
import { Walker } from './walker.js';

/** Runs that must show nothing new before it is enough, and the most there are. */
const VAIN = 12;
const RUNS = 200;
const STEPS = 600;
/** The odds that another agent goes on than the one that took the last step, by turns: paths are seen to the end, and mixed. */
const SWITCHING = [0.02, 0.1, 1];

/**
 * What a few runs at random show of who touches what, so of what can't be fused. The search would find out by itself, but
 * it would have to start again. Teaches the automata. Leaves `system.mem` at any state.
 */
export function scout(automaton: Automaton): Known {
  const { system } = automaton;
  const known: Known = {
    sharing: new Sharing(system),
    locks: new Set(),
    movers: new Set(),
    excuses: new Set(),
  };
  const always = system.invariants.filter(({ when }) => when === 'always');
  const broken = (): boolean => always.some((invariant) => invariant.check() !== undefined);
  const below = random(1);
  const walker = new Walker(automaton, false);
  for (let run = 0, vain = 0; run < RUNS && vain < VAIN; run++) {
    const size = automaton.size;
    walker.restart();
    const switching = SWITCHING[run % SWITCHING.length]! * 1000;
    let agent = -1;
    for (let i = 0; i < STEPS; i++) {
      if (agent < 0 || below(1000) < switching || !walker.enabled(agent)) {
        const ready = system.agents.flatMap((_, other) => (walker.enabled(other) ? [other] : []));
        if (ready.length === 0) break;
        agent = ready[below(ready.length)]!;
      }
      const node = walker.node(agent);
      const named = automaton.op[node]! < FIRST_OWN_OP ? automaton.a[node]! : -1;
      const { position } = walker;
      position.keep();
      const sound = walker.step(agent, below(walker.outcomes(agent)));
      for (let change = 0; change < position.changes; change++) {
        const cell = position.changed(change);
        if (cell !== named && cell < system.cells.length) known.sharing.wrote(agent, cell);
      }
      if (!sound || broken()) break;
    }
    vain = automaton.size === size ? vain + 1 : 0;
  }
  for (let node = 1; node < automaton.size; node++) {
    const op = automaton.op[node]!;
    if (op === Op.DONE || op === Op.FAIL) continue;
    const access = automaton.access(node);
    known.sharing.see(automaton.agent[node]!, op, access);
    const tries = op < FIRST_OWN_OP || system.ops[op - FIRST_OWN_OP]!.role === 'try';
    for (const cell of [...access.reads, ...access.writes, ...access.silent]) {
      if (op !== Op.LOCK && op !== Op.UNLOCK && system.lockClasses[cell] !== undefined) known.locks.add(cell);
      if (tries) known.movers.add(cell);
    }
  }
  return known;
}

/** Numbers below a bound: a linear congruence, the same each time. */
function random(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 4294967296) * bound);
  };
}
