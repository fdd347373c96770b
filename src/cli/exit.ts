// SPDX-License-Identifier: MIT

/** Exit codes: scripts depend on them. */
export const Exit = {
  /** Every verdict is the declared one; with none declared, safe. */
  OK: 0,
  /** A verdict differs. */
  DIFFERS: 1,
  /** Usage or bad input. */
  USAGE: 2,
  /** A bound or the time limit was hit. */
  INCOMPLETE: 3,
  /** A bug of ours. */
  INTERNAL: 70,
  /** Ctrl-C. */
  INTERRUPTED: 130,
} as const;
