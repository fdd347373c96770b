// SPDX-License-Identifier: MIT
import type { NodeMonitor } from '../core/scenario.js';
import type { Automaton } from './automaton.js';

/** How to search. */
export interface SearchOptions {
  /** bfs finds shortest runs; dfs (last in, first out) needs less memory. */
  readonly order?: 'bfs' | 'dfs';
  /** Fuse steps that nobody needs to see something between; all, or all but own operations. Counts blocks, not steps. */
  readonly fuse?: boolean | 'but-movers';
  /** Identify states that differ in the names of frames. */
  readonly symmetry?: boolean;
  /** Keep whole states, not 64-bit fingerprints. */
  readonly exact?: boolean;
  readonly maxStates?: number;
  /** Clock value (ms) after which the search gives up. */
  readonly deadline?: number;
  /** Stop when all of these were found ("violation" stands for the first violation, deadlock or leak). */
  readonly until?: ReadonlySet<string>;
  readonly now?: () => number;
  readonly onProgress?: (states: number, depth: number) => void;
  /**
   * Called with each state (cells, then nodes) that is visited. `terminal`: no fair agent can run. It may take the system
   * over meanwhile.
   */
  readonly onState?: (state: Int32Array, terminal: boolean, run: () => readonly Step[]) => void;
  readonly monitor?: () => NodeMonitor;
  /** Merge nodes of the automata by live locals. Off only in tests. */
  readonly merge?: boolean;
  /** Points of paths (nodes of the automata) before the search gives up with an error. */
  readonly nodeLimit?: number;
  /** What earlier searches of the same system have learnt of its paths. */
  readonly automaton?: Automaton;
  /** Hands out the automata before the search begins. Only for the audit. */
  readonly onAutomaton?: (automaton: Automaton) => void;
}

/** One step of a schedule: the agent, and which outcome where a step has several. */
export interface Step {
  readonly agent: number;
  readonly choice: number;
}

/** Something that was found, with a run that shows it. */
export interface Finding {
  readonly kind: 'violation' | 'deadlock' | 'livelock' | 'leak' | 'report' | 'witness';
  /** Property, report or witness name. */
  readonly name: string;
  readonly detail: string;
  /** The exact run. Shortest only in a breadth-first search that does not fuse. */
  readonly run: readonly Step[];
  /** Of a livelock: the run repeats for ever from here. */
  readonly loop?: number;
}

/** What a search found out. */
export interface SearchResult {
  readonly states: number;
  readonly transitions: number;
  /** Longest distance from the start, in steps (blocks where steps are fused). */
  readonly depth: number;
  /** False: a bound was hit, or the search stopped at what it was to find. */
  readonly complete: boolean;
  readonly bound?: string;
  /** First of each kind and name, in the order of discovery. */
  readonly findings: readonly Finding[];
  /** States in which all agents but the daemons have returned and no fair agent can run. */
  readonly terminals: number;
  readonly automatonNodes: number;
  readonly bytes: number;
  /** A path can come back to a point where it was before: fair cycles must be looked for. */
  readonly cyclic: boolean;
}
