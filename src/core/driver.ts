// SPDX-License-Identifier: MIT

/** Whoever drives the path executes requests itself, while the path runs: nobody comes between. */
export interface AtOnce {
  /** Whether the request can be executed now. One that can't is yielded. */
  takes(op: number, a: number, b: number, c: number): boolean;
  execute(op: number, a: number, b: number, c: number): number;
}

/** Set by a driver for just as long as it resumes paths in that way. */
export const driver = { atOnce: undefined as AtOnce | undefined };
