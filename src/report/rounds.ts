// SPDX-License-Identifier: MIT
/** A run that repeats for ever: what of it is drawn, and what it hinges on. */
import type { Trace, TraceLine } from '../explore/trace.js';
import { isLook, isStale } from './looks.js';

/**
 * The run up to the end of the first round. A state comes back exactly only after some rounds that differ in numbers and
 * names, and the first of them may come before the loop: rounds are alike if the same agents make the same steps from the
 * same places.
 */
export function firstRound(trace: Trace): Trace {
  const { steps, loop } = trace;
  if (loop === undefined) return trace;
  const places = steps.map(({ agent, op, stack }) => [agent, op, ...stack.map(({ at }) => at)].join());
  const length = steps.length - loop;
  let round = 1;
  const repeats = (): boolean => places.slice(loop + round).every((place, i) => place === places[loop + i]);
  while (length % round !== 0 || !repeats()) round++;
  let first = loop;
  while (first > 0 && places[first - 1] === places[first - 1 + round]) first--;
  return { ...trace, steps: steps.slice(0, first + round), loop: first };
}

/** What an agent that goes round alone looks at twice, and has changed in between. */
export interface Hinge {
  readonly cell: string;
  readonly before: TraceLine;
  readonly change: TraceLine;
  readonly after: TraceLine;
}

/** The last such look of the round. */
export function hingeOf(trace: Trace): Hinge | undefined {
  if (trace.loop === undefined) return undefined;
  const round = trace.steps.slice(trace.loop);
  if (round.some(({ agent }) => agent !== round[0]!.agent)) return undefined;
  for (const after of round.toReversed()) {
    const { cell } = after;
    if (cell === undefined || !isLook(after) || trace.cells[cell]?.lock !== undefined) continue;
    const before = round.findLast((step) => step.index < after.index && step.cell === cell && isLook(step));
    if (before === undefined) continue;
    const change = round.findLast(
      (step) =>
        step.index > before.index &&
        step.index < after.index &&
        step.changes.some((one) => one.cell === cell && isStale(before, one.raw[1]) === true),
    );
    if (change !== undefined) return { cell, before, change, after };
  }
  return undefined;
}
