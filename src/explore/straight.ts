// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op } from '../core/ops.js';
import { driver, type AtOnce } from '../core/driver.js';
import type { Path, Request } from '../core/path.js';
import { resume, running } from '../core/running.js';
import type { NodeMonitor } from '../core/scenario.js';
import { type Semantics, semantics } from '../core/semantics.js';
import type { Invariant, Monitor, System } from '../core/system.js';

/** How to run straight through. */
export interface StraightOptions {
  /** Picks one of 0 … count-1 where a step has several outcomes, and when daemons get a turn. */
  readonly choose: (count: number) => number;
  readonly monitor?: (() => NodeMonitor) | undefined;
  /** After which steps invariants are checked. Default: each. */
  readonly invariants?: 'step' | 'operation' | 'off';
  /**
   * Executes each step while its path runs, unless it has to wait: several times as fast. Invariants are checked after
   * each operation at the most, and daemons get their turns when a path waits and when it ends.
   */
  readonly atOnce?: boolean;
  /** A daemon gets a turn after one step in so many; 0: only when the path waits. Default 16. */
  readonly turns?: number;
  /** Steps that one path may take. */
  readonly limit?: number;
}

/** A property was broken by a run straight through. */
export class Broken extends Error {
  override readonly name = 'Broken';
  constructor(
    readonly property: string,
    readonly detail: string,
    /** Steps taken before. */
    readonly step: number,
  ) {
    super(`${property}: ${detail} (step ${step})`);
  }
}

/** Steps of one path, where nobody says otherwise. */
const LIMIT = 1_000_000;

interface Standing {
  readonly agent: number;
  readonly path: Path<unknown>;
  readonly stack: unknown[];
  op: number;
  a: number;
  b: number;
  c: number;
  context: unknown;
}

/**
 * Runs paths one after the other on one system, without exploring: an operation of an agent from its start to its end,
 * and daemons in between. The semantics, monitors and invariants are those of the search. Takes the system over; with
 * `System.growable` its pools grow as the paths need it.
 */
export class Straight {
  /** Steps taken, daemons' included. */
  steps = 0;
  readonly seen = new Set<string>();
  /** What the node monitor reported: name, detail of the first. */
  readonly reports = new Map<string, string>();

  private readonly semantics: Semantics;
  private readonly atOnce: AtOnce | undefined;
  /** Steps taken when the path was resumed. */
  private resumedAt = 0;
  /** Whose steps are executed at once. */
  private current: Standing | undefined;
  private readonly monitor: NodeMonitor | undefined;
  private readonly daemons: Standing[] = [];
  private readonly always: Invariant[];
  /** By cell: invariants (their number) and monitors (-1 - their number) to look at when it changed. */
  private readonly concerns: (number[] | undefined)[] = [];
  private readonly checks: number[] = [];
  private readonly updates: number[] = [];
  private readonly checkQueued: Uint8Array;
  private readonly updateQueued: Uint8Array;

  constructor(
    readonly system: System,
    private readonly options: StraightOptions,
  ) {
    const { invariants, monitors } = system;
    this.always =
      options.invariants === 'off' ? [] : invariants.filter((invariant) => invariant.when === 'always');
    this.checkQueued = new Uint8Array(this.always.length);
    this.updateQueued = new Uint8Array(monitors.length);
    const concern = (watcher: Invariant | Monitor, number: number): void => {
      for (const cell of watcher.cells) (this.concerns[cell.at] ??= []).push(number);
    };
    this.always.forEach((invariant, i) => concern(invariant, i));
    monitors.forEach((monitor, i) => concern(monitor, -1 - i));
    system.set = (cell, value) => {
      if (system.mem[cell] === value) return;
      system.mem[cell] = value;
      const concerned = this.concerns[cell];
      if (concerned !== undefined) this.queue(concerned);
    };
    this.semantics = semantics(system);
    if (options.atOnce === true) this.atOnce = this.immediately();
    this.monitor = options.monitor?.();
    for (const monitor of monitors) monitor.update(-1);
    system.agents.forEach((agent, number) => {
      if (agent.daemon) this.daemons.push(this.begin(number, () => agent.start()));
    });
    this.check(this.always);
  }

  /** Runs `path` as `agent` to its end and returns what it returns. Throws {@link Broken}. */
  run<T>(agent: number, path: () => Path<T>): T {
    const { limit = LIMIT, turns = 16, choose } = this.options;
    const standing = this.begin(agent, path);
    let result: IteratorResult<Request, unknown> = this.first(standing);
    for (let taken = 0; !result.done; taken++) {
      if (taken > limit) throw this.endless(agent);
      while (!this.canStep(standing))
        if (!this.daemonStep())
          throw new Broken(
            'DEADLOCK',
            `${this.nameOf(agent)} waits at ${this.system.opName(standing.op)}, and nobody can go on`,
            this.steps,
          );
      result = this.step(standing);
      if (turns > 0 && this.atOnce === undefined && choose(turns) === 0) this.daemonStep();
    }
    if (this.atOnce !== undefined) this.settle();
    else if (this.checksOperations) this.settleQueues();
    return result.value as T;
  }

  /** Lets daemons run until none of them can. */
  settle(): void {
    while (this.daemonStep());
    if (this.checksOperations) this.settleQueues();
  }

  /** Judges the properties that hold whenever no operation is under way: sums and balances. */
  judge(): void {
    this.check(this.system.invariants.filter((invariant) => invariant.when === 'end'));
  }

  /** Whether invariants are checked after each operation, not after each step. */
  private get checksOperations(): boolean {
    return this.options.invariants === 'operation' || this.atOnce !== undefined;
  }

  private endless(agent: number): Broken {
    const { limit = LIMIT } = this.options;
    return new Broken('PROGRESS', `${this.nameOf(agent)} takes more than ${limit} steps`, this.steps);
  }

  private nameOf(agent: number): string {
    return this.system.agents[agent]!.name;
  }

  private begin(agent: number, start: () => Path<unknown>): Standing {
    running.system = this.system;
    running.agent = agent;
    const path = start();
    running.agent = -1;
    const standing: Standing = {
      agent,
      path,
      stack: [],
      op: Op.NOP,
      a: 0,
      b: 0,
      c: 0,
      context: this.monitor?.start(agent),
    };
    if (this.system.agents[agent]!.daemon) this.first(standing);
    return standing;
  }

  private first(standing: Standing): IteratorResult<Request, unknown> {
    return this.goOn(standing, 0);
  }

  /** Runs the path to its next request. */
  private goOn(standing: Standing, observed: number): IteratorResult<Request, unknown> {
    const result = this.resume(standing, observed);
    this.hear(standing);
    if (result.done) {
      standing.op = Op.DONE;
      return result;
    }
    const { op, a, b, c } = result.value;
    standing.op = op;
    standing.a = a;
    standing.b = b;
    standing.c = c;
    if (op === Op.FAIL) throw new Broken(this.system.strings[a]!, this.system.strings[b]!, this.steps);
    this.monitor?.check(standing.context, standing.agent, op, a, b, c, this.report);
    return result;
  }

  private readonly report = (name: string, detail: string): void => {
    if (!this.reports.has(name)) this.reports.set(name, detail);
  };

  /** What the path has said since its last request. */
  private hear(standing: Standing): void {
    const { maps, asserted, seen } = running;
    const { monitor } = this;
    if (maps.length > 0) {
      if (monitor?.marked !== undefined)
        standing.context = monitor.marked(standing.context, standing.agent, maps, this.report);
      maps.length = 0;
    }
    if (asserted.length > 0) {
      for (const one of asserted) monitor?.asserts?.(standing.context, standing.agent, one, this.report);
      asserted.length = 0;
    }
    if (seen.length > 0) {
      for (const name of seen) this.seen.add(name);
      seen.length = 0;
    }
  }

  private resume(standing: Standing, observed: number): IteratorResult<Request, unknown> {
    const { system, atOnce } = this;
    const { agent, stack, path } = standing;
    if (atOnce === undefined) return resume(system, agent, stack, path, observed);
    this.resumedAt = this.steps;
    this.current = standing;
    driver.atOnce = atOnce;
    try {
      return resume(system, agent, stack, path, observed);
    } finally {
      driver.atOnce = undefined;
    }
  }

  /** Steps of the path that runs now, executed where it asks for them. */
  private immediately(): AtOnce {
    const { limit = LIMIT } = this.options;
    const { semantics: does } = this;
    return {
      takes: (op, a, b, c) => {
        if (op < FIRST_OWN_OP) return does.enabled(running.agent, op, a, b, c);
        const { agent } = running;
        running.agent = -1; // what an operation does is no path: it may look at cells
        const takes = does.enabled(agent, op, a, b, c);
        running.agent = agent;
        return takes;
      },
      execute: (op, a, b, c) => {
        const { agent } = running;
        if (++this.steps - this.resumedAt > limit) throw this.endless(agent);
        running.agent = -1;
        const { monitor, current } = this;
        if (monitor === undefined || current === undefined) {
          const value = this.execute(agent, op, a, b, c);
          running.agent = agent;
          return value;
        }
        this.hear(current);
        monitor.check(current.context, agent, op, a, b, c, this.report);
        const value = this.execute(agent, op, a, b, c);
        current.context = monitor.after(current.context, agent, op, a, b, c, value);
        running.agent = agent;
        return value;
      },
    };
  }

  /** Takes a step, which is enabled: its value. */
  private execute(agent: number, op: number, a: number, b: number, c: number): number {
    const { system, semantics: does, options } = this;
    let choice = 0;
    if (op >= FIRST_OWN_OP || op === Op.CHOOSE) {
      const count = does.choices(agent, op, a, b, c);
      if (count > 1) choice = options.choose(count);
    }
    const value = does.execute(agent, op, a, b, c, choice);
    if (system.fault !== undefined) {
      const { property, detail } = system.fault;
      system.fault = undefined;
      throw new Broken(property, detail, this.steps);
    }
    if (this.updates.length > 0) this.update(agent);
    return value;
  }

  private canStep({ agent, op, a, b, c }: Standing): boolean {
    return this.semantics.enabled(agent, op, a, b, c);
  }

  /** Takes the pending step, which is enabled. */
  private step(standing: Standing): IteratorResult<Request, unknown> {
    const { agent, op, a, b, c } = standing;
    this.steps++;
    const value = this.execute(agent, op, a, b, c);
    if (this.checks.length > 0 && !this.checksOperations) this.settleQueues();
    if (this.monitor !== undefined)
      standing.context = this.monitor.after(standing.context, agent, op, a, b, c, value);
    return this.goOn(standing, value);
  }

  /** One step of one daemon that can take one; false if none can. */
  private daemonStep(): boolean {
    const ready = this.daemons.filter((daemon) => this.canStep(daemon));
    if (ready.length === 0) return false;
    this.step(ready[ready.length === 1 ? 0 : this.options.choose(ready.length)]!);
    return true;
  }

  private queue(concerned: readonly number[]): void {
    for (const number of concerned) {
      if (number >= 0) {
        if (this.checkQueued[number] === 0) this.checks.push(number);
        this.checkQueued[number] = 1;
      } else {
        if (this.updateQueued[-1 - number] === 0) this.updates.push(-1 - number);
        this.updateQueued[-1 - number] = 1;
      }
    }
  }

  /** Each monitor once, in their order, as the search does it. */
  private update(agent: number): void {
    for (const number of this.updates.splice(0).sort((x, y) => x - y)) {
      this.updateQueued[number] = 0;
      this.system.monitors[number]!.update(agent);
    }
    if (this.system.fault !== undefined)
      throw new Broken(this.system.fault.property, this.system.fault.detail, this.steps);
    for (const number of this.updates.splice(0)) this.updateQueued[number] = 0;
  }

  private settleQueues(): void {
    const due = this.checks.splice(0);
    for (const number of due) this.checkQueued[number] = 0;
    this.check(due.map((number) => this.always[number]!));
  }

  private check(invariants: readonly Invariant[]): void {
    for (const invariant of invariants) {
      const wrong = invariant.check();
      if (wrong !== undefined) throw new Broken(invariant.property, wrong, this.steps);
    }
  }
}
