// SPDX-License-Identifier: MIT
/** A trace as text for a plain-text mail: one column for each agent, as kernel developers draw races. */
import type { Trace, TraceLine } from '../explore/trace.js';
import { because } from './because.js';
import { type Call, callsOf, namedCalls } from './calls.js';
import { columns, type Row, WIDTH } from './columns.js';
import { HeldLocks } from './locks.js';
import { loudSteps, raceOf } from './racing.js';
import { wrap } from './text.js';
import { effects, sawThere, waitsFor } from './words.js';

export interface DiagramOptions {
  /** Show every step, quiet ones too. */
  readonly all?: boolean;
  /** How the command is called. */
  readonly command?: string;
}

/** The diagram, lines joined with newlines, one at the end. Plain ASCII, at most 76 columns but for the replay token. */
export function diagram(trace: Trace, options: DiagramOptions = {}): string {
  const { all = false, command = 'npx shootdown' } = options;
  const race = raceOf(trace);
  const loud = all ? (): boolean => true : loudSteps(trace);
  const rows = new Drawing(trace, loud, race === undefined ? [] : [race.first, race.second], all).rows();
  const shownAgents = trace.agents.flatMap((agent, number) =>
    rows.some(({ column }) => column === number) ||
    (!agent.daemon && trace.steps.some((step) => step.agent === number))
      ? [number]
      : [],
  );
  const headings = shownAgents.map((number) => {
    const { name, cpu } = trace.agents[number]!;
    return cpu < 0 ? name : `CPU${cpu}: ${name}`;
  });
  const placed = rows.map((row) =>
    row.column === undefined ? row : { ...row, column: shownAgents.indexOf(row.column) },
  );
  const wrong = trace.verdict === 'witness' || trace.verdict === 'safe' ? '' : because(trace, race);
  return [
    ...header(trace),
    '',
    ...(rows.length === 0 ? [] : [...columns(headings, placed), '']),
    ...(wrong === '' ? [] : wrap(`Wrong because: ${wrong}`, WIDTH)),
    ...(trace.diverged === undefined
      ? []
      : wrap(
          `Diverged: step ${trace.diverged.step}: ${trace.diverged.reason}: the code changed since.`,
          WIDTH,
        )),
    ...footer(trace, all, command),
    '',
  ].join('\n');
}

function header(trace: Trace): string[] {
  const left = `${trace.id} ${trace.variant}`;
  const middle = trace.property === '' ? trace.verdict : `${trace.verdict}: ${trace.property}`;
  const right = [`kernel ${trace.kernel}`, trace.machine, trace.memory]
    .filter((part) => part !== '')
    .join(', ');
  const spread = (texts: readonly string[]): string => {
    const gap = (WIDTH - texts.join('').length) / (texts.length - 1);
    return texts.length === 2
      ? texts.join(' '.repeat(gap))
      : texts[0]! +
          ' '.repeat(Math.min(gap, 4)) +
          texts[1]! +
          ' '.repeat(WIDTH - texts.join('').length - Math.min(Math.floor(gap), 4)) +
          texts[2]!;
  };
  const fits = left.length + middle.length + right.length + 6 <= WIDTH;
  const lines = fits
    ? [spread([left, middle, right])]
    : [...wrap(left, WIDTH, '  '), spread([middle, right])];
  const detail = trace.detail === '' ? '' : /[.!?]$/.test(trace.detail) ? trace.detail : `${trace.detail}.`;
  return detail === '' ? lines : [...lines, ...wrap(detail, WIDTH)];
}

function footer(trace: Trace, all: boolean, command: string): string[] {
  const { steps, token } = trace;
  const switches = steps.filter((step, i) => i > 0 && steps[i - 1]!.agent !== step.agent).length;
  const plural = (n: number, word: string, many: string): string => `${n} ${n === 1 ? word : many}`;
  const counts = `${plural(steps.length, 'step', 'steps')}, ${plural(switches, 'switch', 'switches')}`;
  return [
    all ? `${counts}.` : `${counts}; quiet steps folded (--all shows them).`,
    ...replayLines(`Replay: ${command} replay `, token),
  ];
}

/** One line if it fits; else the token is broken after commas, with what a shell needs to join it again. */
function replayLines(lead: string, token: string): string[] {
  if (lead.length + token.length <= WIDTH + 2) return [lead + token];
  const lines = [`${lead}\\`];
  let line = '';
  for (const part of token.split(/(?<=,)/)) {
    if (line !== '' && line.length + part.length > WIDTH - 1) {
      lines.push(`${line}\\`);
      line = '';
    }
    line += part;
  }
  return [...lines, line];
}

/** Draws the rows of one trace. */
class Drawing {
  private readonly drawn: Row[] = [];
  private readonly printed = new Set<Call>();
  private readonly calls;
  private readonly held: HeldLocks;
  /** By agent and cell: what the agent saw there last. */
  private readonly seen = new Map<string, string>();

  constructor(
    private readonly trace: Trace,
    private readonly loud: (step: TraceLine) => boolean,
    private readonly racing: readonly TraceLine[],
    private readonly all: boolean,
  ) {
    this.calls = callsOf(trace, loud);
    this.held = new HeldLocks(trace, this.calls);
  }

  rows(): Row[] {
    const { trace } = this;
    trace.steps.forEach((step, i) => {
      if (trace.loop === i) this.drawn.push({ text: '   -- loop: from here for ever --' });
      this.held.after(step);
      if (this.loud(step)) this.step(step);
      this.remember(step);
      this.returns(step);
      if (trace.verdict === 'witness')
        for (const name of step.seen ?? []) this.row(step, 0, `sees: ${name}`, step.index);
    });
    this.end();
    return this.drawn;
  }

  private step(step: TraceLine): void {
    const around = namedCalls(this.calls.get(step.index)!);
    const key = `${step.agent} ${step.cell ?? ''}`;
    const saw = sawThere(step);
    const lines = effects(this.trace, step, saw !== undefined && this.seen.get(key) === saw);
    let number: number | undefined = step.index;
    const mark = this.racing.includes(step) && step.index !== this.trace.steps.length ? '(!)' : undefined;
    const first = this.drawn.length;
    around.forEach((call, depth) => {
      if (this.printed.has(call)) return;
      this.printed.add(call);
      const locks = this.held.newlyHeld(step.agent, call).map((lock) => `  [${lock} held]`);
      const only = call.steps.length === 1 && call.calls.length === 0 && depth === around.length - 1;
      const value = only || wraps(call) ? this.inlineValue(call, step, lines) : '';
      const head = `${call.fn}()${value}`;
      const own = lines[0];
      if (depth === around.length - 1 && own?.startsWith(`${call.fn}(`) === true) {
        this.row(step, depth, own + locks.join(''), number);
        lines.shift();
      } else if (
        depth === around.length - 1 &&
        own !== undefined &&
        this.fitsBeside(call, depth, `${head}: ${own}`, mark)
      ) {
        this.row(step, depth, `${head}: ${own}${locks.join('')}`, number);
        lines.shift();
      } else this.row(step, depth, head + locks.join(''), number);
      number = undefined;
    });
    for (const line of lines) {
      this.row(step, around.length, line, number);
      number = undefined;
    }
    if (this.drawn.length === first && this.all) this.row(step, around.length, step.text ?? step.op, number);
    const last = this.drawn.at(-1);
    if (mark !== undefined && last !== undefined && this.drawn.length > first) last.mark = mark;
  }

  /** ` = v` where a call that has one line returned v before anybody else did something that is shown. */
  private inlineValue(call: Call, step: TraceLine, lines: readonly string[]): string {
    const { value, returnedAt } = call;
    if (value === undefined || returnedAt === undefined || lines.some((line) => line.includes(value)))
      return '';
    const between = this.trace.steps.slice(step.index, returnedAt);
    return between.some((other) => this.loud(other)) ? '' : ` = ${value}`;
  }

  /** A call with one effect says it on its own line, if there is room. */
  private fitsBeside(call: Call, depth: number, text: string, mark: string | undefined): boolean {
    const single = call.steps.length + call.calls.length === 1 && (call.calls.length === 0 || wraps(call));
    const room = this.trace.agents.length > 2 ? 44 : 36;
    return single && depth * 2 + text.length + (mark === undefined ? 0 : 4) <= room;
  }

  private remember(step: TraceLine): void {
    const saw = sawThere(step);
    if (saw !== undefined && step.cell !== undefined) this.seen.set(`${step.agent} ${step.cell}`, saw);
  }

  /** What the calls of the agent's own function returned, if they took more than one line. */
  private returns(step: TraceLine): void {
    const innermost = this.calls.get(step.index)!;
    for (let call: Call | undefined = innermost; call !== undefined; call = call.parent) {
      if (call.parent === undefined || call.parent.parent !== undefined) continue;
      if (call.returnedAt !== step.index || call.value === undefined || call.value === '0') continue;
      if (!this.printed.has(call) || wraps(call)) continue;
      this.row(step, 0, `${call.fn}() = ${call.value}`, this.loud(step) ? undefined : step.index);
    }
  }

  /** The violating step, or what the agents wait for. */
  private end(): void {
    const { trace } = this;
    const last = trace.steps.at(-1);
    const row = this.drawn.at(-1);
    if (last !== undefined && trace.verdict === 'violation') {
      if (row?.column === last.agent && row.mark === undefined) row.mark = '(!!)';
      else
        this.drawn.push({
          column: last.agent,
          number: last.index,
          text: `breaks ${trace.property}`,
          mark: '(!!)',
        });
    }
    const waiting = trace.verdict === 'deadlock' || trace.property === 'DATA-RACE';
    for (const pending of waiting ? trace.pending : []) {
      if (trace.verdict === 'deadlock' ? trace.agents[pending.agent]!.daemon : !this.races(pending)) continue;
      const fn = pending.stack.at(-1)?.fn;
      const does = waitsFor(trace, pending);
      this.drawn.push({
        column: pending.agent,
        text: `${trace.verdict === 'deadlock' ? 'waits' : 'next'}: ${fn === undefined ? '' : `${fn}(): `}${does}`,
        mark: '(!!)',
      });
    }
  }

  /** Whether a pending request touches the cell that the report names. */
  private races({ reads, writes }: Trace['pending'][number]): boolean {
    return [...reads, ...writes].some((cell) => this.trace.detail.startsWith(`${cell}:`));
  }

  private row({ agent }: TraceLine, indent: number, text: string, number: number | undefined): void {
    this.drawn.push({ column: agent, indent, text, ...(number === undefined ? {} : { number }) });
  }
}

/** A call that shows one step only, through however many others. */
function wraps(call: Call): boolean {
  let at = call;
  while (at.steps.length === 0 && at.calls.length === 1) at = at.calls[0]!;
  return at.steps.length === 1 && at.calls.length === 0;
}
