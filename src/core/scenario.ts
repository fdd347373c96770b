// SPDX-License-Identifier: MIT
import type { CallFrame } from './live.js';
import type { Assertion } from './running.js';
import type { System } from './system.js';

/** How a run of the explorer ends. Never mixed up: see docs. */
export type VerdictKind = 'safe' | 'violation' | 'deadlock' | 'livelock' | 'leak' | 'vacuous' | 'incomplete';

/** What a scenario declares of a variant: kind, property and reports must all come out. */
export interface Expectation {
  readonly verdict: 'safe' | 'violation' | 'deadlock' | 'livelock' | 'leak';
  /** The property that is broken; '' with safe. */
  readonly property: string;
  /** Reports beside the property: DATA-RACE, LOCK-ORDER, CTX. */
  readonly reports: readonly string[];
}

/** Knob values by name, machine and kernel release included. */
export type KnobSetting = Readonly<Record<string, string>>;

/** One set of knob values. */
export interface Variant {
  /** `k=v,k=v` of the knobs that differ from the first values, or `base`. */
  readonly name: string;
  readonly knobs: KnobSetting;
  /** Absent where the user set the knobs: then nothing is declared. */
  readonly expect: Expectation | undefined;
  /** What the specification expected, where that is something else; docs/findings.md says why the run stands. */
  readonly spec?: string;
}

/** Something that an agent does, and the frames that are open there, outermost first; none: from its start on. */
export interface Deed {
  readonly what: string;
  readonly stack: readonly CallFrame[];
}

/** What an agent has to do with a report: the one deed, and the other that it does before that one has ended. */
export interface AccountPart {
  readonly agent: string;
  readonly first: Deed;
  readonly second: Deed;
}

/** What stands behind a report that depends on paths alone, whether or not a run goes wrong. */
export interface Account {
  readonly name: string;
  readonly detail: string;
  /** Equal for two accounts of one thing: the classes of a circle, `A > B`. */
  readonly about: string;
  /** LOCK-ORDER: a part for each lock of the circle: it is held, and the next one is taken. CTX: one. */
  readonly parts: readonly AccountPart[];
}

/** A lock map that was entered (cell + 1) or left (-(cell + 1)), and where. */
export interface Mark {
  readonly map: number;
  readonly stack: readonly number[];
}

/** The paths of all agents as far as an exploration has learnt them: points, by number from 1 on, and steps between them. */
export interface PathGraph {
  readonly points: number;
  request(point: number): { agent: number; op: number; a: number; b: number; c: number };
  /** Site numbers of the frames that are open there, outermost first. */
  stack(point: number): readonly number[];
  /** Each step: from a point (0: the agent begins), what it observed, the point that follows, lock maps on the way. */
  edges(visit: (from: number, value: number, to: number, marks: readonly Mark[]) => void): void;
}

/**
 * What a node monitor remembers of a node, and checks there: lock order, context. Knows paths, not states. Its context is
 * made of numbers, texts, arrays, records and handles: points of a path with different contexts are different nodes.
 */
export interface NodeMonitor {
  /** Before the agent's first request. */
  start(agent: number): unknown;
  /** After the request of a node observed `value`. `context` is what start or after returned for that node. */
  after(context: unknown, agent: number, op: number, a: number, b: number, c: number, value: number): unknown;
  /** The path says, where it stands in this context, that it holds a lock: reports if it does not, or not so. */
  asserts?(
    context: unknown,
    agent: number,
    assertion: Assertion,
    report: (name: string, detail: string) => void,
  ): void;
  /** The path has entered and left lock maps, in this order, since its last request: returns the context after that. */
  marked?(
    context: unknown,
    agent: number,
    maps: readonly number[],
    report: (name: string, detail: string) => void,
  ): unknown;
  /** A node was reached for the first time: reports what its request does wrong in its context. */
  check(
    context: unknown,
    agent: number,
    op: number,
    a: number,
    b: number,
    c: number,
    report: (name: string, detail: string) => void,
  ): void;
  /**
   * What stands behind its reports, in an order that does not depend on that of the exploration; and of several places
   * where the same happens the one with the shortest stacks.
   */
  explain?(paths: PathGraph): readonly Account[];
}

/** Has a monitor report one thing only: what the agent of this part does. */
export interface Only {
  readonly name: string;
  readonly part: AccountPart;
}

/** A variant, built: fresh cells, agents and invariants. */
export interface Built {
  readonly system: System;
  readonly monitor?: (only?: Only) => NodeMonitor;
  /** What the answer holds for: agents, pages, devices, operations. */
  readonly bounds: string;
  /** Names of the properties that were watched. */
  readonly properties: readonly string[];
  /** Why a violation of the property is wrong, one sentence, if the scenario says it better than the property does. */
  readonly because?: string;
}

/** Which knob goes down and which across; the rest of a variant's name is part of its row. */
export interface MatrixLayout {
  readonly rows: string;
  readonly columns: string;
  /** The order of the rows; absent: as the knob has its values. */
  readonly order?: readonly string[];
}

/** How the same question is put twice: see `passes`. */
export interface Pass {
  readonly name: string;
  readonly settings: KnobSetting;
}

/** One question, with its variants. What `shootdown` checks. */
export interface Scenario {
  readonly id: string;
  readonly family: string;
  readonly title: string;
  readonly question: string;
  /** checked: explored. static: a table, computed by running paths straight through (litmus/table.ts), no proof. */
  readonly kind: 'checked' | 'static' | 'measured';
  /** All knobs and their values, the documented protocol first. */
  readonly knobs: Readonly<Record<string, readonly string[]>>;
  readonly variants: readonly Variant[];
  readonly sometimes: readonly string[];
  /** How its verdicts are laid out as a table; absent: variants against machines. */
  readonly matrix?: MatrixLayout;
  /** Encodings of hardware freedom that together count as one exploration: TLBs filled on demand, and eagerly. */
  passes(knobs: KnobSetting): readonly Pass[];
  build(knobs: KnobSetting, pass: Pass): Built;
}

/** `k=v,k=v` of the knobs that differ from the first value, `base` if none does. */
export function variantName(
  knobs: Readonly<Record<string, readonly string[]>>,
  setting: KnobSetting,
): string {
  const differing = Object.entries(knobs)
    .filter(([name, values]) => setting[name] !== values[0])
    .map(([name]) => `${name}=${setting[name]}`);
  return differing.length === 0 ? 'base' : differing.join(',');
}

/** An error in what the user gave us: one clear line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
