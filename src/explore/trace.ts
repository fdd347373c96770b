// SPDX-License-Identifier: MIT
/**
 * A run as a document: self-contained, so that a diagram, a web page or another tool can draw it without the code that
 * made it, and replayable, because it carries its token. Values are texts, as people write them.
 */
import { type CallFrame, frameOf, site } from '../core/live.js';
import { FIRST_OWN_OP, noAccess, Op } from '../core/ops.js';
import type { Account, KnobSetting, Scenario, VerdictKind } from '../core/scenario.js';
import { accessOf, namesCell } from '../core/semantics.js';
import { type Cell, holder, type System } from '../core/system.js';
import {
  type Change,
  type Divergence,
  Execution,
  type Pending,
  type Returned,
  type TraceStep,
} from './replay.js';
import type { Step } from './search.js';
import { circleOf, type Hold, Holdings, type Since, type Waiting } from './waits.js';
import { passSuffix, printRun, printToken } from './token.js';

export const TRACE_VERSION = 1;

/** A frame that is open at a step. */
export type TraceFrame = CallFrame;

/** What is to be known of a cell that a step mentions. */
export interface TraceCell {
  readonly type: string;
  /** Lock class, if it is a lock. */
  readonly lock?: string;
  /** What people call it, if not by its name: `pte x`. */
  readonly label?: string;
  /** Only ghosts of properties touch it. */
  readonly ghost?: true;
  /** It says whether something lives that the step which broke the run has touched. */
  readonly life?: true;
}

/** A request in words. */
export interface TraceRequest {
  readonly agent: number;
  readonly op: string;
  /** The cell that a basic operation works on, and its other arguments. */
  readonly cell?: string;
  readonly operands?: readonly string[];
  /** The operands as numbers. */
  readonly args?: readonly number[];
  readonly plain?: true;
  readonly reads: readonly string[];
  readonly writes: readonly string[];
  /** Outermost first; the first is the agent's own function. */
  readonly stack: readonly TraceFrame[];
}

/** What a step changed. */
export interface TraceChange {
  readonly cell: string;
  readonly from: string;
  readonly to: string;
  /** The same as numbers. */
  readonly raw: readonly [from: number, to: number];
}

export interface TraceLine extends TraceRequest {
  readonly index: number;
  readonly choice: number;
  /** What the request observed: the number, and as people write it. */
  readonly observed: number;
  readonly value: string;
  /** What an operation of the machine or the kernel says of itself. */
  readonly text?: string;
  readonly changes: readonly TraceChange[];
  /** Calls that returned right after it, innermost first; depth 0: called by the agent's own function. */
  readonly returned: readonly { readonly callee: string; readonly depth: number; readonly value?: string }[];
  readonly seen?: readonly string[];
  readonly progressed?: readonly string[];
  readonly reports?: readonly { readonly name: string; readonly detail: string }[];
  readonly fault?: { readonly property: string; readonly detail: string };
}

/** Where an agent did something: the step, and the frames that were open, outermost first. */
export interface TracePlace {
  readonly index: number;
  readonly stack: readonly TraceFrame[];
}

/** What an agent holds in a deadlock, and where it took it: a lock, or a section that others wait for the end of. */
export interface TraceHold extends TracePlace {
  readonly what: string;
}

/** An agent in a deadlock. */
export interface TraceWait {
  readonly agent: number;
  /** Completes "waits for". */
  readonly until: string;
  readonly isLock: boolean;
  /** Whose turn it is: who has the lock, or would have to do `by`. `since`: where that began. */
  readonly on: readonly {
    readonly agent: number;
    readonly since?: TracePlace;
    /** It does not have the lock either, and comes first. */
    readonly queued?: true;
  }[];
  readonly by?: string;
  /** Where it waits. */
  readonly stack: readonly TraceFrame[];
  readonly holds: readonly TraceHold[];
}

/** Why nobody can go on. */
export interface TraceDeadlock {
  /** Agents of which each waits for the next, and the last for the first. Empty: there are none. */
  readonly cycle: readonly number[];
  readonly waits: readonly TraceWait[];
}

export interface Trace {
  readonly version: number;
  readonly id: string;
  readonly variant: string;
  readonly pass: string;
  readonly machine: string;
  readonly kernel: string;
  readonly memory: string;
  /** What it shows: a verdict, the run to a report, or the run to a witness. */
  readonly verdict: VerdictKind | 'report' | 'witness';
  readonly property: string;
  readonly detail: string;
  /** Why that is wrong, if the scenario says it better than the property does. */
  readonly because?: string;
  readonly token: string;
  readonly run: string;
  /** How many steps come before the part that repeats for ever. */
  readonly loop?: number;
  readonly agents: readonly { readonly name: string; readonly cpu: number; readonly daemon: boolean }[];
  readonly cells: Readonly<Record<string, TraceCell>>;
  readonly steps: readonly TraceLine[];
  /** What each agent would do next, and whether it can. */
  readonly pending: readonly (TraceRequest & { readonly enabled: boolean })[];
  /** With a deadlock: who waits for whom, and what each holds. */
  readonly deadlock?: TraceDeadlock;
  /** With a report of lockdep: what stands behind it, the first of them as the run shows it. */
  readonly accounts?: readonly Account[];
  readonly diverged?: Divergence;
}

/** Which run to make a trace of. */
export interface TraceSpec {
  readonly scenario: Scenario;
  readonly variant: string;
  readonly knobs: KnobSetting;
  /** Number of the pass. */
  readonly pass: number;
  readonly run: readonly Step[];
  readonly loop?: number | undefined;
  /** What the run is known to show; absent: what the replay finds out. */
  readonly shows?: {
    readonly kind: Trace['verdict'];
    readonly property: string;
    readonly detail: string;
  };
  /** What stands behind the report that it shows. */
  readonly accounts?: readonly Account[];
  /** How a value that a call returned is written; undefined: it is not. */
  readonly showValue?: (value: unknown, callee: string) => string | undefined;
  /** What people call a cell, by its name. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** Builds the variant, replays the run and writes down what happens. */
export function makeTrace(spec: TraceSpec): Trace {
  const { scenario, variant, knobs, run, loop, shows, showValue = plainValue, labels = {} } = spec;
  const passes = scenario.passes(knobs);
  const pass = passes[spec.pass]!;
  const built = scenario.build(knobs, pass);
  const { system } = built;
  const execution = new Execution(built);
  const writer = new Writer(system, showValue);
  const holdings = new Holdings(system);
  let diverged: Divergence | undefined;
  const steps: TraceLine[] = [];
  for (const step of run) {
    const taken = execution.take(step);
    if ('reason' in taken) {
      diverged = taken;
      break;
    }
    holdings.after(taken);
    steps.push(writer.line(taken));
  }
  const outcome = execution.outcome();
  const found =
    diverged === undefined && shows !== undefined
      ? shows
      : {
          ...outcome,
          kind: outcome.kind === 'open' || outcome.kind === 'ended' ? ('safe' as const) : outcome.kind,
        };
  const pending = execution.pending();
  const waiting = found.kind === 'deadlock' && diverged === undefined ? holdings.waiting(pending) : undefined;
  const suffix = spec.pass === 0 ? undefined : passSuffix(pass);
  return {
    version: TRACE_VERSION,
    id: scenario.id,
    variant,
    pass: pass.name,
    machine: knobs['machine'] ?? '',
    kernel: knobs['kernel'] ?? '',
    memory: system.memory,
    verdict: loop !== undefined && found.kind === 'safe' ? 'livelock' : found.kind,
    property: loop !== undefined && found.kind === 'safe' ? 'PROGRESS' : found.property,
    detail: found.detail,
    ...(built.because === undefined ? {} : { because: built.because }),
    token: printToken({ id: scenario.id, variant, pass: suffix, run, loop }),
    run: printRun(run, loop),
    ...(loop === undefined ? {} : { loop }),
    agents: system.agents.map(({ name, cpu, daemon }) => ({ name, cpu, daemon })),
    steps,
    pending: pending.map((request) => writer.pending(request)),
    ...(waiting === undefined ? {} : { deadlock: writer.deadlock(waiting) }),
    ...(spec.accounts === undefined || spec.accounts.length === 0 ? {} : { accounts: spec.accounts }),
    cells: writer.cells(found.property, labels),
    ...(diverged === undefined ? {} : { diverged }),
  };
}

const SECTIONS = {
  'rcu-lock': 'an RCU read-side section',
  'srcu-lock': 'an SRCU read-side section',
  'irq-off': 'interrupts off',
} as const;

/** Turns numbers into the words of a trace. */
class Writer {
  private readonly named = new Set<number>();
  /** Cells that a step touches which is not a ghost's. */
  private readonly real = new Set<number>();
  /** Guards of what the step touches that breaks the run. */
  private readonly lives = new Set<number>();
  private readonly access = noAccess();

  constructor(
    private readonly system: System,
    private readonly showValue: (value: unknown, callee: string) => string | undefined,
  ) {}

  line(step: TraceStep): TraceLine {
    const { system } = this;
    const own = step.op < FIRST_OWN_OP ? undefined : system.ops[step.op - FIRST_OWN_OP]!;
    const text = own?.describe?.(step.a, step.b, step.c, step.observed);
    const request = this.request(step, own === undefined || own.describe !== undefined);
    if (step.fault !== undefined)
      for (const at of [...this.access.reads, ...this.access.writes]) {
        const guard = system.guards[at];
        if (guard !== undefined) this.lives.add(guard.cell.at);
      }
    const value =
      own === undefined
        ? this.observed(step)
        : own.result === undefined
          ? String(step.observed)
          : own.result.show(step.observed);
    return {
      index: step.index,
      ...request,
      choice: step.choice,
      observed: step.observed,
      value,
      ...(text === undefined ? {} : { text }),
      changes: step.changes.map((change) => this.change(change)),
      returned: step.returned.map((returned) => this.returned(returned, step, value)),
      ...(step.seen.length === 0 ? {} : { seen: step.seen }),
      ...(step.progressed.length === 0 ? {} : { progressed: step.progressed }),
      ...(step.reports.length === 0 ? {} : { reports: step.reports }),
      ...(step.fault === undefined ? {} : { fault: step.fault }),
    };
  }

  pending(pending: Pending): TraceRequest & { enabled: boolean } {
    return { ...this.request(pending, true), enabled: pending.enabled };
  }

  deadlock(waiting: readonly Waiting[]): TraceDeadlock {
    const { system } = this;
    const place = ({ index, stack }: Since): TracePlace => ({ index, stack: stack.map(frameOf) });
    const what = ({ kind, cell }: Hold): string =>
      kind === 'lock' ? system.cells[cell]!.name : SECTIONS[kind];
    return {
      cycle: circleOf(waiting),
      waits: waiting.map(({ agent, lock, wait: { until, by }, on, stack, holds }) => ({
        agent,
        until,
        isLock: lock !== undefined,
        on: on.map((one) => ({
          agent: one.agent,
          ...(one.since === undefined ? {} : { since: place(one.since) }),
          ...(one.queued === true ? { queued: true as const } : {}),
        })),
        ...(by === undefined ? {} : { by }),
        stack: stack.map(frameOf),
        holds: holds.map((hold) => ({ what: what(hold), ...place(hold) })),
      })),
    };
  }

  /** All cells that were mentioned. Those that the broken invariant looks at are no ghosts. */
  cells(property: string, labels: Readonly<Record<string, string>>): Record<string, TraceCell> {
    for (const invariant of this.system.invariants)
      if (invariant.property === property) for (const cell of invariant.cells) this.real.add(cell.at);
    return Object.fromEntries(
      [...this.named]
        .sort((x, y) => x - y)
        .map((at) => {
          const lock = this.system.lockClasses[at];
          const { name, type } = this.system.cells[at]!;
          const label = labels[name];
          return [
            name,
            {
              type: type.name,
              ...(label === undefined ? {} : { label }),
              ...(lock === undefined ? {} : { lock }),
              ...(this.real.has(at) ? {} : { ghost: true as const }),
              ...(this.lives.has(at) ? { life: true as const } : {}),
            },
          ];
        }),
    );
  }

  private request({ agent, op, a, b, c, stack }: TraceStep | Pending, real: boolean): TraceRequest {
    const { system } = this;
    const { reads, writes, plain } = accessOf(system, agent, op, a, b, c, this.access);
    const names = (cells: readonly number[]): string[] =>
      [...new Set(cells)].map((at) => this.name(at, real));
    const type = namesCell(op) ? system.cells[a]!.type : undefined;
    const arithmetic = op >= Op.ADD && op <= Op.SUB_AND_TEST;
    const operand = (value: number, i: number): string =>
      type === undefined || (arithmetic && i === 0) ? String(value) : this.shown(system.cells[a]!, value);
    return {
      agent,
      op: system.opName(op),
      ...(type === undefined
        ? {}
        : { cell: this.name(a, real), operands: [b, c].map(operand), args: [b, c] }),
      ...(plain ? { plain: true as const } : {}),
      reads: names(reads),
      writes: names(writes),
      stack: stack.map(frameOf),
    };
  }

  private observed({ op, a, observed }: TraceStep): string {
    const whole = op === Op.LOAD || op === Op.READ || op === Op.XCHG || op === Op.ADD_RETURN;
    return whole ? this.shown(this.system.cells[a]!, observed) : String(observed);
  }

  private change({ cell, from, to }: Change): TraceChange {
    const at = this.system.cells[cell]!;
    return {
      cell: this.name(cell, false),
      from: this.shown(at, from),
      to: this.shown(at, to),
      raw: [from, to],
    };
  }

  private returned(
    { site: number, depth, value }: Returned,
    step: TraceStep,
    observed: string,
  ): TraceLine['returned'][number] {
    // A value that was handed up unchanged is written as the cell's: f1,W and not 4103.
    const { callee } = site(number);
    const text = value === step.observed && step.observed > 1 ? observed : this.showValue(value, callee);
    return { callee, depth, ...(text === undefined ? {} : { value: text }) };
  }

  private name(at: number, real: boolean): string {
    this.named.add(at);
    if (real) this.real.add(at);
    return this.system.cells[at]!.name;
  }

  private shown(cell: Cell, value: number): string {
    if (cell.type === holder && value > 0)
      return `held by ${this.system.agents[value - 1]?.name ?? value - 1}`;
    return cell.type.show(value);
  }
}

function plainValue(value: unknown): string | undefined {
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}
