// SPDX-License-Identifier: MIT
/** Turns the steps of a trace into the lines of a diagram. */
import type { Trace, TraceLine } from '../explore/trace.js';
import { type Call, type Calls, callsOf, namedCalls, wraps } from './calls.js';
import type { Columns, Row } from './columns.js';
import { HeldLocks } from './locks.js';
import { effects, isLook, sawThere, waitsFor } from './words.js';

export interface DrawingOptions {
  readonly loud: (step: TraceLine) => boolean;
  /** The two steps that the outcome hinges on. */
  readonly racing: readonly TraceLine[];
  /** The agents that have a column, in order. */
  readonly shown: readonly number[];
  readonly columns: Columns;
  readonly all: boolean;
}

/** Whether a diagram says what an agent was about to do: in a deadlock, and in a data race. */
export function isTold(trace: Trace, { agent, reads, writes }: Trace['pending'][number]): boolean {
  if (trace.verdict === 'deadlock') return !trace.agents[agent]!.daemon;
  return (
    trace.property === 'DATA-RACE' &&
    [...reads, ...writes].some((cell) => trace.detail.startsWith(`${cell}:`))
  );
}

export class Drawing {
  private readonly drawn: Row[] = [];
  private readonly printed = new Set<Call>();
  private readonly calls: Calls;
  private readonly held: HeldLocks;
  /** By agent and cell: what the agent saw there last. */
  private readonly seen = new Map<string, string>();

  constructor(
    private readonly trace: Trace,
    private readonly options: DrawingOptions,
  ) {
    this.calls = callsOf(trace, options.loud);
    this.held = new HeldLocks(trace, this.calls);
  }

  rows(): Row[] {
    const { trace } = this;
    trace.steps.forEach((step, i) => {
      if (trace.loop === i) this.drawn.push({ text: '   -- loop: from here for ever --' });
      this.held.after(step);
      if (this.options.loud(step)) this.step(step);
      const saw = sawThere(step);
      if (saw !== undefined) this.seen.set(`${step.agent} ${step.cell}`, saw);
      this.returns(step);
      if (trace.verdict === 'witness')
        for (const name of step.seen ?? []) this.row(step, 0, `saw: ${name}`, step.index);
    });
    this.end();
    return this.drawn;
  }

  private step(step: TraceLine): void {
    const { trace, drawn } = this;
    const around = namedCalls(this.calls.get(step.index)!);
    const again = this.seen.get(`${step.agent} ${step.cell}`) === sawThere(step);
    const lines = effects(trace, step, again);
    if (lines.length === 0) lines.push(step.text ?? step.op);
    const marked = this.options.racing.includes(step) && step.index < trace.steps.length;
    const locks = this.held.toSay(step.agent, around);
    const say = (call: Call | undefined): string =>
      (locks.get(call) ?? []).map((lock) => `  [${lock} held]`).join('');
    let number: number | undefined = step.index;
    const row = (level: number, text: string): void => {
      this.row(step, level, text, number);
      number = undefined;
    };
    let level = 0;
    around.forEach((call, depth) => {
      if (this.printed.has(call)) {
        level++;
        return;
      }
      this.printed.add(call);
      const head = `${call.fn}()${wraps(call) ? this.inlineValue(call, step) : ''}`;
      const effect = lines[0]!;
      const innermost = depth === around.length - 1 && wraps(call);
      const beside = effect.startsWith(`${call.fn}(`) ? effect : `${head}: ${effect}`;
      if (innermost && this.fits(step, level, beside + (marked ? ' (!)' : ''))) {
        row(level, beside + say(call));
        lines.shift();
      } else if (innermost && isLook(step) && head.endsWith('()')) {
        return; // an accessor: what was seen says it all
      } else row(level, head + say(call));
      level++;
    });
    const rest = around.every((call) => !this.printed.has(call)) ? '' : say(undefined);
    lines.forEach((line, i) => row(level, i === 0 ? line + rest : line));
    if (marked) drawn.at(-1)!.mark = '(!)';
  }

  private fits({ agent }: TraceLine, level: number, text: string): boolean {
    return text.length <= this.options.columns.room(this.options.shown.indexOf(agent), level);
  }

  /** ` = v` where a call that shows one step returned v before anybody else did something that is shown. */
  private inlineValue({ value, returnedAt }: Call, step: TraceLine): string {
    if (value === undefined || returnedAt === undefined) return '';
    const said = effects(this.trace, step).some((line) => line.includes(value));
    if (said || ((value === 'true' || value === 'false') && !isLook(step))) return '';
    const between = this.trace.steps.slice(step.index, returnedAt);
    return between.some((other) => this.options.loud(other)) ? '' : ` = ${value}`;
  }

  /** What the calls of the agent's own function returned, if they took more than one line. */
  private returns(step: TraceLine): void {
    for (let call: Call | undefined = this.calls.get(step.index)!; call !== undefined; call = call.parent) {
      if (call.parent === undefined || call.parent.parent !== undefined) continue;
      if (call.returnedAt !== step.index || call.value === undefined || call.value === '0') continue;
      if (!this.printed.has(call) || wraps(call)) continue;
      this.row(step, 0, `${call.fn}() = ${call.value}`, this.options.loud(step) ? undefined : step.index);
    }
  }

  /** The violating step, or what the agents wait for. */
  private end(): void {
    const { trace, drawn } = this;
    const last = trace.steps.at(-1);
    if (last !== undefined && trace.verdict === 'violation') {
      const row = drawn.at(-1);
      if (row === undefined || row.column !== this.column(last.agent) || row.mark !== undefined)
        this.row(last, 0, `breaks ${trace.property}`, last.index);
      drawn.at(-1)!.mark = '(!!)';
    }
    for (const pending of trace.pending) {
      if (!isTold(trace, pending)) continue;
      const fn = pending.stack.at(-1)?.fn;
      const verb = trace.verdict === 'deadlock' ? 'waits' : 'next';
      drawn.push({
        column: this.column(pending.agent),
        text: `${verb}: ${fn === undefined ? '' : `${fn}(): `}${waitsFor(trace, pending)}`,
        mark: '(!!)',
      });
    }
  }

  private column(agent: number): number {
    return this.options.shown.indexOf(agent);
  }

  private row({ agent }: TraceLine, indent: number, text: string, number: number | undefined): void {
    this.drawn.push({
      column: this.column(agent),
      indent,
      text,
      ...(number === undefined ? {} : { number }),
    });
  }
}
