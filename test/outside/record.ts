// SPDX-License-Identifier: MIT
/**
 * What a system consists of, as the exporter needs it: points of paths and the edges between them, and of the functions
 * that a layer above the engine has put in (own operations, invariants, monitors) what they do. A function is written
 * down as a decision tree over the cells that it was seen to read, one for each function and not for each state; so what
 * it is told to touch plays no part.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Access } from '../../src/core/ops.js';
import type { NodeMonitor } from '../../src/core/scenario.js';
import type { System } from '../../src/core/system.js';
import type { Automaton } from '../../src/explore/automaton.js';
import { dataRace } from '../../src/explore/races.js';
import { search, type SearchOptions, type SearchResult } from '../../src/explore/search.js';

/** What a function does, by the values of the cells that it reads, in the order in which it reads them. */
export type Tree<Leaf> =
  { readonly cell: number; readonly branches: Map<number, Tree<Leaf>> } | { readonly leaf: Leaf };

/** What a step of an own operation, or a monitor, leaves behind. */
export interface Effect {
  readonly observed: number;
  readonly writes: ReadonlyMap<number, number>;
  /** Of these, the cells that held something else for a moment. */
  readonly passing: ReadonlySet<number>;
  /** The property that it broke. */
  readonly fault: string | undefined;
}

/** An own operation with its arguments, asked for by one agent. */
export interface OwnRequest {
  enabled: Tree<boolean> | undefined;
  choices: Tree<number> | undefined;
  /** By choice. */
  readonly effects: (Tree<Effect> | undefined)[];
}

export interface Recorded {
  readonly system: System;
  readonly automaton: Automaton;
  readonly result: SearchResult;
  /** States in which nobody can go on: ends and deadlocks. */
  readonly rests: number;
  /** States in which two accesses race. */
  readonly races: number;
  /** Values of all cells in the initial state, after the monitors have seen it. */
  readonly initial: Int32Array;
  /** By {@link requestKey}. */
  readonly own: ReadonlyMap<string, OwnRequest>;
  /** By monitor and agent. */
  readonly monitors: readonly Map<number, Tree<Effect>>[];
  /** By invariant: whether the state is wrong. */
  readonly invariants: readonly (Tree<boolean> | undefined)[];
  /** By cell that guards others: the values it was seen to have. */
  readonly guardValues: ReadonlyMap<number, ReadonlySet<number>>;
}

export const requestKey = (agent: number, op: number, a: number, b: number, c: number): string =>
  [agent, op, a, b, c].join();

interface Call<T> {
  readonly value: T;
  readonly reads: readonly (readonly [cell: number, value: number])[];
  readonly writes: ReadonlyMap<number, number>;
  readonly passing: ReadonlySet<number>;
}

/** Calls a function of the system and lists what it read, before it wrote there itself, and what it wrote. */
function followed<T>(system: System, call: () => T): Call<T> {
  const { mem, set } = system;
  const reads: [number, number][] = [];
  const seen = new Set<number>();
  const writes = new Map<number, number>();
  const passing = new Set<number>();
  system.mem = new Proxy(mem, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value === 'function')
        throw new Error(`expected the state to be read cell by cell, got ${String(key)}()`);
      const cell = typeof key === 'string' ? Number(key) : NaN;
      if (Number.isInteger(cell) && !seen.has(cell) && !writes.has(cell)) {
        seen.add(cell);
        reads.push([cell, target[cell]!]);
      }
      return value;
    },
  });
  system.set = (cell, value) => {
    if (writes.has(cell) && writes.get(cell) !== value) passing.add(cell);
    writes.set(cell, value);
    set(cell, value);
  };
  try {
    const value = call();
    return { value, reads, writes, passing };
  } finally {
    system.mem = mem;
    system.set = set;
  }
}

/** Adds a call to the tree of its function. */
function grow<Leaf>(
  tree: Tree<Leaf> | undefined,
  reads: Call<unknown>['reads'],
  leaf: Leaf,
  depth = 0,
): Tree<Leaf> {
  const read = reads[depth];
  if (tree === undefined) {
    if (read === undefined) return { leaf };
    return { cell: read[0], branches: new Map([[read[1], grow<Leaf>(undefined, reads, leaf, depth + 1)]]) };
  }
  if ('leaf' in tree ? read !== undefined : read?.[0] !== tree.cell)
    throw new Error('expected what a function reads next to depend on what it has read, and on nothing else');
  if ('leaf' in tree) {
    if (!isDeepStrictEqual(tree.leaf, leaf))
      throw new Error('expected what a function does to depend on what it reads, and on nothing else');
  } else tree.branches.set(read![1], grow(tree.branches.get(read![1]), reads, leaf, depth + 1));
  return tree;
}

/** Searches the system, whole states and nothing reduced, and writes down what it consists of. */
export function record(
  system: System,
  monitor?: () => NodeMonitor,
  options: Pick<SearchOptions, 'maxStates' | 'merge'> = {},
): Recorded {
  const own = new Map<string, OwnRequest>();
  const monitors = system.monitors.map(() => new Map<number, Tree<Effect>>());
  const invariants: (Tree<boolean> | undefined)[] = system.invariants.map(() => undefined);
  const guardValues = new Map<number, Set<number>>();
  for (const guard of system.guards) if (guard !== undefined) guardValues.set(guard.cell.at, new Set());

  const effectOf = ({ value, writes, passing }: Call<number>): Effect => ({
    observed: value,
    writes,
    passing,
    fault: system.fault?.property,
  });
  system.ops.forEach((op, number) => {
    const of = (a: number, b: number, c: number, agent: number): OwnRequest => {
      const key = requestKey(agent, number, a, b, c);
      let known = own.get(key);
      if (known === undefined)
        own.set(key, (known = { enabled: undefined, choices: undefined, effects: [] }));
      return known;
    };
    const { enabled, choices } = op;
    system.ops[number] = {
      ...op,
      exec(a, b, c, agent, choice) {
        const call = followed(system, () => op.exec(a, b, c, agent, choice));
        const { effects } = of(a, b, c, agent);
        effects[choice] = grow(effects[choice], call.reads, effectOf(call));
        return call.value;
      },
      ...(enabled !== undefined && {
        enabled(a, b, c, agent) {
          const call = followed(system, () => enabled.call(op, a, b, c, agent));
          const request = of(a, b, c, agent);
          request.enabled = grow(request.enabled, call.reads, call.value);
          return call.value;
        },
      }),
      ...(choices !== undefined && {
        choices(a, b, c, agent) {
          const call = followed(system, () => choices.call(op, a, b, c, agent));
          const request = of(a, b, c, agent);
          request.choices = grow(request.choices, call.reads, call.value);
          return call.value;
        },
      }),
    };
  });
  system.monitors.forEach((watcher, number) => {
    system.monitors[number] = {
      cells: watcher.cells,
      update(agent) {
        const call = followed(system, () => (watcher.update(agent), 0));
        const trees = monitors[number]!;
        trees.set(agent, grow(trees.get(agent), call.reads, effectOf(call)));
      },
    };
  });
  system.invariants.forEach((invariant, number) => {
    system.invariants[number] = {
      ...invariant,
      check() {
        const call = followed(system, () => invariant.check());
        invariants[number] = grow(invariants[number], call.reads, call.value !== undefined);
        return call.value;
      },
    };
  });

  let automaton: Automaton | undefined;
  let initial: Int32Array | undefined;
  let rests = 0;
  let races = 0;
  const result = search(system, {
    exact: true,
    ...options,
    ...(monitor === undefined ? {} : { monitor }),
    onAutomaton: (found) => (automaton = found),
    onState(state, terminal) {
      if (terminal) rests++;
      const access = (agent: number): Access => automaton!.access(state[system.cells.length + agent]!);
      if (dataRace(system.agents.length, access) !== undefined) races++;
      initial ??= state.slice(0, system.cells.length);
      for (const [cell, values] of guardValues) values.add(state[cell]!);
    },
  });
  if (initial === undefined) throw new Error('expected nothing to be wrong in the initial state');
  return {
    system,
    automaton: automaton!,
    result,
    rests,
    races,
    initial,
    own,
    monitors,
    invariants,
    guardValues,
  };
}
