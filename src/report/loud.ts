// SPDX-License-Identifier: MIT
/** Which steps of a run a diagram shows. */
import type { Trace, TraceLine } from '../explore/trace.js';
import { hostsOf } from './hosts.js';
import { isLook, learns, looks } from './looks.js';
import type { Race } from './racing.js';
import type { Hinge } from './rounds.js';
import { alwaysMatters, effects, inBuffer } from './words.js';

/** Who uses a cell, and how. */
interface Uses {
  readonly looks: TraceLine[];
  /** Agents that use it through an operation that says of itself what it does, or that are about to. */
  readonly others: Set<number>;
  readonly changes: { readonly agent: number; readonly raw: readonly [number, number] }[];
}

/** Whether a diagram says what an agent was about to do: in a deadlock, and in a data race. */
export function isTold(trace: Trace, { agent, reads, writes }: Trace['pending'][number]): boolean {
  if (trace.verdict === 'deadlock') return !trace.agents[agent]!.daemon;
  return (
    trace.property === 'DATA-RACE' &&
    [...reads, ...writes].some((cell) => trace.detail.startsWith(`${cell}:`))
  );
}

/**
 * Says of each step whether a diagram shows it. A step is quiet if nobody else could tell that it was made, nor it that
 * anybody else made theirs. Locks are quiet, for a diagram says beside a call what it holds, unless the run is about
 * them.
 */
export function loudSteps(trace: Trace, race: Race | undefined, hinge?: Hinge): (step: TraceLine) => boolean {
  const uses = usesOf(trace);
  const hosts = hostsOf(trace);
  const aboutLocks = trace.verdict === 'deadlock' || trace.property === 'LOCK';
  const hidden = (cell: string): boolean =>
    trace.cells[cell]?.ghost === true || (trace.cells[cell]?.lock !== undefined && !aboutLocks);
  const round = trace.loop !== undefined;
  const turns =
    trace.loop !== undefined &&
    trace.steps
      .slice(trace.loop)
      .some(({ changes }) => changes.some((change) => isEntryCell(trace, change.cell)));
  const alone = new Set(trace.steps.map(({ agent }) => hosts[agent])).size === 1;

  const loud = (step: TraceLine): boolean => {
    const { cell, text, observed, op } = step;
    const agent = hosts[step.agent]!;
    if (effects(trace, step).length === 0) return false;
    if ((step.index === trace.steps.length && !round) || step.fault !== undefined) return true;
    const touched = [...step.reads, ...step.writes];
    // Who goes round feels what it finds changed; page tables say where it is.
    const moves = step.changes.some((change) => isEntryCell(trace, change.cell));
    if (hinge !== undefined) return touched.includes(hinge.cell) || moves;
    if (turns) return moves || /\bfault\b/.test(text ?? '') || goesAgain(step);
    if (op === 'trylock' && observed === 0) return true;
    if (text !== undefined && !touched.some((at) => trace.cells[at]?.lock !== undefined)) return true;
    const felt = step.changes.some(
      (change) =>
        !hidden(change.cell) &&
        (alwaysMatters(trace, change.cell) || isFelt(uses.get(change.cell)!, change.raw, agent)),
    );
    if (felt) return true;
    const waits = cell !== undefined && inBuffer(step);
    if (waits && uses.get(cell)!.looks.some((look) => look.agent !== agent)) return true;
    if (cell !== undefined && trace.cells[cell]?.life === true && step.changes.length > 0) return true;
    if (cell === undefined || hidden(cell)) return false;
    const { changes } = uses.get(cell)!;
    if (alone) return alwaysMatters(trace, cell) && changes.length > 0;
    return (
      looks(step) &&
      changes.some(
        ({ agent: other, raw }) => other !== agent && learns(step, raw[0]) !== learns(step, raw[1]),
      )
    );
  };

  // What a function looks at between two looks that race belongs to the picture: the other half of a split entry.
  const places = new Set(trace.steps.filter((step) => isLook(step) && loud(step)).map(place));
  const inPicture = (step: TraceLine): boolean =>
    isLook(step) && isEntry(trace, step) && places.has(place(step));
  const shown = new Set(trace.steps.filter((step) => loud(step) || inPicture(step)));
  const kept = [race?.first, race?.second, hinge?.before, hinge?.after];
  for (const step of repeats(trace)) if (!kept.includes(step)) shown.delete(step);
  const again = trace.loop === undefined ? [] : trace.steps.slice(trace.loop);
  if (!again.some((step) => shown.has(step))) for (const step of again) shown.add(step);
  return (step) => shown.has(step);
}

/** What it saw has its caller begin anew. */
function goesAgain({ returned }: TraceLine): boolean {
  return returned.some(({ callee, value }) => callee.endsWith('_retry') && value === 'true');
}

/** Whether another agent could tell that the cell changed from raw[0] to raw[1]. */
function isFelt({ looks: all, others }: Uses, raw: readonly [number, number], agent: number): boolean {
  return (
    [...others].some((other) => other !== agent) ||
    all.some((look) => look.agent !== agent && learns(look, raw[0]) !== learns(look, raw[1]))
  );
}

/** Looks that could only see what the agent saw right before, while nobody else moved. */
function repeats(trace: Trace): TraceLine[] {
  let seen = new Set<string>();
  let agent = -1;
  return trace.steps.filter((step) => {
    if (step.agent !== agent) seen = new Set();
    agent = step.agent;
    for (const { cell } of step.changes)
      for (const key of seen) if (key.startsWith(`${cell} `)) seen.delete(key);
    if (!isLook(step) || step.index === trace.steps.length) return false;
    // An equal value is the same news, whether it was read or compared.
    const value = step.op === 'eq' && step.observed === 1 ? step.args![0]! : step.observed;
    const key = `${step.cell} ${step.op === 'test' ? step.args![0] : ''} ${value}`;
    const known = seen.has(key);
    seen.add(key);
    return known;
  });
}

/** The agent and the functions that it is in. */
function place({ agent, stack }: TraceLine): string {
  return [agent, ...stack.map(({ fn }) => fn)].join('>');
}

function isEntry(trace: Trace, { cell }: TraceLine): boolean {
  return cell !== undefined && isEntryCell(trace, cell);
}

function isEntryCell(trace: Trace, cell: string): boolean {
  return /^p[tm]d|^pte/.test(trace.cells[cell]?.type ?? '');
}

function usesOf(trace: Trace): Map<string, Uses> {
  const uses = new Map<string, Uses>();
  const hosts = hostsOf(trace);
  const of = (cell: string): Uses => {
    let found = uses.get(cell);
    if (found === undefined) uses.set(cell, (found = { looks: [], others: new Set(), changes: [] }));
    return found;
  };
  for (const step of trace.steps) {
    if (step.cell !== undefined && looks(step)) of(step.cell).looks.push(step);
    if (step.text !== undefined)
      for (const cell of [...step.reads, ...step.writes]) of(cell).others.add(step.agent);
    if (step.cell !== undefined) of(step.cell);
    for (const { cell, raw } of step.changes) of(cell).changes.push({ agent: hosts[step.agent]!, raw });
  }
  // What an agent is about to do it has not done yet, but it belongs to the picture.
  for (const pending of trace.pending)
    if (isTold(trace, pending))
      for (const cell of [...pending.reads, ...pending.writes]) of(cell).others.add(pending.agent);
  return uses;
}
