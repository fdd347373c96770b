// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op, type Access } from '../core/ops.js';
import { live, PathError, stackKey, stackSites, structureKey } from '../core/live.js';
import type { Path } from '../core/path.js';
import { resume, running } from '../core/running.js';
import { accessOf, namesCell } from '../core/semantics.js';
import type { NodeMonitor } from '../core/scenario.js';
import type { System } from '../core/system.js';
import { grown } from './findings.js';

/** Called when the search walks an edge for the first time: the state it is in is where the thing was seen. */
export interface AutomatonEvents {
  witness(name: string): void;
  report(name: string, detail: string): void;
}

const SMALL = 8;
/** Above every node number: an edge of a large observation is kept under value * NODES + node. */
const NODES = 2097152;

/**
 * The agents' paths, learnt as they are explored: a node is a point of a path (its continuation and its pending
 * request), an edge is an observed value. A path's code runs once for each edge, not once for each visit. Nodes are
 * merged when agent, request, live locals of all frames and the monitor's context are equal.
 */
export class Automaton {
  /** Number of nodes. Node 0 is not used. */
  size = 1;
  op = new Uint16Array(1024);
  /** 1: a plain access is pending. */
  plain = new Uint8Array(1024);
  a = new Int32Array(1024);
  b = new Int32Array(1024);
  c = new Int32Array(1024);
  agent = new Uint8Array(1024);
  /** Edges of small observations: next[node * 8 + value], 0 = not learnt. */
  next = new Int32Array(1024 * SMALL);
  /** Runs of a path from its start, for the bench. */
  runs = 0;
  readonly events: AutomatonEvents = { witness: () => {}, report: () => {} };

  private readonly wide = new Map<number, number>();
  private parent = new Int32Array(1024);
  private observed = new Int32Array(1024);
  private readonly stacks: (readonly number[])[] = [[]];
  private readonly contexts: unknown[] = [undefined];
  private readonly byKey = new Map<string, number>();
  private readonly roots: number[] = [];
  private readonly progressEdges = new Map<string, string[]>();
  private readonly accesses: (Access | undefined)[] = [];
  /** A path that stands at a node, kept so that going on from there needs no replay. */
  private readonly parked = new Map<number, { path: Path<unknown>; stack: unknown[] }>();
  /** By renaming: node -> its image, 0 = not known. */
  private readonly mappings = new Map<string, Int32Array>();
  /** Witnesses seen on the edge from a node by a value, where there are any. */
  private readonly witnesses = new Map<string, string>();

  constructor(
    readonly system: System,
    private readonly monitor?: NodeMonitor,
    /** Off: nodes are merged by their whole history. Only for tests and the audit. */
    private readonly merge = true,
    private readonly limit = 2_000_000,
  ) {}

  /** The node at which an agent begins. */
  start(agent: number): number {
    return (this.roots[agent] ??= this.create(agent, 0, 0));
  }

  /** The node that follows when the request of `node` observed `value`. */
  child(node: number, value: number): number {
    if (value >= 0 && value < SMALL) {
      const known = this.next[node * SMALL + value]!;
      return known !== 0 ? known : this.create(this.agent[node]!, node, value);
    }
    return this.wide.get(value * NODES + node) ?? this.create(this.agent[node]!, node, value);
  }

  /** The site numbers of the frames at a node, outermost first. */
  stack(node: number): readonly number[] {
    return this.stacks[node]!;
  }

  /** Progress marks on the edge from `node` by `value`. */
  progress(node: number, value: number): readonly string[] | undefined {
    return this.progressEdges.size === 0 ? undefined : this.progressEdges.get(`${node}:${value}`);
  }

  /** What the request of a node reads and writes. */
  access(node: number): Access {
    return (this.accesses[node] ??= accessOf(
      this.system,
      this.agent[node]!,
      this.op[node]!,
      this.a[node]!,
      this.b[node]!,
      this.c[node]!,
    ));
  }

  /** How the agent first came to the node: from which one (0: it begins there), and what that one observed. */
  origin(node: number): { before: number; value: number } {
    return { before: this.parent[node]!, value: this.observed[node]! };
  }

  /** The observations that lead from the agent's start to the node, in one possible history. */
  history(node: number): number[] {
    const log: number[] = [];
    for (let at = node; this.parent[at] !== 0; at = this.parent[at]!) log.push(this.observed[at]!);
    return log.reverse();
  }

  /**
   * The node that the agent would stand at if all frames were renamed from the beginning. Also checks that the path
   * takes frames as names only: the request there must be the renamed request.
   */
  renamed(node: number, to: readonly number[], renamer: Renamer, key = to.join()): number {
    const known = this.mappings.get(key)?.[node];
    if (known !== undefined && known !== 0) return known;
    return this.rename(node, key, to, renamer);
  }

  private rename(node: number, key: string, to: readonly number[], renamer: Renamer): number {
    let map = this.mappings.get(key);
    if (map === undefined || map.length < this.op.length) {
      map = grown(map ?? new Int32Array(0), new Int32Array(this.op.length));
      this.mappings.set(key, map);
    }
    // From the last ancestor whose image is known (the start is its own image) down to the node.
    const line: number[] = [];
    let at = node;
    for (; this.parent[at] !== 0 && map[at] === 0; at = this.parent[at]!) line.push(at);
    if (this.parent[at] === 0) {
      this.sameUnder(at, at, to, renamer);
      map[at] = at;
    }
    for (let i = line.length - 1; i >= 0; i--) {
      at = line[i]!;
      const before = this.parent[at]!;
      const from = map[before]!;
      const value = this.observed[at]!;
      const seen = renamer.result(before, value, to);
      const image = this.child(from, seen);
      this.sameUnder(at, image, to, renamer);
      if (this.witnesses.get(`${before}:${value}`) !== this.witnesses.get(`${from}:${seen}`))
        throw this.calculates(at);
      map[at] = image;
    }
    return map[node]!;
  }

  private sameUnder(node: number, image: number, to: readonly number[], renamer: Renamer): void {
    if (!renamer.sameRequest(node, image, to)) throw this.calculates(node);
  }

  private calculates(node: number): PathError {
    return new PathError(
      `${this.system.agents[this.agent[node]!]!.name}: a path calculates with a frame number (what it does changes in another way when frames are renamed): ` +
        `fix the frame at set-up`,
    );
  }

  /** Whether an agent can come back to a point of its path where it was before. */
  cyclic(): boolean {
    const after = this.edges();
    const colour = new Uint8Array(this.size); // 1: on the way, 2: done
    for (const root of this.roots) {
      const way: { node: number; next: number }[] = [{ node: root, next: 0 }];
      if (colour[root] !== 0) continue;
      colour[root] = 1;
      while (way.length > 0) {
        const top = way[way.length - 1]!;
        const child = after[top.node]?.[top.next++];
        if (child === undefined) {
          colour[top.node] = 2;
          way.pop();
        } else if (colour[child] === 1) return true;
        else if (colour[child] === 0) {
          colour[child] = 1;
          way.push({ node: child, next: 0 });
        }
      }
    }
    return false;
  }

  /** By node: the nodes that follow. */
  private edges(): (number[] | undefined)[] {
    const after: (number[] | undefined)[] = [];
    for (let node = 1; node < this.size; node++)
      for (let value = 0; value < SMALL; value++) {
        const child = this.next[node * SMALL + value]!;
        if (child !== 0) (after[node] ??= []).push(child);
      }
    for (const [key, child] of this.wide) {
      const node = key - Math.floor(key / NODES) * NODES;
      (after[node] ??= []).push(child);
    }
    return after;
  }

  /** Forgets parked paths. */
  settle(): void {
    this.parked.clear();
  }

  private create(agent: number, before: number, value: number): number {
    const { system } = this;
    let standing = before === 0 ? undefined : this.parked.get(before);
    if (standing !== undefined) this.parked.delete(before);
    else {
      standing = { path: this.begin(agent), stack: [] };
      this.runs++;
      if (before !== 0) {
        let result = resume(system, agent, standing.stack, standing.path, 0);
        for (const seen of this.history(before)) {
          if (result.done) throw new Error('expected the path to do again what it did before');
          result = resume(system, agent, standing.stack, standing.path, seen);
        }
      }
    }
    const result = resume(system, agent, standing.stack, standing.path, value);
    const { seen, progressed, asserted, maps } = running;
    let context =
      before === 0
        ? this.monitor?.start(agent)
        : this.monitor?.after(
            this.contexts[before],
            agent,
            this.op[before]!,
            this.a[before]!,
            this.b[before]!,
            this.c[before]!,
            value,
          );
    if (maps.length > 0 && this.monitor?.marked !== undefined)
      context = this.monitor.marked(context, agent, maps, (name, detail) => this.events.report(name, detail));
    const { op, a, b, c } = result.done ? { op: Op.DONE as number, a: 0, b: 0, c: 0 } : result.value;
    let key = `${agent}:${op},${a},${b},${c}:`;
    if (!this.merge) key += `${before},${value}`;
    else if (!result.done) key += stackKey(standing.stack);
    if (context !== undefined) key += structureKey(context);
    let node = this.byKey.get(key);
    const fresh = node === undefined;
    if (node === undefined) {
      node = this.add(agent, before, value, op, a, b, c);
      this.byKey.set(key, node);
      this.stacks[node] = stackSites(standing.stack);
      this.contexts[node] = context;
      if (!result.done) {
        this.parked.set(node, standing);
        if (this.parked.size > 256) this.parked.delete(this.parked.keys().next().value!);
      }
    }
    if (before !== 0) {
      if (value >= 0 && value < SMALL) this.next[before * SMALL + value] = node;
      else this.wide.set(value * NODES + before, node);
      if (progressed.length > 0) this.progressEdges.set(`${before}:${value}`, progressed);
    }
    if (seen.length > 0) {
      this.witnesses.set(`${before}:${value}`, seen.join());
      for (const name of seen) this.events.witness(name);
    }
    for (const cell of asserted)
      this.monitor?.asserts?.(context, agent, cell, (name, detail) => this.events.report(name, detail));
    if (fresh)
      this.monitor?.check(context, agent, op, a, b, c, (name, detail) => this.events.report(name, detail));
    return node;
  }

  private begin(agent: number): Path<unknown> {
    const { name, start } = this.system.agents[agent]!;
    running.system = this.system;
    running.agent = agent;
    live.stack = [];
    const path: unknown = start();
    if (typeof path !== 'object' || path === null || typeof (path as Path).next !== 'function') {
      throw new PathError(`agent ${name} is not a path: write it as *${name}() { … }`);
    }
    return path as Path<unknown>;
  }

  private add(
    agent: number,
    before: number,
    value: number,
    op: number,
    a: number,
    b: number,
    c: number,
  ): number {
    const node = this.size++;
    if (node >= this.limit || node >= NODES) {
      const { name } = this.system.agents[agent]!;
      throw new PathError(
        `agent ${name} has more than ${this.limit} different continuations: is there a counter in a local of an endless loop?`,
      );
    }
    if (node === this.op.length) {
      const capacity = node * 2;
      this.op = grown(this.op, new Uint16Array(capacity));
      this.plain = grown(this.plain, new Uint8Array(capacity));
      this.agent = grown(this.agent, new Uint8Array(capacity));
      this.a = grown(this.a, new Int32Array(capacity));
      this.b = grown(this.b, new Int32Array(capacity));
      this.c = grown(this.c, new Int32Array(capacity));
      this.parent = grown(this.parent, new Int32Array(capacity));
      this.observed = grown(this.observed, new Int32Array(capacity));
      this.next = grown(this.next, new Int32Array(capacity * SMALL));
    }
    this.op[node] = op;
    this.agent[node] = agent;
    this.a[node] = a;
    this.b[node] = b;
    this.c[node] = c;
    this.parent[node] = before;
    this.observed[node] = value;
    if (namesCell(op) && (a < 0 || a >= this.system.cells.length))
      throw new Error(`expected a cell below ${this.system.cells.length}, got ${a}`);
    if (op >= FIRST_OWN_OP && this.system.ops[op - FIRST_OWN_OP] === undefined)
      throw new Error(`expected an operation of this system, got ${op}`);
    this.plain[node] =
      op === Op.LOAD || op === Op.STORE || (op >= FIRST_OWN_OP && this.access(node).plain) ? 1 : 0;
    return node;
  }
}

/** What a renaming of frames does to requests and observations (`explore/symmetry.ts`). */
export interface Renamer {
  result(node: number, value: number, to: readonly number[]): number;
  sameRequest(node: number, image: number, to: readonly number[]): boolean;
}
