// SPDX-License-Identifier: MIT
import { Op } from '../core/ops.js';
import { live, site, siteCount, stackSites } from '../core/live.js';
import { claim, see } from '../core/primitives.js';
import { resume } from '../core/running.js';
import type { Built, Scenario } from '../core/scenario.js';
import { semantics } from '../core/semantics.js';
import { System } from '../core/system.js';

/** Watches what a path does from one of its calls on. */
export interface Observer {
  /** An access of the path; `writes` are the cells that it changed. */
  access(op: number, cell: number, writes: readonly number[]): void;
  /** The path has ended: what the row says. */
  words(): string;
}

/** Begins to watch a call: `agent` makes it, and `cell` is what it touches first. */
type Observe = (system: System, agent: number, cell: number) => Observer;

/**
 * Makes a static scenario of one that explores: each agent runs alone and straight through, one after the other; for
 * each call of `callee` from src/linux there is a row, which must say what `declared` says. The rows are the answer:
 * there are no interleavings, so it is a table and no proof (TABLE). A call in the sources that no agent makes is wrong too.
 */
export function table(
  scenario: Scenario,
  callee: string,
  observe: Observe,
  declared: Readonly<Record<string, string>>,
): Scenario {
  return {
    ...scenario,
    kind: 'static',
    passes: (knobs) => scenario.passes(knobs).slice(0, 1),
    build(knobs, pass): Built {
      const { bounds, system } = scenario.build(knobs, pass);
      const { rows, reached } = walk(system, callee, observe);
      const wrong: string[] = [];
      for (const row of new Set([...Object.keys(declared), ...rows.keys()])) {
        const [is, should] = [rows.get(row) ?? 'not called', declared[row] ?? 'no row'];
        if (is !== should) wrong.push(`${row}: ${is}; declared: ${should}`);
      }
      for (let number = 0; number < siteCount(); number++) {
        const { file, line, fn, callee: called } = site(number);
        if (called === callee && /\blinux\//.test(file) && !reached.has(number))
          wrong.push(`${fn}() calls ${callee}() at ${file}:${line}, and no agent gets there`);
      }
      const answer = new System();
      answer.agent({
        name: 'table',
        cpu: 0,
        daemon: false,
        fair: true,
        *start() {
          yield* claim(wrong.length === 0, 'TABLE', wrong.join('; '));
          see('every row is as declared');
        },
      });
      return {
        system: answer,
        bounds,
        properties: ['TABLE'],
        because: 'what the paths do is not what the table declares.',
      };
    },
  };
}

/** Steps that one agent may take. */
const LIMIT = 100_000;

/** Runs each agent to its end, alone. One that does not get there has a row that says so. */
function walk(
  system: System,
  callee: string,
  observe: Observe,
): { rows: Map<string, string>; reached: Set<number> } {
  const rows = new Map<string, string>();
  const reached = new Set<number>();
  let writes: number[] = [];
  system.set = (cell, value) => {
    if (system.mem[cell] !== value) writes.push(cell);
    system.mem[cell] = value;
  };
  const does = semantics(system);
  system.agents.forEach((agent, number) => {
    if (agent.daemon) return;
    const observers = new Map<string, Observer>();
    const stack: unknown[] = [];
    const path = agent.start();
    let value = 0;
    let steps = 0;
    for (;;) {
      const next = resume(system, number, stack, path, value);
      if (next.done === true) break;
      const { op, a, b, c } = next.value;
      const call = stackSites(live.stack).find((each) => site(each).callee === callee);
      if (call !== undefined) {
        reached.add(call);
        const row = `${agent.name}: ${site(call).fn}`;
        if (!observers.has(row)) observers.set(row, observe(system, number, a));
      }
      if (op === Op.FAIL || !does.enabled(number, op, a, b, c) || ++steps > LIMIT) {
        rows.set(agent.name, `stands at ${system.opName(op)}`);
        return;
      }
      writes = [];
      value = does.execute(number, op, a, b, c, 0);
      if (system.fault !== undefined) {
        rows.set(agent.name, system.fault.detail);
        return;
      }
      if (call === undefined) for (const each of observers.values()) each.access(op, a, writes);
    }
    for (const [row, observer] of observers) rows.set(row, observer.words());
  });
  return { rows, reached };
}
