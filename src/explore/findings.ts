// SPDX-License-Identifier: MIT
import type { Finding, Step } from './result.js';

/**
 * First size of what grows with the states. Small, so that it has grown before the optimiser takes the search's functions
 * on: a branch that it has not seen run throws the compiled code away when it does run.
 */
export const FIRST = 64;

/** What a search has found, and where each of its states came from, which gives the run to it. */
export class Findings {
  readonly list: Finding[] = [];
  /** Everything that was looked for is found. */
  stopped = false;
  /** The state that is expanded (-1: none yet) and the step that is being taken from it (moving -1: none). */
  expanding = -1;
  moving = -1;
  choosing = 0;
  /** Steps that were taken from the state so far: more than one where steps are fused, all of the same agent. */
  taken = 0;
  private parents = new Int32Array(FIRST);
  private movers = new Uint8Array(FIRST);
  private choices = new Uint16Array(FIRST);
  private lengths = new Uint8Array(FIRST);
  private readonly names = new Set<string>();

  constructor(private readonly until: ReadonlySet<string> | undefined) {}

  get bytes(): number {
    return (
      this.parents.byteLength + this.movers.byteLength + this.choices.byteLength + this.lengths.byteLength
    );
  }

  /** The step that is being taken leads to state `number`, seen for the first time. */
  arrive(number: number): void {
    if (number === this.parents.length) {
      this.parents = grown(this.parents, new Int32Array(number * 2));
      this.movers = grown(this.movers, new Uint8Array(number * 2));
      this.choices = grown(this.choices, new Uint16Array(number * 2));
      this.lengths = grown(this.lengths, new Uint8Array(number * 2));
    }
    this.parents[number] = this.expanding;
    this.movers[number] = this.moving;
    this.choices[number] = this.choosing;
    this.lengths[number] = this.taken;
  }

  has(kind: Finding['kind'], name: string): boolean {
    return this.names.has(`${kind} ${name}`);
  }

  /** Notes the first of each kind and name. `inStep`: the step that is being taken shows it, else the state before. */
  add(kind: Finding['kind'], name: string, detail: string, inStep: boolean): void {
    if (this.has(kind, name)) return;
    const run = this.runTo(this.expanding);
    if (inStep && this.moving >= 0) run.push(...block(this.moving, this.choosing, this.taken));
    this.note(kind, name, detail, run);
  }

  /** As `add`, for a run that is known. */
  note(kind: Finding['kind'], name: string, detail: string, run: readonly Step[]): void {
    if (this.has(kind, name)) return;
    this.names.add(`${kind} ${name}`);
    this.list.push({ kind, name, detail, run: [...run] });
    if (isBad(kind)) this.names.add('violation');
    if (this.until !== undefined && [...this.until].every((wanted) => this.names.has(wanted)))
      this.stopped = true;
  }

  /** Whether anything was found that makes a run wrong. */
  get anyBad(): boolean {
    return this.names.has('violation');
  }

  /** The run to the state that is expanded, to be asked for at any time. */
  way(): () => Step[] {
    const { expanding } = this;
    return () => this.runTo(expanding);
  }

  private runTo(number: number): Step[] {
    const blocks: Step[][] = [];
    for (let at = number; at >= 0 && this.parents[at]! >= 0; at = this.parents[at]!)
      blocks.push(block(this.movers[at]!, this.choices[at]!, this.lengths[at]!));
    return blocks.reverse().flat();
  }
}

/** A step, and those that were fused with it: they have one outcome. */
function block(agent: number, choice: number, length: number): Step[] {
  return Array.from({ length }, (_, i) => ({ agent, choice: i === 0 ? choice : 0 }));
}

/** Whether a finding is the answer, not a remark beside it. */
export function isBad(kind: Finding['kind']): boolean {
  return kind !== 'report' && kind !== 'witness';
}

/** Copies `old` into the larger array that takes its place. */
export function grown<T extends Int32Array | Uint8Array | Uint16Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}
