// SPDX-License-Identifier: MIT
/** What the text of an exported system is made of: cells, points of paths, trees, ends of runs. */
import { FIRST_OWN_OP, Op } from '../../src/core/ops.js';
import type { System } from '../../src/core/system.js';
import type { Effect, Recorded, Tree } from './record.js';

/** SPIN came to a step or to values that the engine has not seen. */
export const UNKNOWN = 'unknown to the engine';

/** Ends an option that nothing follows. */
export const NOTHING = 'skip';

/** SPIN takes some two thousand jumps in a d_step, and a statement has up to three. */
export const LONGEST = 700;
export const statements = (text: string): number => text.split(/;|::/).length;

/** A selection, one option a line. */
export const select = (options: readonly string[]): string =>
  `if\n${options.map((option) => `:: ${option}\n`).join('')}fi`;
export const all = (conditions: readonly string[]): string => conditions.join(' && ') || 'true';
export const any = (conditions: readonly string[]): string => conditions.join(' || ') || 'false';

/** The leaves of a tree. */
export function leavesOf<Leaf>(tree: Tree<Leaf> | undefined): Leaf[] {
  if (tree === undefined) return [];
  return 'leaf' in tree ? [tree.leaf] : [...tree.branches.values()].flatMap(leavesOf);
}

/** A name for a comment. */
export const comment = (text: string): string => `/* ${text.replaceAll('*/', '')} */`;

export class Words {
  /** By node and observed value. */
  private readonly edges = new Map<number, Map<number, number>>();
  /** By agent: where it begins. */
  readonly starts: number[] = [];
  /** Cells that somebody writes. */
  readonly written = new Set<number>();
  /** What runs ended with: `violation P`, … */
  readonly ends: string[] = [];
  readonly system: System;
  /** Stores wait in a buffer for each CPU. */
  readonly tso: boolean;

  constructor(readonly recorded: Recorded) {
    const { automaton, system, own, monitors } = recorded;
    this.system = system;
    this.tso = system.memory === 'tso';
    if (system.agents.some(({ fair }) => !fair))
      throw new Error('expected fair agents only: SPIN takes a state for resting if nobody at all can go on');
    automaton.eachEdge((from, value, to) => {
      if (from === 0) return void this.starts.push(to);
      if (!this.edges.has(from)) this.edges.set(from, new Map());
      this.edges.get(from)!.set(value, to);
    });
    for (let node = 1; node < automaton.size; node++) {
      const op = automaton.op[node]!;
      if (op >= FIRST_OWN_OP) continue;
      for (const cell of automaton.access(node).writes) this.written.add(cell);
    }
    const trees = [...own.values()].flatMap((request) => request.effects);
    for (const byAgent of monitors) trees.push(...byAgent.values());
    for (const { writes } of trees.flatMap(leavesOf))
      for (const cell of writes.keys()) this.written.add(cell);
    if (this.tso)
      for (const first of system.storeBuffers)
        for (let i = 0; i < 2 * system.storeBufferDepth; i++) this.written.add(first + i);
  }

  /** The value of `dead` for what was found. */
  code(what: string): number {
    let at = this.ends.indexOf(what);
    if (at < 0) at = this.ends.push(what) - 1;
    return at + 1;
  }

  /** Ends the run; what was found first counts. */
  end(what: string): string {
    return `stop(${this.code(what)})`;
  }

  /** A cell in memory: a variable, or a number if nobody writes it. */
  cell(cell: number): string {
    if (!this.written.has(cell)) return `${this.recorded.initial[cell]!}`;
    return `c${cell}_${this.system.cells[cell]!.name.replaceAll(/\W+/g, '_')}`;
  }

  assign(cell: number, value: string, passing = false): string {
    const changed = this.system.monitors.flatMap(({ cells }, i) =>
      cells.some(({ at }) => at === cell)
        ? [`changed${i} = ${passing ? '1' : `(changed${i} || ${this.cell(cell)} != ${value})`}; `]
        : [],
    );
    return `${changed.join('')}${this.cell(cell)} = ${value}`;
  }

  effect({ writes, passing }: Effect): string[] {
    return [...writes].map(([cell, value]) => this.assign(cell, `${value}`, passing.has(cell)));
  }

  tree<Leaf>(tree: Tree<Leaf> | undefined, text: (leaf: Leaf) => string): string {
    if (tree === undefined) return this.end(UNKNOWN);
    if ('leaf' in tree) return text(tree.leaf);
    if (!this.written.has(tree.cell))
      return this.tree(tree.branches.get(this.recorded.initial[tree.cell]!), text);
    return select([
      ...[...tree.branches].map(
        ([value, branch]) => `${this.cell(tree.cell)} == ${value} -> ${this.tree(branch, text)}`,
      ),
      `else -> ${this.end(UNKNOWN)}`,
    ]);
  }

  /** A tree as an expression. */
  value<Leaf>(
    tree: Tree<Leaf> | undefined,
    text: (leaf: Leaf) => string | number,
    unknown: string | number = this.code(UNKNOWN),
  ): string {
    if (tree === undefined) return `${unknown}`;
    if ('leaf' in tree) return `${text(tree.leaf)}`;
    if (!this.written.has(tree.cell))
      return this.value(tree.branches.get(this.recorded.initial[tree.cell]!), text, unknown);
    return [...tree.branches].reduceRight(
      (otherwise, [value, branch]) =>
        `(${this.cell(tree.cell)} == ${value} -> ${this.value(branch, text, unknown)} : ${otherwise})`,
      `${unknown}`,
    );
  }

  /** The condition under which a tree ends in a leaf that is wanted. */
  leads<Leaf>(tree: Tree<Leaf> | undefined, wanted: (leaf: Leaf) => boolean): string {
    if (tree === undefined) return 'false';
    if ('leaf' in tree) return wanted(tree.leaf) ? 'true' : 'false';
    if (!this.written.has(tree.cell))
      return this.leads(tree.branches.get(this.recorded.initial[tree.cell]!), wanted);
    const ways = [...tree.branches].map(([value, branch]) => [value, this.leads(branch, wanted)] as const);
    return any(
      ways
        .filter(([, way]) => way !== 'false')
        .map(
          ([value, way]) => `(${this.cell(tree.cell)} == ${value}${way === 'true' ? '' : ` && (${way})`})`,
        ),
    );
  }

  moveTo(agent: number, node: number | undefined): string {
    if (node === undefined) return this.end(UNKNOWN);
    const { op, a } = this.recorded.automaton;
    if (op[node] === Op.FAIL) return this.end(`violation ${this.system.strings[a[node]!]!}`);
    return `at${agent} = ${node}`;
  }

  /** The agent goes on from `node` by what was observed: the value of a Promela expression. */
  moveBy(agent: number, node: number, observed: string): string {
    const edges = this.edges.get(node) ?? new Map<number, number>();
    if (/^-?\d+$/.test(observed)) return this.moveTo(agent, edges.get(Number(observed)));
    return select([
      ...[...edges].map(([value, child]) => `seen == ${value} -> ${this.moveTo(agent, child)}`),
      `else -> ${this.end(UNKNOWN)}`,
    ]);
  }

  /** An access to a cell, wrong unless the object that it belongs to lives. */
  guarded(cell: number, reads: boolean, access: string): string {
    const guard = this.system.guards[cell];
    if (guard === undefined || (reads && guard.readable === true)) return access;
    const { cell: state, alive } = guard;
    const lives = (value: number): boolean => ((alive >> value) & 1) === 1;
    if (!this.written.has(state.at)) {
      const value = this.recorded.initial[state.at]!;
      return lives(value) ? access : this.end(`violation ${guard.property(value)}`);
    }
    return select([
      ...[...this.recorded.guardValues.get(state.at)!].map((value) => {
        const then = lives(value) ? access : this.end(`violation ${guard.property(value)}`);
        return `${this.cell(state.at)} == ${value} -> ${then}`;
      }),
      `else -> ${this.end(UNKNOWN)}`,
    ]);
  }
}
