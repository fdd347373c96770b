// SPDX-License-Identifier: MIT
/** Turns the steps of a trace into the lines of a diagram. */
import type { Trace, TraceLine } from '../explore/trace.js';
import { type Call, type Calls, callsOf, DEEPEST, namedCalls, wraps } from './calls.js';
import type { Columns, Row } from './columns.js';
import { HeldLocks } from './locks.js';
import { isLook } from './looks.js';
import { isTold } from './loud.js';
import { innermostOf } from './stacks.js';
import { effects, racesWith, sawThere, waitsFor } from './words.js';

export interface DrawingOptions {
  readonly loud: (step: TraceLine) => boolean;
  /** The two steps that the outcome hinges on. */
  readonly racing: readonly TraceLine[];
  /** By agent: its column. */
  readonly columnOf: readonly number[];
  readonly columns: Columns;
  readonly all: boolean;
  /** Whether it is said beside a call which locks it holds. */
  readonly locks: boolean;
  /** How many calls in each other are named. */
  readonly deepest: number;
}

export class Drawing {
  private readonly drawn: Row[] = [];
  private readonly printed = new Set<Call>();
  private readonly calls: Calls;
  private readonly held: HeldLocks;
  /** By agent and cell: what the agent saw there last. */
  private readonly seen = new Map<string, string>();
  /** The last line that says what a call returned. */
  private returned: Row | undefined;

  constructor(
    private readonly trace: Trace,
    private readonly options: DrawingOptions,
  ) {
    this.calls = callsOf(trace, options.loud, options.deepest);
    this.held = new HeldLocks(trace, this.calls);
  }

  rows(): Row[] {
    const { trace } = this;
    trace.steps.forEach((step, i) => {
      if (trace.loop === i) this.drawn.push({ text: '   -- loop: from here for ever --' });
      this.held.after(step, this.options.loud(step));
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
    const broke = trace.loop === undefined && step.index === trace.steps.length;
    const marked = this.options.racing.includes(step) && !broke;
    const locks = this.options.locks
      ? this.held.toSay(step.agent, around)
      : new Map<Call | undefined, string[]>();
    const say = (calls: readonly (Call | undefined)[]): string =>
      calls
        .flatMap((call) => locks.get(call) ?? [])
        .map((lock) => `  [${lock} held]`)
        .join('');
    // Taken by a call that has its line already: said on the next line.
    let late = say([undefined, ...around.filter((call) => this.printed.has(call))]);
    let number: number | undefined = step.index;
    const row = (level: number, text: string): void => {
      this.row(step, level, text + late, number);
      number = undefined;
      late = '';
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
        row(level, beside + say([call]));
        lines.shift();
      } else if (innermost && isLook(step) && head.endsWith('()')) {
        late += say([call]);
        return; // an accessor: what was seen says it all
      } else row(level, head + say([call]));
      level++;
    });
    for (const line of lines) row(level, line);
    if (marked) drawn.at(-1)!.mark = '(!)';
  }

  private fits({ agent }: TraceLine, level: number, text: string): boolean {
    return text.length <= this.options.columns.room(this.column(agent), level);
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
    for (let call = this.calls.get(step.index); call !== undefined; call = call.parent) {
      if (call.parent === undefined || call.parent.parent !== undefined) continue;
      if (call.returnedAt !== step.index || call.value === undefined || call.value === '0') continue;
      if (!this.printed.has(call) || wraps(call)) continue;
      this.row(step, 0, `${call.fn}() = ${call.value}`, this.options.loud(step) ? undefined : step.index);
      this.returned = this.drawn.at(-1);
    }
  }

  /** The violating step, or what the agents wait for. */
  private end(): void {
    const { trace, drawn } = this;
    const last = trace.steps.at(-1);
    if (last !== undefined && trace.verdict === 'violation') {
      const claimed = trace.pending.some(({ agent, op }) => agent === last.agent && op === 'fail');
      if (claimed ? this.returned !== drawn.at(-1) : !this.options.loud(last))
        this.row(
          last,
          0,
          `breaks ${trace.property}`,
          claimed && this.options.loud(last) ? undefined : last.index,
        );
      drawn.at(-1)!.mark = '(!!)';
    }
    for (const pending of trace.pending) {
      if (!isTold(trace, pending)) continue;
      const fn = innermostOf(pending.stack);
      const does =
        trace.verdict !== 'deadlock'
          ? racesWith(trace, pending)
          : this.options.deepest < DEEPEST && trace.deadlock !== undefined
            ? 'waits' // what for is said below
            : waitsFor(trace, pending);
      drawn.push({
        column: this.column(pending.agent),
        text: fn === undefined ? does : `${fn}(): ${does}`,
        mark: '(!!)',
      });
    }
  }

  private column(agent: number): number {
    return this.options.columnOf[agent]!;
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
