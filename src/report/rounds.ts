// SPDX-License-Identifier: MIT
/** A run that repeats for ever: what of it is drawn, and what it hinges on. */
import type { Trace, TraceLine } from '../explore/trace.js';
import { isLook, isStale } from './looks.js';

/** What an agent that goes round alone looks at twice, and has changed in between. */
export interface Hinge {
  readonly cell: string;
  readonly before: TraceLine;
  readonly change: TraceLine;
  readonly after: TraceLine;
}

/**
 * The run up to the end of the first round. A state comes back exactly only after some rounds that differ in numbers and
 * names, and the first of them may come before the loop: rounds are alike if the same agents make the same steps from the
 * same places. Of the places where a round may begin, the first from which it holds its hinge.
 */
export function firstRound(trace: Trace): { trace: Trace; hinge: Hinge | undefined } {
  const { steps, loop } = trace;
  if (loop === undefined) return { trace, hinge: undefined };
  const places = steps.map(({ agent, op, stack }) => [agent, op, ...stack.map(({ at }) => at)].join());
  const length = steps.length - loop;
  let round = 1;
  const repeats = (): boolean => places.slice(loop + round).every((place, i) => place === places[loop + i]);
  while (length % round !== 0 || !repeats()) round++;
  let first = loop;
  while (first > 0 && places[first - 1] === places[first - 1 + round]) first--;
  const hinge = hingeOf(trace, first, round);
  if (hinge !== undefined) first = Math.max(first, hinge.after.index - round);
  return { trace: { ...trace, steps: steps.slice(0, first + round), loop: first }, hinge };
}

/** The two looks, less than a round apart, that are furthest apart. */
function hingeOf({ steps, cells }: Trace, first: number, round: number): Hinge | undefined {
  const around = steps.slice(first);
  if (around.some(({ agent }) => agent !== around[0]!.agent)) return undefined;
  let found: Hinge | undefined;
  const span = (hinge: Hinge | undefined): number =>
    hinge === undefined ? 0 : hinge.after.index - hinge.before.index;
  for (const after of around) {
    const { cell, index } = after;
    if (cell === undefined || !isLook(after) || cells[cell]?.lock !== undefined) continue;
    const earlier = around.filter((step) => step.index < index && step.index > index - round);
    const before = earlier.findLast((step) => step.cell === cell && isLook(step));
    if (before === undefined) continue;
    const changes = (step: TraceLine): TraceLine['changes'][number] | undefined =>
      step.changes.find((one) => one.cell === cell);
    const change = earlier.findLast((step) => step.index > before.index && changes(step) !== undefined);
    if (change === undefined || isStale(before, changes(change)!.raw[1]) !== true) continue;
    const hinge = { cell, before, change, after };
    if (span(hinge) > span(found)) found = hinge;
  }
  return found;
}
