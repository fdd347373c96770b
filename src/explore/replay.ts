// SPDX-License-Identifier: MIT
import { live, PathError, stackSites } from '../core/live.js';
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import type { Path, Request } from '../core/path.js';
import { resume, running } from '../core/running.js';
import type { Built, NodeMonitor } from '../core/scenario.js';
import { type Semantics, semantics } from '../core/semantics.js';
import type { Fault, System } from '../core/system.js';
import type { Step } from './search.js';

/** A cell that a step changed, monitors' ghosts included. */
export interface Change {
  readonly cell: number;
  readonly from: number;
  readonly to: number;
}

/** A call that returned right after a step: the `yield*` at `site`, `depth` frames below the agent's own function. */
export interface Returned {
  readonly site: number;
  readonly depth: number;
  readonly value: unknown;
}

/** Something that a node monitor reported (lock order, context). */
export interface Reported {
  readonly name: string;
  readonly detail: string;
}

/** What an agent will do next: its request and where it stands. */
export interface Pending extends Readonly<Request> {
  readonly agent: number;
  /** Site numbers of the open frames, outermost first. */
  readonly stack: readonly number[];
  readonly enabled: boolean;
}

/** One step of a run, with all that can be said of it. */
export interface TraceStep extends Readonly<Request> {
  /** From 1. */
  readonly index: number;
  readonly agent: number;
  readonly choice: number;
  readonly observed: number;
  /** Site numbers of the frames that were open, outermost first. */
  readonly stack: readonly number[];
  readonly changes: readonly Change[];
  readonly returned: readonly Returned[];
  /** Witnesses and progress marks that the path passed after the step. */
  readonly seen: readonly string[];
  readonly progressed: readonly string[];
  readonly reports: readonly Reported[];
  /** The property that the step broke. */
  readonly fault?: Fault;
}

/** Why a step of a recorded run can't be taken: the code changed since. */
export interface Divergence {
  readonly step: number;
  readonly reason: string;
}

/** How a run ends. 'open': it just stops, nothing is wrong so far. */
export interface Outcome {
  readonly kind: 'violation' | 'deadlock' | 'leak' | 'ended' | 'open';
  readonly property: string;
  readonly detail: string;
}

/** A run, replayed. */
export interface Replayed {
  readonly steps: readonly TraceStep[];
  /** What the agents would do next. */
  readonly pending: readonly Pending[];
  readonly outcome: Outcome;
  readonly diverged?: Divergence;
}

const { leave } = live;

interface Standing {
  readonly path: Path<unknown>;
  readonly stack: unknown[];
  request: Request | undefined;
  context: unknown;
}

/**
 * A system that is run step by step with its real paths: no automaton, no fingerprints, nothing merged. Takes the
 * system over: cells are left as the run leaves them.
 */
export class Execution {
  readonly system: System;
  /** Values of the cells before the first step. */
  readonly initial: Int32Array;
  /** Witnesses before the first step. */
  readonly seenAtStart: readonly string[];
  private readonly agents: Standing[] = [];
  private readonly semantics: Semantics;
  private readonly monitor: NodeMonitor | undefined;
  private readonly log = new Map<number, number>();
  private taken = 0;
  private broken: Fault | undefined;
  private returned: Returned[] = [];
  /**
   * Stands in for `live.leave` while a path runs. A call looks it up before it starts, not when it returns: so it is
   * one function for all steps, and finds out by itself which step is on.
   */
  private readonly leave = <T>(entered: number, value: T): T => {
    this.returned.push({ site: live.stack[entered] as number, depth: entered / 2, value });
    return leave(entered, value);
  };

  constructor(built: Built) {
    const system = (this.system = built.system);
    const mem = system.mem;
    system.set = (cell, value) => {
      if (mem[cell] === value) return;
      if (!this.log.has(cell)) this.log.set(cell, mem[cell]!);
      mem[cell] = value;
    };
    this.semantics = semantics(system);
    this.monitor = built.monitor?.();
    for (const monitor of system.monitors) monitor.update(-1);
    this.log.clear();
    this.initial = mem.slice(0, system.cells.length);
    const seen: string[] = [];
    system.agents.forEach(({ name, start }, agent) => {
      running.system = system;
      running.agent = agent;
      live.stack = [];
      let path: Path<unknown>;
      try {
        path = start();
      } finally {
        running.agent = -1;
      }
      if (typeof (path as Partial<Path>)?.next !== 'function')
        throw new PathError(`agent ${name} is not a path: write it as *${name}() { … }`);
      const standing: Standing = { path, stack: [], request: undefined, context: this.monitor?.start(agent) };
      this.agents.push(standing);
      this.advance(agent, 0);
      seen.push(...running.seen);
    });
    this.seenAtStart = seen;
    this.broken = this.judgeStart();
  }

  /** What each agent that has not returned will do next. */
  pending(): Pending[] {
    return this.system.agents.flatMap((_, agent) => {
      const { request: next, stack } = this.agents[agent]!;
      if (next === undefined) return [];
      return [{ ...next, agent, stack: stackSites(stack), enabled: this.enabled(agent, next) }];
    });
  }

  /** The frames of each agent: with the pending requests they are what is still to come. */
  frames(): readonly (readonly unknown[])[] {
    return this.agents.map(({ stack }) => stack);
  }

  /** How many outcomes the next step of an agent has now; 0: it can't take one. */
  outcomes(agent: number): number {
    const next = this.agents[agent]?.request;
    if (next === undefined || this.broken !== undefined || !this.enabled(agent, next)) return 0;
    const { op, a, b, c } = next;
    return op >= FIRST_OWN_OP || op === Op.CHOOSE ? this.semantics.choices(agent, op, a, b, c) : 1;
  }

  /** Takes a step, or says why it can't be taken. */
  take({ agent, choice }: Step): TraceStep | Divergence {
    const index = this.taken + 1;
    const refuse = (reason: string): Divergence => ({ step: index, reason });
    const standing = this.agents[agent];
    if (standing === undefined) return refuse(`there is no agent ${agent}`);
    const { name } = this.system.agents[agent]!;
    if (this.broken !== undefined) return refuse(`the run has already broken ${this.broken.property}`);
    const { request: next } = standing;
    if (next === undefined) return refuse(`agent ${name} has returned`);
    const { op, a, b, c } = next;
    if (!this.enabled(agent, next))
      return refuse(`agent ${name} can't take a step: it waits in ${this.system.opName(op)}`);
    const outcomes = this.outcomes(agent);
    if (choice < 0 || choice >= outcomes)
      return refuse(
        `agent ${name}: outcome ${choice} of ${this.system.opName(op)} does not exist, it has ${outcomes}`,
      );

    const { system } = this;
    const stack = stackSites(standing.stack);
    this.taken = index;
    this.log.clear();
    const observed = this.semantics.execute(agent, op, a, b, c, choice);
    const returned = this.advance(agent, observed);
    const { seen, progressed, maps, asserted } = running;
    const reports: Reported[] = [];
    if (this.monitor !== undefined) {
      standing.context = this.monitor.after(standing.context, agent, op, a, b, c, observed);
      if (maps.length > 0 && this.monitor.marked !== undefined)
        standing.context = this.monitor.marked(standing.context, agent, maps, (report, detail) =>
          reports.push({ name: report, detail }),
        );
      for (const assertion of asserted)
        this.monitor.asserts?.(standing.context, agent, assertion, (report, detail) =>
          reports.push({ name: report, detail }),
        );
      const at = standing.request ?? { op: Op.DONE, a: 0, b: 0, c: 0 };
      this.monitor.check(standing.context, agent, at.op, at.a, at.b, at.c, (report, detail) =>
        reports.push({ name: report, detail }),
      );
    }
    const fault = (this.broken = this.judge(agent, standing.request));
    const changes: Change[] = [];
    for (const [cell, from] of this.log)
      if (system.mem[cell] !== from) changes.push({ cell, from, to: system.mem[cell]! });
    changes.sort((x, y) => x.cell - y.cell);
    return {
      index,
      agent,
      choice,
      op,
      a,
      b,
      c,
      observed,
      stack,
      changes,
      returned,
      seen,
      progressed,
      reports,
      ...(fault === undefined ? {} : { fault }),
    };
  }

  /** What is to be said of the state now. */
  outcome(): Outcome {
    if (this.broken !== undefined) return { kind: 'violation', ...this.broken };
    const pending = this.pending();
    if (pending.some(({ enabled, agent }) => enabled && this.system.agents[agent]!.fair))
      return { kind: 'open', property: '', detail: '' };
    const stuck = pending.filter(({ agent }) => !this.system.agents[agent]!.daemon);
    if (stuck.length > 0) {
      const names = stuck.map(({ agent }) => this.system.agents[agent]!.name);
      return { kind: 'deadlock', property: 'DEADLOCK', detail: `${names.join(', ')} can't go on` };
    }
    for (const { when, check, property, kind } of this.system.invariants) {
      const detail = when === 'end' ? check() : undefined;
      if (detail !== undefined) return { kind: kind ?? 'violation', property, detail };
    }
    return { kind: 'ended', property: '', detail: '' };
  }

  private enabled(agent: number, { op, a, b, c }: Request): boolean {
    return this.semantics.enabled(agent, op, a, b, c);
  }

  /** Runs an agent's path to its next request; returns the calls that returned on the way, innermost first. */
  private advance(agent: number, observed: number): Returned[] {
    const standing = this.agents[agent]!;
    this.returned = [];
    live.leave = this.leave;
    try {
      const result = resume(this.system, agent, standing.stack, standing.path, observed);
      if (result.done) standing.request = undefined;
      else {
        const { op, a, b, c } = result.value;
        standing.request = { op, a, b, c };
      }
    } finally {
      live.leave = leave;
    }
    return this.returned;
  }

  private judgeStart(): Fault | undefined {
    for (const cell of this.system.cells) this.log.set(cell.at, 0);
    for (const { request: next } of this.agents) {
      const wrong = this.judge(-1, next);
      if (wrong !== undefined) return wrong;
    }
    this.log.clear();
    return undefined;
  }

  /** As the search does after each step: fault, claim, monitors, invariants. */
  private judge(agent: number, next: Request | undefined): Fault | undefined {
    const { system } = this;
    const takeFault = (): Fault | undefined => {
      const { fault } = system;
      system.fault = undefined;
      return fault;
    };
    if (system.fault !== undefined) return takeFault();
    if (next?.op === Op.FAIL) return { property: system.strings[next.a]!, detail: system.strings[next.b]! };
    for (const monitor of system.monitors)
      if (monitor.cells.some((cell) => this.log.has(cell.at))) monitor.update(agent);
    if (system.fault !== undefined) return takeFault();
    for (const { when, cells, check, property } of system.invariants) {
      if (when !== 'always' || !cells.some((cell) => this.log.has(cell.at))) continue;
      const detail = check();
      if (detail !== undefined) return { property, detail };
    }
    return undefined;
  }
}

/** Executes a run of a freshly built variant, up to its end or to the first step that can't be taken. */
export function replay(built: Built, run: readonly Step[]): Replayed {
  const execution = new Execution(built);
  const steps: TraceStep[] = [];
  let diverged: Divergence | undefined;
  for (const step of run) {
    const taken = execution.take(step);
    if ('reason' in taken) {
      diverged = taken;
      break;
    }
    steps.push(taken);
  }
  return {
    steps,
    pending: execution.pending(),
    outcome: execution.outcome(),
    ...(diverged === undefined ? {} : { diverged }),
  };
}
