// SPDX-License-Identifier: MIT
/** Which two steps the outcome of a run hinges on. */
import type { Trace, TraceLine } from '../explore/trace.js';
import { hostsOf } from './hosts.js';
import { isStale, looksAgain } from './looks.js';

/** A look and the change by another agent that made it stale, two steps that met on a cell, or a lock that was not to be had. */
export interface Race {
  readonly kind: 'stale' | 'met' | 'refused';
  readonly cell: string;
  readonly first: TraceLine;
  readonly second: TraceLine;
}

/**
 * The last look at a cell that another agent changed afterwards, while the one that looked went on without looking
 * again: of the agent that makes the last step, or else of any. Where a step broke something by itself and its agent
 * saw nothing stale, the last change that it ran into.
 */
export function raceOf(trace: Trace): Race | undefined {
  const last = trace.steps.at(-1);
  if (last === undefined) return undefined;
  return (
    lostAdd(trace) ??
    ended(trace, last) ??
    staleLook(trace, (agent) => agent === last.agent) ??
    meeting(trace, last) ??
    refused(trace, last) ??
    staleLook(trace, () => true)
  );
}

/** An add that another agent's store has overwritten: what is stored was calculated from what that one had read before. */
function lostAdd(trace: Trace): Race | undefined {
  if (trace.property !== 'ATOMIC-SUM') return undefined;
  const hosts = hostsOf(trace);
  for (const store of trace.steps.toReversed())
    for (const cell of store.writes.filter((name) => name.endsWith('.data'))) {
      const before = trace.steps.slice(0, store.index - 1).toReversed();
      const first = before.find(
        (step) => hosts[step.agent] === hosts[store.agent] && step.reads.includes(cell),
      );
      const second = before.find(
        (step) =>
          hosts[step.agent] !== hosts[store.agent] && step.changes.some((change) => change.cell === cell),
      );
      if (first !== undefined && second !== undefined && first.index < second.index)
        return { kind: 'stale', cell, first, second };
    }
  return undefined;
}

/** What the last step touches had been given back by another agent. */
function ended(trace: Trace, last: TraceLine): Race | undefined {
  const hosts = hostsOf(trace);
  const first = trace.steps.findLast(
    ({ agent, cell, changes }) =>
      hosts[agent] !== hosts[last.agent] &&
      cell !== undefined &&
      trace.cells[cell]?.life === true &&
      changes.length > 0,
  );
  return first === undefined ? undefined : { kind: 'met', cell: first.cell!, first, second: last };
}

function meeting(trace: Trace, last: TraceLine): Race | undefined {
  const hosts = hostsOf(trace);
  const touched = new Set([...last.reads, ...last.writes, ...last.changes.map(({ cell }) => cell)]);
  for (const step of trace.steps.slice(0, -1).reverse()) {
    if (hosts[step.agent] === hosts[last.agent]) continue;
    const change = step.changes.find(
      ({ cell }) =>
        touched.has(cell) && trace.cells[cell]?.ghost !== true && trace.cells[cell]?.lock === undefined,
    );
    if (change !== undefined) return { kind: 'met', cell: change.cell, first: step, second: last };
  }
  return undefined;
}

/** The agent of the last step tried for a lock that another one held. */
function refused(trace: Trace, last: TraceLine): Race | undefined {
  const tried = trace.steps.findLast(
    ({ agent, op, observed }) => agent === last.agent && op === 'trylock' && observed === 0,
  );
  if (tried?.cell === undefined) return undefined;
  const { cell } = tried;
  const taken = trace.steps
    .slice(0, tried.index - 1)
    .findLast(({ changes }) => changes.some((change) => change.cell === cell && change.from === 'free'));
  return taken === undefined ? undefined : { kind: 'refused', cell, first: taken, second: tried };
}

function staleLook(trace: Trace, by: (agent: number) => boolean): Race | undefined {
  const { steps } = trace;
  const hosts = hostsOf(trace);
  for (const first of steps.toReversed()) {
    const { cell, agent } = first;
    if (!by(agent) || cell === undefined || trace.cells[cell]?.lock !== undefined) continue;
    const second = steps
      .slice(first.index)
      .find(
        (step) =>
          hosts[step.agent] !== agent &&
          step.changes.some((change) => change.cell === cell && isStale(first, change.raw[1]) === true),
      );
    if (second === undefined) continue;
    const later = steps.slice(second.index).filter((step) => step.agent === agent);
    const again = later.some((step) => step.index < steps.length && looksAgain(first, step));
    if (later.length > 0 && !again) return { kind: 'stale', cell, first, second };
  }
  return undefined;
}
