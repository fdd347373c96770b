// SPDX-License-Identifier: MIT
import type { System } from '../core/system.js';
import type { Automaton } from './automaton.js';
import { ACQUIRE, type Fusion, OTHER, RELEASE } from './fusion.js';
import type { Position } from './position.js';
import { DISABLED } from './steps.js';
import type { Stepper } from './stepper.js';

/** Steps that are fused into one block at most. */
const BLOCK = 64;

/** Takes the steps of one agent that are fused with a step that it has just taken: its block. */
export class Blocks {
  private readonly cells: number;

  constructor(
    system: System,
    private readonly automaton: Automaton,
    private readonly position: Position,
    private readonly stepper: Stepper,
    private readonly fusion: Fusion,
  ) {
    this.cells = system.cells.length;
  }

  /**
   * Goes on with an agent's movers: an acquisition, one other step, releases. `first` is where the agent stood before the
   * step that it has taken. Returns false if the run ends here.
   */
  goOn(agent: number, first: number): boolean {
    const { position, stepper, fusion } = this;
    const { mover, releases } = fusion;
    const at = this.cells + agent;
    let committed = mover[first] !== ACQUIRE;
    for (let i = 0; i < BLOCK; i++) {
      const node = position.state[at]!;
      const kind = fusion.mover[node]!;
      if (kind === RELEASE ? committed && !releases : committed || kind !== OTHER) return true;
      const outcome = stepper.steps.outcomeIn(position.state, node);
      if (outcome === DISABLED || (outcome === 0 && !this.mayFuse(agent, node, kind))) return true;
      committed = true;
      if (stepper.anyPlain()) stepper.races();
      if (!(outcome === 0 ? stepper.take(agent, 0) : stepper.takeAgain(agent, node, outcome))) return false;
    }
    return true;
  }

  private mayFuse(agent: number, node: number, kind: number): boolean {
    const { automaton, position, stepper } = this;
    const lock = automaton.a[node]!;
    // A release after which the path fails, or that fails itself, ends the run: others may go before it.
    if (kind === RELEASE && (position.state[lock] !== agent + 1 || stepper.failsAfter(node, 0))) return false;
    return stepper.enabled(agent, node) && stepper.outcomes(agent, node) === 1;
  }
}
