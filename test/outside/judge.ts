// SPDX-License-Identifier: MIT
import { Verifier } from '../../bench/spin.js';
import { type Exported, promela } from './promela.js';
import type { Recorded } from './record.js';

/** What both say of a system, in the same words. */
export interface Said {
  readonly states: number;
  readonly steps: number;
  readonly found: readonly string[];
}

/** LOCK-ORDER, CTX and LOCK-HELD depend on the paths alone, not on interleavings; what was witnessed is not judged. */
const JUDGED = new Set(['violation', 'deadlock', 'leak', 'report DATA-RACE']);

export function engineSays({ result }: Recorded): Said {
  const found = result.findings
    .filter(({ kind, name }) => JUDGED.has(kind) || JUDGED.has(`${kind} ${name}`))
    .map(({ kind, name }) => `${kind} ${name}`)
    .sort();
  return { states: result.states, steps: result.transitions, found };
}

export function spinSays({ system, result, rests, races }: Recorded, { text, ends }: Exported): Said {
  const verifier = new Verifier(text, ['-O0', '-DVECTORSZ=8192']);
  try {
    const { states, transitions, failed } = verifier.judge();
    const found = failed.map(
      (what) => ends[Number(/^assertion violated \(dead!=(\d+)\)$/.exec(what)?.[1]) - 1]!,
    );
    // What SPIN counts beside the steps: the initial state, a look at each state of rest, each report of a race, each end.
    const looks = result.terminals * system.invariants.filter(({ when }) => when === 'end').length;
    const beside = 1 + looks + (rests - result.terminals) + races + found.length;
    return {
      states: states - found.length,
      steps: transitions - beside,
      found: found.sort(),
    };
  } finally {
    verifier.dispose();
  }
}

/** What SPIN says, and what it should say. */
export const asked = (recorded: Recorded): { spin: Said; engine: Said } => ({
  spin: spinSays(recorded, promela(recorded)),
  engine: engineSays(recorded),
});
