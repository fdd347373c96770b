// SPDX-License-Identifier: MIT
/** A deadlock in words: the wait-for cycle, what each agent in it holds, and where it took that. */
import type { Trace, TraceDeadlock, TracePlace, TraceWait } from '../explore/trace.js';
import { stackText } from './stacks.js';
import { listed, wrap } from './text.js';
import { cellName } from './words.js';

/** Who waits for whom, in one sentence without a full stop. */
export function cycleText(trace: Trace, { cycle, waits }: TraceDeadlock): string {
  const name = (agent: number): string => trace.agents[agent]!.name;
  if (cycle.length === 0) {
    const stuck = waits.filter(({ agent }) => !trace.agents[agent]!.daemon);
    const verb = stuck.length === 1 ? 'waits' : 'wait';
    return `there is no circle, ${listed(stuck.map(({ agent }) => name(agent)))} ${verb} for what nobody will do`;
  }
  if (cycle.length === 1) return `${name(cycle[0]!)} waits for itself`;
  const parts = cycle.map((agent, i) => {
    const next = name(cycle[(i + 1) % cycle.length]!);
    return i === 0 ? `${name(agent)} waits for ${next}` : `${name(agent)} for ${next}`;
  });
  return listed(parts);
}

/** What each agent waits for and holds, those of the cycle first and at length. `brief`: a line for each. */
export function waitLines(
  trace: Trace,
  { cycle, waits }: TraceDeadlock,
  width: number,
  brief = false,
): string[] {
  const teller = new Teller(trace, cycle, width, brief);
  const inCycle = cycle.map((agent) => waits.find((wait) => wait.agent === agent)!);
  const others = waits.filter(({ agent }) => !cycle.includes(agent) && !trace.agents[agent]!.daemon);
  for (const wait of inCycle) teller.tell(wait, true);
  for (const wait of others) {
    if (brief && cycle.length > 0) teller.mention(wait);
    else teller.tell(wait, cycle.length === 0);
  }
  return teller.lines;
}

class Teller {
  readonly lines: string[] = [];

  constructor(
    private readonly trace: Trace,
    private readonly cycle: readonly number[],
    private readonly width: number,
    private readonly brief: boolean,
  ) {}

  tell(wait: TraceWait, withHolds: boolean): void {
    const { agent, stack, holds, isLock, until } = wait;
    const what = isLock ? cellName(this.trace, until) : until;
    this.line(0, `${this.trace.agents[agent]!.name} waits for ${what}`, { stack });
    this.whose(wait);
    if (!withHolds) return;
    for (const hold of holds) {
      const name = this.trace.cells[hold.what] === undefined ? hold.what : cellName(this.trace, hold.what);
      this.line(2, `holds ${name} since ${hold.index}`, hold);
    }
  }

  /** That somebody waits who is not in the cycle. */
  mention({ agent, on, isLock, until }: TraceWait): void {
    const { agents } = this.trace;
    const what = isLock ? cellName(this.trace, until) : until;
    const whom = on.length === 0 ? '' : ` (${listed(on.map((one) => agents[one.agent]!.name))})`;
    this.line(0, `${agents[agent]!.name} waits for ${what}${whom}`);
  }

  /** Whose turn it is. */
  private whose({ agent, isLock, on, by }: TraceWait): void {
    const { trace, cycle } = this;
    if (on.length === 0) {
      const what = by === undefined ? 'that' : by;
      this.line(2, isLock ? 'which nobody has' : `nobody is left who would do ${what}`);
    }
    for (const { agent: other, since, queued } of on) {
      const { name } = trace.agents[other]!;
      if (queued === true) {
        this.line(2, `where ${name} queued first, at ${since!.index}`);
        continue;
      }
      const left = !trace.pending.some((pending) => pending.agent === other);
      if (isLock && !left && cycle.includes(other)) {
        // What an agent of the circle holds is told with it.
        this.line(2, other === agent ? 'which it has itself' : `which ${name} has`);
        continue;
      }
      const at = since === undefined ? '' : ` since ${since.index}`;
      const gone = left ? ' and has returned' : '';
      if (isLock) this.line(2, `which ${name} has${at}${gone}`, since);
      else {
        const whose = other === agent ? 'its own' : `${name}'s`;
        this.line(2, `which ${whose} ${by ?? 'way back'} would do, due${at}${gone}`, since);
      }
    }
  }

  /** `text: stack`, on one line if that can be. */
  private line(indent: number, text: string, place?: Pick<TracePlace, 'stack'>): void {
    const room = this.width - indent - text.length - 2;
    const whole = place === undefined ? text : `${text}: ${stackText(place.stack, room, this.brief ? 1 : 3)}`;
    for (const [i, part] of wrap(whole, this.width - indent, '  ').entries())
      this.lines.push(' '.repeat(indent) + (i === 0 ? part : part.trimEnd()));
  }
}
