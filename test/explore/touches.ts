// SPDX-License-Identifier: MIT
import { noAccess } from '../../src/core/ops.js';
import type { Built } from '../../src/core/scenario.js';
import { searchRandomly } from '../../src/explore/random.js';

/**
 * Runs a system by chance and lists what its operations read or wrote without saying so in `touches`, and what its
 * invariants and monitors read without saying so in `cells`: `op: reads cell`. What a guard looks at does not count, nor
 * what monitors read that nobody but monitors writes.
 */
export function undeclared(built: Built, schedules = 20): Set<string> {
  const { system } = built;
  const found = new Set<string>();
  let watching: { name: string; reads: Set<number>; writes: Set<number>; ghosts?: true } | undefined;
  const written = new Set<number>();
  const ghosts = new Map<number, string>();
  const guards = new Set(system.guards.flatMap((guard) => (guard === undefined ? [] : [guard.cell.at])));
  const cells = system.mem;
  system.mem = new Proxy(cells, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value === 'function') return value.bind(target) as unknown;
      const at = Number(key);
      if (watching !== undefined && Number.isInteger(at) && !watching.reads.has(at) && !guards.has(at)) {
        if (watching.ghosts !== true) found.add(`${watching.name}: reads ${system.cells[at]!.name}`);
        else ghosts.set(at, `${watching.name}: reads ${system.cells[at]!.name}`);
      }
      return value;
    },
    set(target, key, value: number) {
      const at = Number(key);
      if (watching?.ghosts !== true) {
        written.add(at);
        if (watching?.writes.has(at) === false)
          found.add(`${watching.name}: writes ${system.cells[at]!.name}`);
      }
      target[at] = value;
      return true;
    },
  });
  system.ops.forEach((op, number) => {
    const watched = <T>(a: number, b: number, c: number, agent: number, run: () => T): T => {
      const access = noAccess();
      op.touches(a, b, c, agent, access);
      watching = {
        name: op.name,
        reads: new Set([...access.reads, ...access.writes, ...access.silent]),
        writes: new Set([...access.writes, ...access.silent]),
      };
      try {
        return run();
      } finally {
        watching = undefined;
      }
    };
    system.ops[number] = {
      ...op,
      exec: (a, b, c, agent, choice) => watched(a, b, c, agent, () => op.exec(a, b, c, agent, choice)),
      ...(op.enabled === undefined
        ? {}
        : { enabled: (a, b, c, agent) => watched(a, b, c, agent, () => op.enabled!(a, b, c, agent)) }),
      ...(op.choices === undefined
        ? {}
        : { choices: (a, b, c, agent) => watched(a, b, c, agent, () => op.choices!(a, b, c, agent)) }),
    };
  });
  system.monitors.forEach((monitor, number) => {
    const reads = new Set(monitor.cells.map(({ at }) => at));
    system.monitors[number] = {
      ...monitor,
      update(agent) {
        watching = { name: `monitor ${number}`, reads, writes: new Set(), ghosts: true };
        try {
          monitor.update(agent);
        } finally {
          watching = undefined;
        }
      },
    };
  });
  system.invariants.forEach((invariant, number) => {
    const reads = new Set(invariant.cells.map(({ at }) => at));
    system.invariants[number] = {
      ...invariant,
      check() {
        watching = { name: invariant.property, reads, writes: new Set() };
        try {
          return invariant.when === 'always' ? invariant.check() : undefined;
        } finally {
          watching = undefined;
        }
      },
    };
  });
  searchRandomly(built, { strategy: 'random', seed: 1, schedules, depth: 1, maxSteps: 500 });
  for (const [cell, what] of ghosts) if (written.has(cell)) found.add(what);
  return found;
}
