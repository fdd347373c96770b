// SPDX-License-Identifier: MIT
/** Which steps of a run say something, and which two the outcome hinges on. */
import type { Trace, TraceLine } from '../explore/trace.js';
import { alwaysMatters, effects, isLook, sawThere } from './words.js';

/** A read and the write of another agent that made it stale, or two steps that met on a cell. */
export interface Race {
  readonly kind: 'stale' | 'met';
  readonly cell: string;
  readonly first: TraceLine;
  readonly second: TraceLine;
}

/** By cell: which agents looked at it or changed it, and which changed it. */
interface Users {
  readonly all: Set<number>;
  readonly changers: Set<number>;
}

/** Whether a diagram says what an agent was about to do: in a deadlock, and in a data race. */
export function isTold(trace: Trace, { agent, reads, writes }: Trace['pending'][number]): boolean {
  if (trace.verdict === 'deadlock') return !trace.agents[agent]!.daemon;
  return (
    trace.property === 'DATA-RACE' &&
    [...reads, ...writes].some((cell) => trace.detail.startsWith(`${cell}:`))
  );
}

/** Says of each step whether a diagram shows it. */
export function loudSteps(trace: Trace): (step: TraceLine) => boolean {
  const users = usersOf(trace);
  const conflicts = (cell: string, agent: number, changes: boolean): boolean => {
    const { all, changers } = users.get(cell)!;
    if (trace.cells[cell]?.ghost === true) return false;
    return [...(changes ? all : changers)].some((other) => other !== agent);
  };
  const loud = (step: TraceLine): boolean => {
    if (effects(trace, step).length === 0) return false;
    if (step.index === trace.steps.length || step.fault !== undefined) return true;
    const touched = [...step.reads, ...step.writes];
    if (step.text !== undefined && !touched.some((cell) => trace.cells[cell]?.lock !== undefined))
      return true;
    const changed = new Set(step.changes.map(({ cell }) => cell));
    if ([...changed].some((cell) => alwaysMatters(trace, cell))) return true;
    return [...touched, ...changed].some((cell) => conflicts(cell, step.agent, changed.has(cell)));
  };
  // What a function looks at between two looks that race belongs to the picture: the other half of a split entry.
  const lookers = new Set(trace.steps.filter((step) => isLook(step) && loud(step)).map(place));
  const alike = (step: TraceLine): boolean =>
    isLook(step) && isTyped(trace, step) && lookers.has(place(step));
  const shown = new Set(trace.steps.filter((step) => loud(step) || alike(step)));
  const round = trace.loop === undefined ? [] : trace.steps.slice(trace.loop, -1);
  if (!round.some((step) => shown.has(step))) for (const step of round) shown.add(step);
  return (step) => shown.has(step);
}

/** The agent and the functions that it is in. */
function place({ agent, stack }: TraceLine): string {
  return [agent, ...stack.map(({ fn }) => fn)].join('>');
}

/** A page-table entry, a frame, flags: not a mere number, not a ghost, not a lock. */
function isTyped(trace: Trace, { cell }: TraceLine): boolean {
  const facts = trace.cells[cell ?? ''];
  return facts !== undefined && facts.type !== 'int' && facts.ghost !== true && facts.lock === undefined;
}

function usersOf(trace: Trace): Map<string, Users> {
  const users = new Map<string, Users>();
  const of = (cell: string): Users => {
    let found = users.get(cell);
    if (found === undefined) users.set(cell, (found = { all: new Set(), changers: new Set() }));
    return found;
  };
  for (const { agent, reads, writes, changes } of trace.steps) {
    for (const cell of [...reads, ...writes]) of(cell).all.add(agent);
    for (const { cell } of changes) {
      of(cell).all.add(agent);
      of(cell).changers.add(agent);
    }
  }
  // What an agent waits for at the end it has not touched yet, but somebody else has.
  for (const pending of trace.pending)
    if (isTold(trace, pending))
      for (const cell of [...pending.reads, ...pending.writes]) of(cell).all.add(pending.agent);
  return users;
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
    staleLook(trace, (agent) => agent === last.agent) ?? meeting(trace, last) ?? staleLook(trace, () => true)
  );
}

function meeting(trace: Trace, last: TraceLine): Race | undefined {
  const touched = new Set([...last.reads, ...last.writes, ...last.changes.map(({ cell }) => cell)]);
  for (const step of trace.steps.slice(0, -1).reverse()) {
    if (step.agent === last.agent) continue;
    const change = step.changes.find(({ cell }) => touched.has(cell) && trace.cells[cell]?.ghost !== true);
    if (change !== undefined) return { kind: 'met', cell: change.cell, first: step, second: last };
  }
  return undefined;
}

function staleLook(trace: Trace, by: (agent: number) => boolean): Race | undefined {
  const { steps } = trace;
  for (const first of steps.toReversed()) {
    const { cell } = first;
    if (!by(first.agent)) continue;
    if (cell === undefined || trace.cells[cell]?.lock !== undefined || sawThere(first) === undefined)
      continue;
    const second = steps
      .slice(first.index)
      .find((step) => step.agent !== first.agent && step.changes.some((change) => change.cell === cell));
    if (second === undefined) continue;
    const later = steps.slice(second.index).filter((step) => step.agent === first.agent);
    const looksAgain = later.some(
      (step) => step.index < steps.length && (step.reads.includes(cell) || step.writes.includes(cell)),
    );
    if (later.length > 0 && !looksAgain) return { kind: 'stale', cell, first, second };
  }
  return undefined;
}
