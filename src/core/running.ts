// SPDX-License-Identifier: MIT
import { live } from './live.js';
import type { Path, Request } from './path.js';
import type { System } from './system.js';

/** A path says that it holds a lock, or that it has it to itself. */
export interface Assertion {
  readonly cell: number;
  readonly exclusive: boolean;
}

/**
 * The agent whose path runs now: what `current` and `smp_processor_id()` are to the kernel. Drivers set it through
 * {@link resume} for just as long as a path runs between two requests; nothing else may write it.
 */
export const running = {
  system: undefined as unknown as System,
  agent: -1,
  /** Witnesses and progress marks since the last request. */
  seen: [] as string[],
  progressed: [] as string[],
  /** What the path has said about locks that it holds, since the last request. */
  asserted: [] as Assertion[],
  /** Lock maps since the last request: cell + 1 acquired, -(cell + 1) released. */
  maps: [] as number[],
  /** By lock map: the sites of the frames that were open, outermost first. */
  mapStacks: [] as number[][],
};

/** Runs `path` to its next request (or its end) as `agent`, recording its frames in `stack`. */
export function resume(
  system: System,
  agent: number,
  stack: unknown[],
  path: Path<unknown>,
  observed: number,
): IteratorResult<Request, unknown> {
  running.system = system;
  running.agent = agent;
  running.seen = [];
  running.progressed = [];
  running.asserted = [];
  running.maps = [];
  running.mapStacks = [];
  live.stack = stack;
  live.cuts = 0;
  try {
    return path.next(observed);
  } finally {
    running.agent = -1;
  }
}
