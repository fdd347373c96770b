// SPDX-License-Identifier: MIT
import type { Automaton } from './automaton.js';
import { components } from './components.js';

/**
 * To which points of their paths agents can come back, also with other frames. A point is a place in the source, reached
 * by the same calls; one counts if some agent can come back to it.
 */
export class Loops {
  private readonly points = new Map<string, number>();
  private readonly pointOf: number[] = [];
  /** By point: the agent can come back to it. */
  private readonly looping: boolean[] = [];
  /** Whether there are any. */
  readonly any: boolean;

  /** Those of paths that have been learnt. */
  constructor(private readonly automaton: Automaton) {
    const after: number[][] = Array.from({ length: automaton.size }, () => []);
    automaton.edges().forEach((children, node) => {
      const all = after[automaton.kin(node)]!;
      for (const child of children) all.push(automaton.kin(child));
    });
    const firstEdge = [0];
    for (const children of after) firstEdge.push(firstEdge.at(-1)! + children.length);
    const targets = after.flat();
    const found = components({ size: after.length, firstEdge, target: (edge) => targets[edge]! });
    for (const node of found.flat()) this.looping[this.point(node)] = true;
    this.any = found.length > 0;
  }

  /** Whether an agent may come back to that node, or to the same point. */
  has(node: number): boolean {
    return this.looping[this.point(node)] === true;
  }

  private point(node: number): number {
    const known = this.pointOf[node];
    if (known !== undefined) return known;
    const { automaton, points } = this;
    const key = `${automaton.agent[node]}:${automaton.op[node]}:${automaton.stack(node).join()}`;
    let point = points.get(key);
    if (point === undefined) points.set(key, (point = points.size));
    return (this.pointOf[node] = point);
  }
}
