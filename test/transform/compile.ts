// SPDX-License-Identifier: MIT
import { live } from '../../src/core/live.js';
import * as path from '../../src/core/path.js';
import type { Path } from '../../src/core/path.js';
import * as primitives from '../../src/core/primitives.js';
import { System, type Cell } from '../../src/core/system.js';
import { instrument, type InstrumentOptions } from '../../src/transform/index.js';

/** Instruments `source`, the body of a function of the cells x, y, z that returns paths by agent name, and builds it. */
export function compile(source: string, options: Partial<InstrumentOptions> = {}): () => System {
  const { code } = instrument(`const paths = (x, y, z) => {${source}\n}`, {
    file: 'paths.ts',
    live: 'live',
    ...options,
  });
  const names = Object.keys({ ...primitives, ...path });
  // oxlint-disable-next-line no-implied-eval -- the source is the test's
  const evaluate = new Function(
    '$live',
    ...names,
    `${code.replace(/^.*from"live";/, '')}\nreturn paths;`,
  ) as (...scope: unknown[]) => (...cells: Cell[]) => Record<string, () => Path<unknown>>;
  const make = evaluate(live, ...names.map((name) => ({ ...primitives, ...path })[name as 'read']));
  return () => {
    const system = new System();
    const cells = ['x', 'y', 'z'].map((name) => system.cell(name));
    for (const [name, start] of Object.entries(make(...cells)))
      system.agent({ name, cpu: -1, daemon: false, fair: true, start });
    return system;
  };
}
