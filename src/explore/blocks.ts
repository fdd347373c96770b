// SPDX-License-Identifier: MIT
import type { System } from '../core/system.js';
import { ACQUIRE, ALONE, type Fusion, LOCAL, OTHER, RELEASE } from './fusion.js';
import type { Position } from './position.js';
import { DISABLED } from './steps.js';
import type { Stepper } from './stepper.js';

/** Steps that are fused into one block at most. */
const BLOCK = 64;

/** Takes the steps of one agent that are fused with a step that it has just taken: its block. */
export class Blocks {
  private readonly cells: number;
  private readonly sc: boolean;

  constructor(
    system: System,
    private readonly position: Position,
    private readonly stepper: Stepper,
    private readonly fusion: Fusion,
  ) {
    this.cells = system.cells.length;
    this.sc = system.memory === 'sc';
  }

  /**
   * Goes on with an agent's block. `first` is where the agent stood before the step that it has taken. Returns false if
   * the run ends here.
   */
  goOn(agent: number, first: number): boolean {
    const { position, stepper, fusion, sc } = this;
    const { steps } = stepper;
    const at = this.cells + agent;
    let committed = fusion.commits(fusion.kind[first]!);
    let acquired = fusion.kind[first] === ACQUIRE;
    for (let i = 0; i < BLOCK; i++) {
      const node = position.state[at]!;
      const kind = fusion.kind[node]!;
      if (kind === ALONE) return true;
      if (committed && kind !== LOCAL && (kind !== RELEASE || !sc)) return true;
      if (acquired && kind === ACQUIRE) return true;
      const outcome = steps.outcomeIn(position.state, node);
      if (outcome === DISABLED) return true;
      if (outcome === 0 && !(stepper.enabled(agent, node) && stepper.outcomes(agent, node) === 1))
        return true;
      if (stepper.anyPlain()) stepper.races();
      const { changes, low, high } = position;
      if (!(outcome === 0 ? stepper.take(agent, 0) : stepper.takeAgain(agent, node, outcome))) {
        if (kind === OTHER) return false;
        // The run ends with this step, but others may go before it.
        stepper.untake(changes, low, high);
        return true;
      }
      if (kind === OTHER || kind === RELEASE) committed = true;
      else if (kind === ACQUIRE) acquired = true;
    }
    return true;
  }
}
