// SPDX-License-Identifier: MIT
import { FIRST_OWN_OP, Op, type Access } from '../core/ops.js';
import { live, PathError, stackKey, stackSites, structureKey } from '../core/live.js';
import type { Path } from '../core/path.js';
import { resume, running } from '../core/running.js';
import { accessOf, namesCell } from '../core/semantics.js';
import type { Mark, NodeMonitor } from '../core/scenario.js';
import type { System } from '../core/system.js';
import { grown } from './findings.js';

/** Called when a search walks an edge for the first time: the state it is in is where the thing was seen. */
export interface AutomatonEvents {
  witness(name: string): void;
  report(name: string, detail: string): void;
}

/** What was seen on an edge when it was learnt. */
interface Seen {
  readonly witnesses: readonly string[];
  readonly reports: readonly (readonly [name: string, detail: string])[];
}

const NOBODY: AutomatonEvents = { witness: () => {}, report: () => {} };
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
  events: AutomatonEvents = NOBODY;

  private readonly wide = new Map<number, number>();
  private parent = new Int32Array(1024);
  private observed = new Int32Array(1024);
  private readonly stacks: (readonly number[])[] = [[]];
  private readonly contexts: unknown[] = [undefined];
  private readonly byKey = new Map<string, number>();
  /** Texts of frames, numbered. */
  private readonly frames = new Map<string, string>();
  private readonly shorten = (frame: string): string => {
    let number = this.frames.get(frame);
    if (number === undefined) this.frames.set(frame, (number = `${this.frames.size},`));
    return number;
  };
  private readonly roots: number[] = [];
  /** By edge: the marks on it, where there are any. */
  private readonly progressEdges = new Map<number, readonly string[]>();
  private readonly accesses: (Access | undefined)[] = [];
  /** A path that stands at a node, kept so that going on from there needs no replay. */
  private readonly parked = new Map<number, { path: Path<unknown>; stack: unknown[] }>();
  /** By edge: the lock maps on it, where there are any. */
  private readonly marksOn = new Map<number, readonly Mark[]>();
  /** By edge (value * NODES + node; -agent - 1: the agent's start): what was seen there, where there is anything. */
  private readonly seen = new Map<number, Seen>();
  /** By node: another one that it is an image of, or that is an image of it. Leads to one for all of these. */
  private readonly kinOf: number[] = [];
  /** Edges on which something was seen, and that nobody has walked since `rewind`: where they lead. */
  private readonly asleep = new Map<number, number>();

  constructor(
    readonly system: System,
    private readonly monitor?: NodeMonitor,
    /** Off: nodes are merged by their whole history. Only for tests and the audit. */
    private readonly merge = true,
    private readonly limit = 2_000_000,
  ) {}

  /** The node at which an agent begins. */
  start(agent: number): number {
    if (this.asleep.delete(-agent - 1)) this.tell(-agent - 1);
    return (this.roots[agent] ??= this.create(agent, 0, 0));
  }

  /** The node that follows when the request of `node` observed `value`. */
  child(node: number, value: number): number {
    if (value >= 0 && value < SMALL) {
      const known = this.next[node * SMALL + value]!;
      return known !== 0 ? known : this.learn(node, value);
    }
    return this.wide.get(value * NODES + node) ?? this.learn(node, value);
  }

  /** Another search begins: what was seen on edges is to be told again when they are walked. */
  rewind(events: AutomatonEvents = NOBODY): void {
    this.events = events;
    for (const edge of this.seen.keys()) {
      if (this.asleep.has(edge)) continue;
      if (edge < 0 && edge >= -this.system.agents.length) {
        this.asleep.set(edge, this.roots[-edge - 1]!);
        continue;
      }
      const value = Math.floor(edge / NODES);
      this.putToSleep(edge - value * NODES, value);
    }
  }

  /** The node that follows, without walking there: what there is to see will be told when somebody does. */
  private unseenChild(node: number, value: number): number {
    const edge = value * NODES + node;
    const known = this.asleep.get(edge);
    if (known !== undefined) return known;
    const { events } = this;
    this.events = NOBODY;
    const before = this.seen.size;
    const child = this.child(node, value);
    this.events = events;
    if (this.seen.size > before) this.putToSleep(node, value);
    return child;
  }

  private putToSleep(node: number, value: number): void {
    const edge = value * NODES + node;
    this.asleep.set(edge, this.child(node, value));
    if (value >= 0 && value < SMALL) this.next[node * SMALL + value] = 0;
    else this.wide.delete(edge);
  }

  /** The site numbers of the frames at a node, outermost first. */
  stack(node: number): readonly number[] {
    return this.stacks[node]!;
  }

  /** Progress marks on the edge from `node` by `value`. */
  progress(node: number, value: number): readonly string[] | undefined {
    return this.progressEdges.size === 0 ? undefined : this.progressEdges.get(value * NODES + node);
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
  renamed(node: number, renaming: Renaming, renamer: Renamer): number {
    const known = renaming.images[node];
    if (known !== undefined && known !== 0) return known;
    return this.rename(node, renaming, renamer);
  }

  private rename(node: number, renaming: Renaming, renamer: Renamer): number {
    if (renaming.images.length < this.op.length)
      renaming.images = grown(renaming.images, new Int32Array(this.op.length));
    const { images } = renaming;
    // From the last ancestor whose image is known (the start is its own image) down to the node.
    const line: number[] = [];
    let at = node;
    for (; this.parent[at] !== 0 && images[at] === 0; at = this.parent[at]!) line.push(at);
    if (this.parent[at] === 0) {
      this.sameUnder(at, at, renaming, renamer);
      images[at] = at;
    }
    for (let i = line.length - 1; i >= 0; i--) {
      at = line[i]!;
      const before = this.parent[at]!;
      const from = images[before]!;
      const value = this.observed[at]!;
      const seen = renamer.result(before, value, renaming);
      const image = this.unseenChild(from, seen);
      this.sameUnder(at, image, renaming, renamer);
      if (this.witnesses(before, value) !== this.witnesses(from, seen)) throw this.calculates(at);
      images[at] = image;
      const [one, other] = [this.kin(at), this.kin(image)];
      if (one !== other) this.kinOf[Math.max(one, other)] = Math.min(one, other);
    }
    return images[node]!;
  }

  /** Reports are not compared: a lock order is reported by the edge that closes the circle first. */
  private witnesses(node: number, value: number): string {
    return this.seen.get(value * NODES + node)?.witnesses.join() ?? '';
  }

  private sameUnder(node: number, image: number, renaming: Renaming, renamer: Renamer): void {
    if (!renamer.sameRequest(node, image, renaming)) throw this.calculates(node);
  }

  private calculates(node: number): PathError {
    return new PathError(
      `${this.system.agents[this.agent[node]!]!.name}: a path calculates with a frame number (what it does changes in another way when frames are renamed): ` +
        `fix the frame at set-up`,
    );
  }

  /** By node: the nodes that follow. */
  edges(): number[][] {
    const after: number[][] = Array.from({ length: this.size }, () => []);
    this.eachEdge((node, _, child) => {
      if (node > 0) after[node]!.push(child);
    });
    return after;
  }

  /** Each edge that is known, those first from no node (0) to where an agent begins; and the lock maps on it. */
  eachEdge(visit: (node: number, value: number, child: number, marks: readonly Mark[]) => void): void {
    const marks = (edge: number): readonly Mark[] => this.marksOn.get(edge) ?? [];
    this.roots.forEach((root, agent) => visit(0, 0, root, marks(-agent - 1)));
    for (let node = 1; node < this.size; node++)
      for (let value = 0; value < SMALL; value++) {
        const child = this.next[node * SMALL + value]!;
        if (child !== 0) visit(node, value, child, marks(value * NODES + node));
      }
    for (const [edge, child] of [...this.wide, ...this.asleep]) {
      if (edge < 0 && edge >= -this.system.agents.length) continue;
      const value = Math.floor(edge / NODES);
      visit(edge - value * NODES, value, child, marks(edge));
    }
  }

  /** One for all nodes that were found to be each other's images under renamings of frames. */
  kin(node: number): number {
    let at = node;
    while (this.kinOf[at] !== undefined) at = this.kinOf[at]!;
    return at;
  }

  /** Forgets parked paths. */
  settle(): void {
    this.parked.clear();
  }

  /** An edge that is not in the tables. */
  private learn(node: number, value: number): number {
    const edge = value * NODES + node;
    const child = this.asleep.get(edge);
    if (child === undefined) return this.create(this.agent[node]!, node, value);
    this.asleep.delete(edge);
    this.link(node, value, child);
    this.tell(edge);
    return child;
  }

  private link(node: number, value: number, child: number): void {
    if (value >= 0 && value < SMALL) this.next[node * SMALL + value] = child;
    else this.wide.set(value * NODES + node, child);
  }

  private tell(edge: number): void {
    const seen = this.seen.get(edge);
    if (seen === undefined) return;
    for (const name of seen.witnesses) this.events.witness(name);
    for (const [name, detail] of seen.reports) this.events.report(name, detail);
  }

  private create(agent: number, before: number, value: number): number {
    const { system } = this;
    const reports: [name: string, detail: string][] = [];
    const report = (name: string, detail: string): void => void reports.push([name, detail]);
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
    const { seen, progressed, asserted, maps, mapStacks } = running;
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
      context = this.monitor.marked(context, agent, maps, report);
    const { op, a, b, c } = result.done ? { op: Op.DONE as number, a: 0, b: 0, c: 0 } : result.value;
    let key = `${agent}:${op},${a},${b},${c}:`;
    if (!this.merge) key += `${before},${value}`;
    else if (!result.done) key += stackKey(standing.stack, this.shorten);
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
      this.link(before, value, node);
      if (progressed.length > 0) this.progressEdges.set(value * NODES + before, progressed);
    }
    for (const assertion of asserted) this.monitor?.asserts?.(context, agent, assertion, report);
    if (fresh) this.monitor?.check(context, agent, op, a, b, c, report);
    const edge = before === 0 ? -agent - 1 : value * NODES + before;
    if (maps.length > 0)
      this.marksOn.set(
        edge,
        maps.map((map, i) => ({ map, stack: mapStacks[i]! })),
      );
    if (seen.length + reports.length > 0) {
      this.seen.set(edge, { witnesses: seen, reports });
      this.tell(edge);
    }
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

/** A renaming of frames: frame f becomes to[f]. */
export interface Renaming {
  readonly to: readonly number[];
  /** By node: its image, 0 = not known yet. */
  images: Int32Array;
}

/** What a renaming of frames does to requests and observations (`explore/symmetry.ts`). */
export interface Renamer {
  result(node: number, value: number, renaming: Renaming): number;
  sameRequest(node: number, image: number, renaming: Renaming): boolean;
}
