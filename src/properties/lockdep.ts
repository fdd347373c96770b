// SPDX-License-Identifier: MIT
import type { NodeMonitor, Only } from '../core/scenario.js';
import type { System } from '../core/system.js';
import {
  afterMark,
  afterRequest,
  classOf,
  type Context,
  type Judgement,
  judgeMark,
  judgeRequest,
  NOTHING_HELD,
} from './lock-context.js';
import { accountsOf } from './lockdep-accounts.js';

type Report = (name: string, detail: string) => void;

/**
 * LOCK-ORDER and CTX, as lockdep and might_sleep() report them. Both depend on the path alone, so they are judged once
 * for each point of a path, not in each state. The graph of lock classes grows over the whole exploration. `only`:
 * reports one part of an account, and nothing else.
 */
export function lockdep(system: System, only?: Only): NodeMonitor {
  const order = new Map<string, Map<string, string>>();

  const reaches = (from: string, to: string, seen = new Set<string>()): string[] | undefined => {
    if (from === to) return [to];
    seen.add(from);
    for (const next of order.get(from)?.keys() ?? []) {
      if (seen.has(next)) continue;
      const rest = reaches(next, to, seen);
      if (rest !== undefined) return [from, ...rest];
    }
    return undefined;
  };
  const takes = (context: Context, taken: string, who: string, report: Report): void => {
    for (const lock of context.held) {
      const holds = classOf(system, lock);
      const known = order.get(holds);
      if (known?.has(taken)) continue;
      const back = reaches(taken, holds);
      if (back !== undefined)
        report(
          'LOCK-ORDER',
          `${who} takes ${taken} while it holds ${holds}, elsewhere ${back.join(' is held while taking ')}`,
        );
      if (known === undefined) order.set(holds, new Map([[taken, who]]));
      else known.set(taken, who);
    }
  };
  const judge = (
    context: Context,
    agent: number,
    { wrong, takes: taken }: Judgement,
    report: Report,
  ): void => {
    const { name } = system.agents[agent]!;
    if (only !== undefined) {
      if (isPart(system, only, context, name, { wrong, takes: taken })) report(only.name, '');
      return;
    }
    for (const { detail } of wrong) report('CTX', detail);
    for (const what of taken) takes(context, what, name, report);
  };

  return {
    start: (): Context => NOTHING_HELD,
    after: (context, _agent, op, a, _b, c, value) =>
      afterRequest(system, context as Context, { op, a, c }, value),
    asserts(context, agent, { cell, exclusive }, report) {
      if (only !== undefined) return;
      const who = system.agents[agent]!.name;
      const what = system.cells[cell]!.name;
      const held = (context as Context).held.find((lock) => lock.cell === cell);
      if (held === undefined) report('LOCK-HELD', `${who} does not hold ${what}, and says that it does`);
      else if (exclusive && held.shared === true)
        report('LOCK-HELD', `${who} holds ${what} as a reader, and says that it is the writer`);
    },
    marked(context, agent, maps, report): Context {
      let now = context as Context;
      for (const map of maps) {
        judge(now, agent, judgeMark(system, now, agent, map), report);
        now = afterMark(now, map);
      }
      return now;
    },
    check(context, agent, op, a, b, c, report) {
      const now = context as Context;
      judge(now, agent, judgeRequest(system, now, { agent, op, a, b, c }), report);
    },
    explain: (paths) => accountsOf(system, paths),
  };
}

/** Whether this is what the agent of the part does then, while what it did first has not ended. */
function isPart(
  system: System,
  { name, part: { agent, first, second } }: Only,
  now: Context,
  who: string,
  { wrong, takes }: Judgement,
): boolean {
  if (who !== agent) return false;
  return name === 'CTX'
    ? wrong.some(({ what, why }) => what === second.what && why.what === first.what)
    : takes.includes(second.what) && now.held.some((lock) => classOf(system, lock) === first.what);
}
